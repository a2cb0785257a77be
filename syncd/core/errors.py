"""The failures that syncd expects, and what each one means for a pass.

Rule 1: there are three kinds and no fourth. Any other exception is a bug and may stop the process.
Rule 2: an adapter translates its library's exceptions into these where they are raised.
Rule 3: a message begins with the path, names the two values that differ, and ends without a full stop.
Rule 4: a message holds no secret: `redact` removes those in urls and headers, here.

    SyncdError
    ├── TransientError      worth another try, later
    │   ├── Refused         upstream said "not now": 429, 503, a reset; the governor slows down
    │   ├── Unreachable     no connection, unknown host, or no response header in time
    │   ├── Interrupted     the body ended early, or broke
    │   │   └── Stalled         the body came more slowly than the minimum speed
    │   ├── Offline         the store does not answer, or is not mounted
    │   │   └── KeysRejected    it accepted its keys before, and rejects them now; nothing was written
    │   ├── Exhausted       this process or machine has no file descriptor left
    │   ├── Halted          the pass was asked to stop while the request waited
    │   └── TokenOutdated   the token must be renewed before the request; see `CredentialedTransport`
    ├── PermanentError      the same request will get the same response
    │   ├── NotFound        404, 410, no such key or file
    │   │   └── UnknownName     no mirror, snapshot or file of the name that a command gives
    │   ├── Archived        the object must be restored from an archive before it can be read
    │   ├── Denied          401, 403, or an invalid certificate
    │   │   ├── CredentialRefused   the server rejects the credential, which is read again
    │   │   └── CredentialExpired   the credential was read again, and is still rejected
    │   ├── Changed         the file is no longer the version that the read began with
    │   ├── Unsupported     upstream cannot do what was asked (a method, a scheme)
    │   │   └── RangeRefused    upstream serves the file, but not this range of it
    │   ├── Mismatch        size or checksum differs from what upstream published
    │   ├── Unsafe          a path, redirect, address or document that syncd refuses
    │   ├── TooLarge        a read exceeded its limit
    │   ├── NoSpace         the store or the state folder is full
    │   ├── Busy            another process holds the lease
    │   │   └── LeaseLost       another process took the lease during the work
    │   ├── Exists          a create-only put found an object at the path
    │   ├── Damaged         stored bytes or the Catalogue differ from what syncd wrote
    │   ├── Parked          the guard holds losses until a steward approves them
    │   ├── NothingFound    upstream lists no file, or fewer than the manifest demands
    │   └── PlanOutdated    a pass would do something else than the plan that it shall apply
    └── ConfigError         a manifest, a setting or a command line is wrong; the message says where and what to do
"""

import errno

from manifests.messages import message
from syncd.core.redaction import redact


class SyncdError(Exception):
    """Base of all failures that syncd expects and reports."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def error_kinds() -> dict[str, type[SyncdError]]:
    """Return every kind of error that is made of a message alone, by its name: for errors of another process."""
    found, left = {}, [SyncdError]
    while left:
        kind = left.pop()
        found[kind.__name__] = kind
        left += [one for one in kind.__subclasses__() if one.__module__ == __name__]
    return found


class TransientError(SyncdError):
    """A retry may succeed; `retry_after` is the wait that upstream asked for, in seconds, already capped."""

    is_held = False
    """True if the next attempt waits until the origin answers again: this one does not count."""
    is_final = False
    """True if no further attempt follows: the origin was waited for long enough."""
    is_of_gateway = False
    """True if a server answered that the one behind it is away, or busy: if all requests get that, the origin is."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(TransientError):
    """Upstream rejects the request because it gets too many."""


class Unreachable(TransientError):
    """The server did not respond in time."""

    is_silent = True
    """True if no connection was made, or nothing was answered: the whole origin may be away (see `answering`)."""


def answering(error: Unreachable) -> Unreachable:
    """Return the error of a server that did answer: with an internal error, or for one file."""
    error.is_silent = False
    return error


def of_gateway(error: TransientError) -> TransientError:
    """Return the error of a server that answers for one behind it (502, 503, 504)."""
    error.is_of_gateway = True
    return error


