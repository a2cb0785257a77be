"""What the engine tells the world while it works: frozen facts, emitted to listeners that may not talk back.

The log, the progress display and the metrics are listeners; none of them can fail a pass
or slow it by more than a call.
"""

from collections.abc import Callable
from dataclasses import dataclass

from manifests.snapshot import Verdict


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
    """One file begins to move; `size` is None where upstream does not say."""

    path: str
    size: int | None


@dataclass(frozen=True, slots=True)
class TransferAdvanced(Event):
    """`received` more bytes arrived for a file."""

    path: str
    received: int


@dataclass(frozen=True, slots=True)
class TransferFinished(Event):
    """One file is proved and stored."""

    path: str
    size: int
    verdict: Verdict
    replaced: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TransferRetried(Event):
    """A try failed and another will follow after `wait` seconds."""

    path: str
    reason: str
    attempt: int
    wait: float


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


Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Take an event and do nothing."""
