"""Computes the progress of a pass from its events, in constant memory.

Only running transfers are kept one by one. Failed files count as done.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from syncd.core import (
    Event,
    OriginAway,
    OriginBack,
    Planned,
    Published,
    SurveyAdvanced,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRetried,
    TransferStarted,
)

WINDOW = 10.0  # seconds over which a speed is measured

Phase = Literal["survey", "transfer", "published"]


class TransferProgress(msgspec.Struct):
    """One running transfer."""

    path: str
    size: int | None
    received: int = 0


class PassProgress(msgspec.Struct):
    """The progress of one mirror's pass."""

    mirror: str
    phase: Phase = "survey"
    documents: int = 0
    known: int = 0
    found: int = 0
    planned_files: int = 0
    planned_bytes: int = 0
    sized: bool = True  # False after a file of unknown size: `planned_bytes` is then too small
    files: int = 0  # completed or failed
    failed: int = 0
    retried: int = 0
    arrived: int = 0  # bytes; those received twice count twice
    behind: int = 0  # bytes of the completed or failed files
    moving: dict[str, TransferProgress] = {}
    away: set[str] = set()  # origins that are waited for

    def on_event(self, event: Event) -> None:
        """Count one event."""
        count = _COUNTS.get(type(event))
        if count is not None:
            count(self, event)

    def under_way(self) -> list[TransferProgress]:
        """Return the running transfers; safe to call from another thread."""
        return list(self.moving.values())

    def share(self) -> float | None:
        """Return the completed share of the work, 0 to 1: by bytes if every size is known, else by files."""
        if self.sized and self.planned_bytes:
            partly = sum(min(one.received, one.size or 0) for one in self.under_way())
            return min(1.0, (self.behind + partly) / self.planned_bytes)
        return min(1.0, self.files / self.planned_files) if self.planned_files else None


def _advance(tally: PassProgress, event: SurveyAdvanced) -> None:
    tally.documents, tally.known, tally.found = event.documents, event.known, event.files


def _plan(tally: PassProgress, event: Planned) -> None:
    tally.phase = "transfer"
    tally.planned_files, tally.planned_bytes = event.fetch + event.replace, event.bytes


def _start(tally: PassProgress, event: TransferStarted) -> None:
    tally.moving[event.path] = TransferProgress(event.path, event.size)
    if event.size is None:
        tally.sized = False


def _arrive(tally: PassProgress, event: TransferAdvanced) -> None:
    tally.arrived += event.received
    transfer = tally.moving.get(event.path)
    if transfer is not None:
        transfer.received += event.received


def _finish(tally: PassProgress, event: TransferFinished) -> None:
    transfer = tally.moving.pop(event.path, None)
    if not event.copied and (transfer is None or not transfer.received):
        tally.arrived += event.size  # received at once, without progress events
    tally.files += 1
    tally.behind += event.size


def _fail(tally: PassProgress, event: TransferFailed) -> None:
    transfer = tally.moving.pop(event.path, None)
    tally.files += 1
    tally.failed += 1
    if transfer is not None and transfer.size is not None:
        tally.behind += transfer.size


def _retry(tally: PassProgress, _: TransferRetried) -> None:
    tally.retried += 1


def _lose(tally: PassProgress, event: OriginAway) -> None:
    tally.away.add(event.origin)


def _find(tally: PassProgress, event: OriginBack) -> None:
    tally.away.discard(event.origin)


def _publish(tally: PassProgress, _: Published) -> None:
    tally.phase = "published"


_COUNTS: dict[type[Event], Callable[[PassProgress, Any], None]] = {
    SurveyAdvanced: _advance,
    Planned: _plan,
    TransferStarted: _start,
    TransferAdvanced: _arrive,
    TransferFinished: _finish,
    TransferFailed: _fail,
    TransferRetried: _retry,
    Published: _publish,
    OriginAway: _lose,
    OriginBack: _find,
}


class Speed:
    """The growth rate of an amount over the last seconds."""

    def __init__(self, window: float = WINDOW) -> None:
        """`window` is in seconds."""
        self._window = window
        self._seen: deque[tuple[float, float]] = deque()

    def at(self, now: float, amount: float) -> float:
        """Return the growth per second, if the amount is `amount` at `now`."""
        seen = self._seen
        if seen and amount < seen[-1][1]:
            seen.clear()  # another pass began
        seen.append((now, amount))
        while len(seen) > 2 and now - seen[1][0] >= self._window:
            seen.popleft()
        return self.so_far(now, amount)

    def so_far(self, now: float, amount: float) -> float:
        """As `at`, but record nothing; other threads may call it."""
        seen = list(self._seen)
        if not seen or amount < seen[-1][1]:
            return 0.0
        elapsed = now - seen[0][0]
        return (amount - seen[0][1]) / elapsed if elapsed > 0 else 0.0