class Interrupted(TransientError):
    """The body ended before its end."""


class Stalled(Interrupted):
    """The body came more slowly than the minimum speed; its bytes do not renew the budget of retries."""


class Offline(TransientError):
    """The store does not respond, or its folder is not the expected one."""


class KeysRejected(Offline):
    """The store rejects keys that it accepted before; the request changed nothing."""


class LeaseLapsed(TransientError):
    """The lease expired while this process was stopped or kept waiting: it must be confirmed before the next change."""


class Exhausted(TransientError):
    """This process or machine has no file descriptor left: neither the source nor the store is at fault."""


class Halted(TransientError):
    """The pass was asked to stop while this request waited: the file is left to the next pass, and has not failed."""

    is_final = True


class TokenOutdated(TransientError):
    """No valid token is at hand: the request was not sent, and its slot is given back until there is one."""


class PermanentError(SyncdError):
    """A retry would fail in the same way."""


class NotFound(PermanentError):
    """The file does not exist."""


class UnknownName(NotFound):
    """There is no mirror, snapshot, backup or file of the name that a command or a request gives."""


class Denied(PermanentError):
    """Access is denied, or the server's certificate is invalid."""


class CredentialRefused(Denied):
    """The server rejects the credential that was sent.

    `is_sure` is True if only the credential can be the reason, False if it may also be the access control of the file.
    """

    def __init__(self, message: str, *, is_sure: bool = True) -> None:
        super().__init__(message)
        self.is_sure = is_sure
        self.generation: int | None = None
        """Which of its secrets was sent; see `syncd.sources.CredentialKeeper`."""


class CredentialExpired(Denied):
    """No server of `origins` accepts the credential any more; nothing is asked there until its secret changes."""

    def __init__(self, message: str, *, origins: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.origins = origins


class Archived(PermanentError):
    """The object is in an archive of its store, and must be restored before it can be read."""


class Changed(PermanentError):
    """The file is no longer the version that the read began with; read it again from the beginning."""


class Unsupported(PermanentError):
    """The server or store does not support the request."""


class RangeRefused(Unsupported):
    """The server does not serve this range of the file as asked; it may serve the whole file."""


class Mismatch(PermanentError):
    """The bytes differ from what upstream published."""


class Unsafe(PermanentError):
    """A path, redirect, address or document that syncd refuses."""


class TooLarge(PermanentError):
    """A read exceeded its limit."""


class NoSpace(PermanentError):
    """No space, inodes or quota left."""


class Busy(PermanentError):
    """Another process holds the lease."""


class LeaseLost(Busy):
    """Another process took the lease that this process held."""


class Exists(PermanentError):
    """A create-only put found an object at the path."""


class Damaged(PermanentError):
    """Stored bytes or the Catalogue differ from what syncd wrote; `in_catalogue`: then no check can go on.

    `of_mirror` names the mirror if only its records are damaged: the others are not concerned.
    """

    def __init__(self, message: str, *, in_catalogue: bool = False, of_mirror: str = "") -> None:
        super().__init__(message)
        self.in_catalogue = in_catalogue
        self.of_mirror = of_mirror


class Parked(PermanentError):
    """The guard holds losses for approval."""


class NothingFound(PermanentError):
    """Upstream lists no file, or fewer than the manifest demands; nothing was changed."""


class PlanOutdated(PermanentError):
    """A pass would do something else than the plan that it shall apply; nothing was changed."""


class ConfigError(SyncdError):
    """A manifest, a setting or a command line that is wrong."""


LOCAL_FAILURES = (NoSpace, Offline, Busy, Exists, Damaged)
"""Failures of the store, the Catalogue or their disks: no document, file or source is at fault."""


def exhausted(error: BaseException, label: str) -> Exhausted | None:
    """Return the error if the system refused a file descriptor; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
        return None
    return Exhausted(
        message(
            "{label}: no file descriptor left: raise the limit of open files (LimitNOFILE=, ulimit -n)", label=label
        )
    )
