"""Counts observations in buckets, as Prometheus expects them."""

from bisect import bisect_left


class Histogram:
    """Observations by upper bound; the last of `counts` is for values over the last bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Create an empty histogram with these upper bounds."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative buckets, as Prometheus expects them."""
        return cumulated(self.bounds, self.counts)

    def add(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


def cumulated(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Return counts, one for each bound and one beyond, as cumulative buckets."""
    found: list[tuple[str, float]] = []
    so_far = 0
    for bound, count in zip((*map(_bound, bounds), "+Inf"), counts, strict=True):
        so_far += count
        found.append((bound, so_far))
    return found


def _bound(bound: float) -> str:
    return f"{float(bound)!r}"
