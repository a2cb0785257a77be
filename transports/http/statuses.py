"""The error class and message for each HTTP status."""

from manifests.messages import message, template
from syncd.core import (
    Changed,
    NotFound,
    PermanentError,
    Refused,
    SyncdError,
    TransientError,
    Unreachable,
    Unsupported,
    answering,
    of_gateway,
)

DENIED = frozenset({401, 403, 407})
"""Access control; the message depends on the credential (`auth`)."""
GATEWAY = frozenset({502, 503, 504})
"""What a proxy answers for a server behind it that does not."""

_NOT_FOUND = (NotFound, template("{label}: upstream has no such file ({status})"))
_BUSY = (Refused, template("{label}: upstream limits requests or is busy ({status})"))
_NO_METHOD = (Unsupported, template("{label}: upstream does not support {method} ({status})"))
_FAILED = (Unreachable, template("{label}: upstream has an internal error ({status})"))
_ERRORS: dict[int, tuple[type[SyncdError], str]] = {
    202: _BUSY,
    404: _NOT_FOUND,
    405: _NO_METHOD,
    408: _FAILED,
    410: _NOT_FOUND,
    412: (Changed, template("{label}: is no longer {version}")),
    416: (Unsupported, template("{label}: upstream cannot serve bytes {wanted}, only {there}")),
    425: _FAILED,
    429: _BUSY,
    501: _NO_METHOD,
    503: _BUSY,
    509: _BUSY,
}
_OTHER = (PermanentError, template("{label}: upstream answers {status}"))


def status_error(status: int, label: str, *, retry_after: float | None, **values: str | None) -> SyncdError:
    """Return the error of a status that is no success. `values` are those that the messages name."""
    kind, text = _ERRORS.get(status, _FAILED if status >= 500 else _OTHER)
    reason = message(text, label=label, status=status, **values)
    if not issubclass(kind, TransientError):
        return kind(reason)
    error = kind(reason, retry_after=retry_after)
    if isinstance(error, Unreachable):
        answering(error)
    return of_gateway(error) if status in GATEWAY else error
