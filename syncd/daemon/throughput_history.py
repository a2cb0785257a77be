"""The throughput of a mirror over the last day: mean rates and backlogs, one sample for every five minutes."""

from array import array
from collections.abc import Iterator

from syncd.control import Sample

STEP = 300.0  # seconds that one sample stands for
KEPT = 288  # samples: a day of them


class ThroughputHistory:
    """A ring buffer of samples; a new sample replaces the oldest."""

    __slots__ = ("_at", "_began", "_files", "_next", "_rate", "_seen", "_size")

    def __init__(self) -> None:
        """Create an empty history."""
        self._at, self._rate, self._files, self._size = array("d"), array("d"), array("d"), array("d")
        self._next = 0
        self._began: float | None = None
        self._seen = 0.0

    def add_sample(self, at: float, received: float, files: int, size: int) -> None:
        """Record all bytes `received` so far, and the backlog; adds at most one sample every STEP seconds."""
        if self._began is None or at < self._began:  # the first call, or the clock was set back
            self._began, self._seen = at, received
            return
        if at - self._began < STEP:
            return
        rate = max(0.0, received - self._seen) / (at - self._began)
        values = (at, rate, float(files), float(size))
        for ring, value in zip((self._at, self._rate, self._files, self._size), values, strict=True):
            if len(ring) < KEPT:
                ring.append(value)
            else:
                ring[self._next] = value
        self._next = (self._next + 1) % KEPT
        self._began, self._seen = at, received

    def samples(self) -> Iterator[Sample]:
        """Yield the samples, the oldest first; other threads may call it."""
        count = len(self._size)  # the last one that grows
        first = self._next if count == KEPT else 0
        for number in range(count):
            place = (first + number) % count
            yield Sample(
                at=self._at[place],
                rate=self._rate[place],
                backlog_files=int(self._files[place]),
                backlog_bytes=int(self._size[place]),
            )
