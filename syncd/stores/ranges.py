"""The parts of a file that are present: sorted, disjoint, half-open ranges that never touch one another."""

from bisect import bisect_left


def add(ranges: list[tuple[int, int]], start: int, stop: int) -> None:
    """Add `[start, stop)` in place; join ranges that touch."""
    if start >= stop:
        return
    if ranges and ranges[-1][1] == start:  # the usual case: bytes in order
        ranges[-1] = (ranges[-1][0], stop)
        return
    first = bisect_left(ranges, start, key=lambda held: held[1])
    last = first
    while last < len(ranges) and ranges[last][0] <= stop:
        start, stop = min(start, ranges[last][0]), max(stop, ranges[last][1])
        last += 1
    ranges[first:last] = [(start, stop)]


def are_complete(ranges: list[tuple[int, int]], size: int) -> bool:
    """Return True if the ranges are exactly `[0, size)`."""
    return ranges == ([(0, size)] if size else [])


def first_gap(ranges: list[tuple[int, int]], size: int) -> tuple[int, int]:
    """Return the first range of `[0, size)` that is missing, for a message."""
    start = ranges[0][1] if ranges and ranges[0][0] == 0 else 0
    after = [held[0] for held in ranges if held[0] > start]
    return start, min([*after, size])
