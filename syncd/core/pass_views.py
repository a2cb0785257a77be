"""The records of the Catalogue that the API returns unchanged: passes, their events, failed files, the audit log."""

from typing import Literal

import msgspec

from syncd.core.message_view import MessageView

Level = Literal["info", "warning", "error"]

Outcome = Literal["running", "complete", "incomplete", "failed", "nothing_found", "stopped", "killed"]
"""incomplete: some files failed to download; the others are published. failed: the source or the store was unavailable.
nothing_found: upstream listed no file, or too few; nothing was changed. stopped: by a person or the daemon. killed: the
daemon ended during the pass."""

OUTCOMES: tuple[Outcome, ...] = ("running", "complete", "incomplete", "failed", "nothing_found", "stopped", "killed")


class PassView(msgspec.Struct, frozen=True, kw_only=True):
    """One pass, running or ended."""

    id: int
    mirror: str
    why: str
    """schedule, start, manifest, after, or asked."""
    who: str = ""
    began: float
    ended: float | None = None
    outcome: Outcome = "running"
    snapshot: str = ""
    fetched: int = 0
    replaced: int = 0
    kept: int = 0
    removed: int = 0
    parked: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waiting: int = 0
    """Files that upstream may still be writing."""
    copied: int = 0
    """Of the fetched and replaced files, those whose content the store held: they were copied, not downloaded."""
    copied_bytes: int = 0
    error: str = ""
    reason: str = ""
    message: MessageView | None = None
    """`reason` as a code and values."""


class PassEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a pass; `event` is the name of its class in snake_case."""

    id: int
    at: float
    level: Level
    event: str
    path: str = ""
    text: str = ""
    message: MessageView | None = None
    """`text` as a code and values."""


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that failed to download, and why; `quarantined` is the place of its quarantined bytes, or ""."""

    path: str
    error: str
    reason: str
    at: float
    quarantined: str = ""
    message: MessageView | None = None
    """`reason` as a code and values."""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a manifest or of syncd.yaml that changed; a value that may not be shown is `***`."""

    key: str
    old: str | None = None
    """None: the key was not there."""
    new: str | None = None
    """None: the key is not there any more."""


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit log: an action, carried out or refused."""

    id: int
    at: float
    who: str
    door: str = ""
    """The way the action came: `cli` (a command by itself), `api` (a token), `page` (a person who is signed in),
    `socket` (a command that asked the daemon), `file` (a file that was changed), `daemon` (syncd itself);
    "": not recorded."""
    what: str
    mirror: str
    changes: tuple[KeyChange, ...] = ()
    """The keys that changed, if it was a manifest or the configuration."""
    details: dict[str, str] = {}
    """What else there is to say, as the file that changed or the reason that was given."""
    previous: str = ""
    """The hash of the entry before."""
    hash: str = ""
    """The sha256 of this entry in canonical JSON, without this field."""
    outcome: str
    message: MessageView | None = None
    """`outcome` as a code and values."""
