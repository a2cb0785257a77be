"""What each origin was seen to do with ranges and HEAD: an odd one is asked in the plainer way from then on.

A transport remembers this as long as it lives, which is one pass.
"""

from collections import Counter

KNOWN = 1024  # origins that are remembered
LONG = 1 << 20  # bytes of a range that shows that ranges are not capped
DOUBTS = 3  # plain requests that were refused like the range before them; then a refusal has nothing to do with ranges
PATIENCE = 4  # failures of ranges from the middle, over LASTING seconds, before the whole file is asked for instead
LASTING = 5.0  # seconds: a busy server refuses for a moment
CHECKED = 2  # answers to HEAD that are compared with those to GET; then the origin's HEAD is trusted

SAME = frozenset({202, 404, 407, 408, 410, 412, 425, 429, 502, 503, 504, 509})
"""Statuses that a plain request would get, too. Any other refusal may be due to the range, or to HEAD."""


class OriginHabits:
    """The habits of the origins that one transport reads from."""

    __slots__ = ("_confirmed", "_doubts", "_failing", "lying", "middle", "moody", "partial", "ranged", "whole")

    def __init__(self) -> None:
        self.whole: set[str] = set()
        """Origins that serve whole files only."""
        self.partial: set[str] = set()
        """Origins that have answered a range with one, be it the whole file."""
        self.ranged: set[str] = set()
        """Origins that have served a range from the middle of a file, or a long one."""
        self.middle: set[str] = set()
        """Origins that have served a range from the middle of a file."""
        self.lying: set[str] = set()
        """Origins whose HEAD is refused or says something else than GET."""
        self.moody: set[str] = set()
        """Origins with several ETags for one file: one for each server behind the name."""
        self._doubts: Counter[str] = Counter()
        self._confirmed: Counter[str] = Counter()
        self._failing: dict[str, tuple[int, float]] = {}

    def served(self, origin: str, *, is_part: bool, is_middle: bool) -> None:
        """Remember that a range was served as asked; `is_part` is True for one that proves more than small ones do."""
        if origin not in self.partial:
            self._bound()
            self.partial.add(origin)
        if is_part:
            self.ranged.add(origin)
        if is_middle:
            self.middle.add(origin)
            self._failing.pop(origin, None)

    def fails_in_the_middle(self, origin: str, now: float) -> bool:
        """Count a failed range from the middle; return True if the origin has served none, and refuses for long."""
        if origin in self.middle:
            return False
        count, since = self._failing.get(origin, (0, now))
        self._failing[origin] = (count + 1, since)
        return count + 1 >= PATIENCE and now - since >= LASTING

    def refused_range(self, origin: str) -> None:
        """Remember that a plain request succeeded where one for a range did not."""
        if origin not in self.ranged:
            self.refuses_all_ranges(origin)
        self._doubts.pop(origin, None)

    def refuses_all_ranges(self, origin: str) -> None:
        """Remember that files must be requested without ranges there."""
        self._bound()
        self.whole.add(origin)
        self._failing.pop(origin, None)

    def refused_both(self, origin: str) -> None:
        """Remember that a plain request was refused like the one for a range."""
        self._doubts[origin] += 1

    def is_worth_asking(self, origin: str) -> bool:
        """Return True if a plain request may succeed where one for a range was refused."""
        return self._doubts[origin] < DOUBTS

    def is_trusted(self, origin: str) -> bool:
        """Return True if GET has confirmed what HEAD says."""
        return self._confirmed[origin] >= CHECKED

    def confirm(self, origin: str) -> None:
        """Remember that GET says the same as HEAD."""
        self._confirmed[origin] += 1

    def _bound(self) -> None:
        if max(map(len, (self.whole, self.partial, self.lying, self._doubts, self._failing))) >= KNOWN:
            for known in (self.whole, self.partial, self.ranged, self.middle, self.lying, self.moody):
                known.clear()
            self._failing.clear()
            for counted in (self._doubts, self._confirmed):
                counted.clear()
