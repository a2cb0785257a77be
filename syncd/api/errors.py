"""Every way in which a request is declined: one shape of answer, which says what is wrong and what to do.

Rule: nothing of an unexpected failure is shown to whom asked; it goes to the log.
"""

from dataclasses import dataclass

import msgspec

from syncd.core.errors import (
    Busy,
    Changed,
    ConfigError,
    Damaged,
    Denied,
    Exists,
    NoSpace,
    NotFound,
    Offline,
    Parked,
    PermanentError,
    SyncdError,
    TooLarge,
    TransientError,
    Unsafe,
)
from syncd.core.printable import printable

RETRY = 30  # seconds after which what is busy or offline may be asked again


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a manifest, at its place."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was declined: the kind of error in one word, the reason, and what to do about it."""

    error: str
    reason: str
    todo: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of our failures is answered."""

    status: int
    todo: str


_KINDS: dict[type[SyncdError], Kind] = {
    NotFound: Kind(404, "look at the list above it; names and ids are case-sensitive"),
    ConfigError: Kind(422, "mend what the reason names, and send it again"),
    Parked: Kind(409, "look at the parked removals, then approve them or leave them"),
    Busy: Kind(409, "wait for what is under way, or cancel it"),
    Changed: Kind(409, "ask again: it changed while you looked"),
    Exists: Kind(409, "it is there already"),
    Denied: Kind(403, "ask the operator of this daemon"),
    Unsafe: Kind(400, "send a path without .., control characters or a leading slash"),
    TooLarge: Kind(413, "send less"),
    NoSpace: Kind(507, "free space for the state folder and the store"),
    Damaged: Kind(500, "see docs/operating.md, and look at the daemon's log"),
    Offline: Kind(503, "see that the store is mounted and answers; the daemon goes on alone when it does"),
}


class Declined(PermanentError):
    """A request that we do not answer as asked."""

    def __init__(
        self, status: int, error: str, reason: str, todo: str, *, retry_after: int | None = None, **headers: str
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.failure = Failure(error, reason, todo)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


def declined(error: SyncdError) -> Declined:
    """Return how one of our failures is answered."""
    if isinstance(error, Declined):
        return error
    name, reason = type(error).__name__, printable(str(error))
    kind = next((_KINDS[one] for one in type(error).__mro__ if one in _KINDS), None)
    if isinstance(error, TransientError):
        kind = kind or Kind(503, "ask again later")
        return Declined(kind.status, name, reason, kind.todo, retry_after=RETRY)
    kind = kind or Kind(409, "look at the daemon's log")
    return Declined(kind.status, name, reason, kind.todo)
