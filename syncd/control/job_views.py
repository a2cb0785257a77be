"""The values of jobs: acts that the daemon carries out, and what came of them."""

from typing import Any, Literal

import msgspec

from manifests.messages import message
from syncd.core import MessageView, NotFound

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "cut"]
"""waiting: for its turn on the mirror. done: carried out; `result.code` may still say that some files failed.
failed: refused or broken off, `reason` says why. cancelled: by a person. cut: the daemon was killed, and it must be
asked for again, as `reason` says."""

ENDED: frozenset[str] = frozenset({"done", "failed", "cancelled", "cut"})


class ActResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an act: the same by whatever way it was carried out."""

    outcome: str
    """For the audit log."""
    data: Any = None
    """What the command prints with `--json`."""
    lines: tuple[str, ...] = ()
    """What the command prints for people."""
    warnings: tuple[str, ...] = ()
    """What the command prints to standard error."""
    code: int = 0
    """The exit code of the command."""


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    id: int
    act: str
    mirror: str
    arguments: dict[str, Any]
    who: str
    state: JobState
    asked: float
    began: float | None = None
    ended: float | None = None
    files: int = 0
    """Files done so far, if the act counts them."""
    bytes: int = 0
    reason: str = ""
    """Why it waits, or why it failed."""
    message: MessageView | None = None
    """`reason` as a code and values."""
    error: str = ""
    """The kind of the error, if it failed."""
    code: int | None = None
    """The exit code of the command that asked for it; None before its end."""
    result: ActResult | None = None

    @property
    def has_ended(self) -> bool:
        """Return True if nothing more comes of it."""
        return self.state in ENDED


def no_job(number: int) -> NotFound:
    """Return the error for a job that is not known."""
    return NotFound(message("job {number}: there is none, or its record has expired", number=number))
