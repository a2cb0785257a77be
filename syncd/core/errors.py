"""Every failure syncd expects, and what each one means for the pass that meets it.

Rule 1: there are three kinds and no fourth; whatever else is raised is a bug and may stop us.
Rule 2: an adapter turns its library's exceptions into these where they are raised.
Rule 3: a message begins with the path, names the two values that differ, and ends without a full stop.
Rule 4: a message holds no secret, whoever put it into a url or a header: it goes through `redact` here.

    SyncdError
    ├── TransientError      worth another try, later
    │   ├── Refused         upstream said "not now": 429, 503, a reset; the governor slows down
    │   ├── Unreachable     no connection, no name, no header in time
    │   ├── Interrupted     the body ended early, or broke
    │   │   └── Stalled         it came too slowly to be called progress
    │   └── Offline         the store does not answer, or is not mounted
    ├── PermanentError      the same question will get the same answer
    │   ├── NotFound        404, 410, no such key or file
    │   ├── Denied          401, 403, a certificate that proves nothing
    │   ├── Changed         the file is no longer the version we began to read
    │   ├── Unsupported     upstream cannot do what was asked (a range, a scheme)
    │   ├── Mismatch        bytes arrived that are not what was promised
    │   ├── Unsafe          a path, redirect, address or document we refuse to follow
    │   ├── TooLarge        a read went past its bound
    │   ├── NoSpace         the store or the state folder is full
    │   ├── Busy            another process holds the lease
    │   │   └── LeaseLost       another process took the lease while we worked
    │   ├── Exists          a create-only put found something there
    │   ├── Damaged         our own bytes or our own Catalogue are not what we wrote
    │   └── Parked          a guard holds the removals back until a steward approves
    └── ConfigError         a manifest, a setting or a command line is wrong; says where and what to do
"""

from syncd.core.redaction import redact


class SyncdError(Exception):
    """A failure that syncd knows how to report."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class TransientError(SyncdError):
    """Worth another try; `retry_after` is what upstream asked for, in seconds, already capped."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(TransientError):
    """Upstream is telling us that we ask too much of it."""


class Unreachable(TransientError):
    """Nobody answered at the address, in time."""


class Interrupted(TransientError):
    """A body that began did not come to its end."""


class Stalled(Interrupted):
    """A body that came more slowly than the floor; what little came renews no budget of tries."""


class Offline(TransientError):
    """The store does not answer, or its folder is not the one we know."""


class PermanentError(SyncdError):
    """Asking again would bring the same answer."""


class NotFound(PermanentError):
    """There is no such file."""


class Denied(PermanentError):
    """We may not read it, or cannot trust who answers."""


class Changed(PermanentError):
    """The file is no longer the version we began to read; start it again from the beginning."""


class Unsupported(PermanentError):
    """The other side cannot do what was asked."""


class Mismatch(PermanentError):
    """The bytes are not what was promised."""


class Unsafe(PermanentError):
    """A path, redirect, address or document that we refuse to follow."""


class TooLarge(PermanentError):
    """A read went past its bound."""


class NoSpace(PermanentError):
    """No room, no inodes or no quota left."""


class Busy(PermanentError):
    """Another process holds the lease."""


class LeaseLost(Busy):
    """The lease was ours, and another process has taken it."""


class Exists(PermanentError):
    """A create-only put found an object there."""


class Damaged(PermanentError):
    """Our own bytes are not what we wrote."""


class Parked(PermanentError):
    """A guard holds the removals back."""


class ConfigError(SyncdError):
    """A manifest, a setting or a command line that is wrong."""
