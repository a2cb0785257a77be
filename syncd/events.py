"""What the engine tells the world while it works: frozen facts, emitted to listeners that may not talk back.

The log, the progress display and the metrics are listeners; none of them can fail a pass
or slow it by more than a call.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from manifests.snapshot import Verdict
from syncd.redaction import Secrets


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a mirror."""

    mirror: str


@dataclass(frozen=True, slots=True)
class SurveyStarted(Event):
    """A pass has begun to ask upstream what it has."""


@dataclass(frozen=True, slots=True)
class SurveyAdvanced(Event):
    """`documents` of `known` documents were read; `files` found so far."""

    documents: int
    known: int
    files: int


@dataclass(frozen=True, slots=True)
class DocumentFailed(Event):
    """A document could not be read; the inventory is incomplete."""

    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class SurveyNoted(Event):
    """Something was passed over in documents that were read, `times` times."""

    text: str
    times: int


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """What will be done: counts of files, and the bytes to move as far as upstream gives sizes."""

    fetch: int
    replace: int
    keep: int
    remove: int
    refused: int
    bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class TransferStarted(Event):
    """One file begins to move; `size` and `modified` are None where upstream does not say."""

    path: str
    size: int | None
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class TransferAdvanced(Event):
    """`received` more bytes arrived for a file."""

    path: str
    received: int


@dataclass(frozen=True, slots=True)
class TransferFinished(Event):
    """One file is proved and stored; `modified` is when upstream says that it was published."""

    path: str
    size: int
    verdict: Verdict
    replaced: bool
    seconds: float
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class TransferRetried(Event):
    """A try failed and another will follow after `wait` seconds; `error` is its kind."""

    path: str
    reason: str
    attempt: int
    wait: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class TransferRestarted(Event):
    """What came of a file is thrown away, and it starts again from its first byte: it changed, or did not match."""

    path: str
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class TransferFailed(Event):
    """One file could not be had in this pass; `quarantined` says that bytes are kept aside."""

    path: str
    reason: str
    error: str
    quarantined: bool


@dataclass(frozen=True, slots=True)
class RemovalsParked(Event):
    """The guard holds `files` removals of `bytes` back."""

    files: int
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Published(Event):
    """The mirror's pointer names this snapshot; `changed` is False where it did before."""

    snapshot: str
    files: int
    bytes: int
    changed: bool


@dataclass(frozen=True, slots=True)
class PassFinished(Event):
    """One pass is over."""

    complete: bool
    fetched: int
    replaced: int
    kept: int
    removed: int
    parked: int
    failed: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LimitChanged(Event):
    """The governor found another level for an origin (`mirror` is "")."""

    origin: str
    limit: int
    reason: str


@dataclass(frozen=True, slots=True)
class PassStarted(Event):
    """The daemon began a pass; `why` is schedule, start, manifest, after or asked (by `who`)."""

    pass_id: int
    why: str
    who: str


@dataclass(frozen=True, slots=True)
class PassFailed(Event):
    """A pass could not be had: source or store away, no space. The next one is due in `wait` seconds, if ever."""

    error: str
    reason: str
    wait: float | None


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """A mirror is in another state of `syncd.views.State` now, and why."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ManifestAccepted(Event):
    """A new or changed manifest is in force."""

    file: str


@dataclass(frozen=True, slots=True)
class ManifestRejected(Event):
    """A manifest is wrong (`mirror` is "" where it does not say which); `problems` are lines of file:line:column."""

    file: str
    problems: tuple[str, ...]
    in_force: bool


@dataclass(frozen=True, slots=True)
class ManifestWithdrawn(Event):
    """A manifest was removed; the copy stays, and no pass runs any more."""

    file: str


@dataclass(frozen=True, slots=True)
class ScrubAdvanced(Event):
    """`files` of `bytes` were read again and are good."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DamageFound(Event):
    """A stored file is not what was proved; `finding` is missing, size, digest or unreadable."""

    path: str
    finding: str
    reason: str


@dataclass(frozen=True, slots=True)
class DamageMended(Event):
    """A damaged file was replaced by proved bytes; the damaged ones are in the quarantine."""

    path: str


@dataclass(frozen=True, slots=True)
class DamageStays(Event):
    """A damaged file could not be mended yet; it will be tried again."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreChanged(Event):
    """The store is online, offline or full now (`mirror` is "")."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Audited(Event):
    """Somebody changed something, or tried to."""

    who: str
    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """The configuration was read again; `needs_restart` are changed keys that have no effect yet (`mirror` is "")."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadFailed(Event):
    """The configuration is wrong; the last good one stays in force (`mirror` is "")."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackupWritten(Event):
    """The Catalogue was backed up into the store (`mirror` is "")."""

    place: str
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BackupFailed(Event):
    """The Catalogue could not be backed up; it will be tried again (`mirror` is "")."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClockStepped(Event):
    """The wall clock moved by `seconds` against the monotonic one (`mirror` is "")."""

    seconds: float


@dataclass(frozen=True, slots=True)
class DaemonStarted(Event):
    """The daemon works (`mirror` is "")."""

    version: str
    mirrors: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DaemonStopping(Event):
    """The daemon was asked to stop, and lets `running` passes end (`mirror` is "")."""

    running: int


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """A listener was too slow for `count` events (`mirror` is ""); ask for the state anew."""

    count: int


Listener = Callable[[Event], None]

KINDS: tuple[type[Event], ...] = tuple(
    kind for kind in vars().values() if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
)


def discreet(listener: Listener, secrets: Secrets) -> Listener:
    """Return a listener that passes every event on, without the secrets that a stranger's words may hold."""

    def listen(event: Event) -> None:
        free = _FREE.get(type(event))
        if free is not None:
            cleaned: dict[str, Any] = {name: _clean(event, name, secrets) for name in free}
            event = replace(event, **cleaned)
        listener(event)

    return listen


def _clean(event: Event, name: str, secrets: Secrets) -> object:
    said = getattr(event, name)
    return secrets.redact(said) if isinstance(said, str) else tuple(secrets.redact(part) for part in said)


_FREE = {
    kind: free
    for kind in KINDS
    if (free := [name for name in ("url", "reason", "problems") if name in kind.__match_args__])
}


def nobody(event: Event) -> None:
    """Take an event and do nothing."""
