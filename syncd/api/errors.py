"""The errors of the API: every answer has the same structure, with the reason and a remedy.

Rule: the details of an unexpected failure are not sent to the client; they are logged.
"""

from dataclasses import dataclass

import msgspec

from manifests.messages import message
from syncd.core import (
    Busy,
    Changed,
    ConfigError,
    Damaged,
    Denied,
    Exhausted,
    Exists,
    MessageView,
    NoSpace,
    NotFound,
    Offline,
    Parked,
    PermanentError,
    SyncdError,
    TooLarge,
    TransientError,
    UnknownName,
    Unsafe,
    message_view,
    printable,
)

RETRY = 30  # seconds for Retry-After


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a manifest, at its position."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was rejected: the kind of error in one word, the reason, and a remedy."""

    error: str
    reason: str
    todo: str
    problems: tuple[Problem, ...] = ()
    message: MessageView | None = None
    """`reason` as a code and values."""
    todo_message: MessageView | None = None
    """`todo` as a code and values."""


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """The answer to one kind of failure."""

    status: int
    todo: str


_KINDS: dict[type[SyncdError], ErrorKind] = {
    NotFound: ErrorKind(404, message("look at the list above it; names and ids are case-sensitive")),
    ConfigError: ErrorKind(422, message("correct the reported error, and send it again")),
    Parked: ErrorKind(409, message("look at the losses that are held, then approve or reject them")),
    Busy: ErrorKind(409, message("look at the state of the mirror, and try again when it has changed")),
    Changed: ErrorKind(409, message("send the request again: the state has changed meanwhile")),
    Exists: ErrorKind(409, message("it exists already")),
    Denied: ErrorKind(403, message("ask the operator of this daemon")),
    Unsafe: ErrorKind(400, message("send a path without .., control characters or a leading slash")),
    TooLarge: ErrorKind(413, message("send less")),
    NoSpace: ErrorKind(507, message("free space for the state folder and the store")),
    Damaged: ErrorKind(500, message("see docs/operating.md, and look at the daemon's log")),
    Exhausted: ErrorKind(503, message("raise the limit of open files of the daemon (LimitNOFILE=)")),
    Offline: ErrorKind(503, message("see that the store is mounted and answers; the daemon then continues by itself")),
}


class HttpError(PermanentError):
    """A rejected request."""

    def __init__(
        self, status: int, error: str, reason: str, todo: str, *, retry_after: int | None = None, **headers: str
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.failure = Failure(error, reason, todo, message=message_view(reason), todo_message=message_view(todo))
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


def http_error(error: SyncdError) -> HttpError:
    """Return the answer to a failure."""
    if isinstance(error, HttpError):
        return error
    name, reason = type(error).__name__, printable(str(error))
    if isinstance(error, UnknownName):
        name = NotFound.__name__  # the name that the API has always had
    kind = next((_KINDS[one] for one in type(error).__mro__ if one in _KINDS), None)
    if isinstance(error, TransientError):
        kind = kind or ErrorKind(503, message("try again later"))
        return HttpError(kind.status, name, reason, kind.todo, retry_after=RETRY)
    kind = kind or ErrorKind(409, message("look at the daemon's log"))
    return HttpError(kind.status, name, reason, kind.todo)
