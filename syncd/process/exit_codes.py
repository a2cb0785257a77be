"""The exit codes of commands."""

from syncd.core import (
    Busy,
    ConfigError,
    Damaged,
    Denied,
    Halted,
    NoSpace,
    NothingFound,
    Parked,
    PermanentError,
    PlanOutdated,
    SyncdError,
    TransientError,
    UnknownName,
)

DONE, SOME_FAILED, USAGE, GUARDED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

_CODES: tuple[tuple[type[SyncdError], int], ...] = (
    (ConfigError, USAGE),
    (UnknownName, USAGE),
    (Busy, GUARDED),
    (Halted, INTERRUPTED),
    (NoSpace, GUARDED),
    (Parked, GUARDED),
    (NothingFound, GUARDED),
    (PlanOutdated, GUARDED),
    (Denied, UNREACHABLE),
    (Damaged, GUARDED),
    (TransientError, UNREACHABLE),
    (PermanentError, UNREACHABLE),
)


def code_of(error: SyncdError) -> int:
    """Return the exit code of a failure of the whole command."""
    return next(code for kind, code in _CODES if isinstance(error, kind))
