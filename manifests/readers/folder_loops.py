"""Finds folders that are links to a folder above them (`x -> .`), on servers that show a link as a folder.

A folder with the same listing as one above it may be such a link, in which a walk would not end. It is followed alone,
without its files: the names that led to it are appended again and again. If the listing repeats down to the greatest
depth, the folder is a link and is left out. If it does not, the folders on the way are read like all others.
"""

from collections.abc import Iterator

import msgspec

from manifests.messages import message
from manifests.reading import ReaderWarning

MAX_DEPTH = 32  # folders below a source
HELD = 100_000  # entries of one folder that wait until its listing was compared with those above

LEFT_OUT = ReaderWarning(message("folders that are links to a folder above them were left out"))


class LoopProbe(msgspec.Struct, frozen=True):
    """A folder that may be a link to one above it: `cycle` are the names that lead there and back again.

    `start` is the first folder with the repeated listing `mark`, `above` are the listings above that, and `count` is
    how often the listing was repeated.
    """

    start: str
    above: tuple[str, ...]
    cycle: tuple[str, ...]
    mark: str
    count: int = 1

    def is_certain(self, path: str) -> bool:
        """Return True if the listing was repeated down to `path`, and there is no deeper folder to ask for."""
        return path.count("/") + 1 + len(self.cycle) > MAX_DEPTH

    def next(self, path: str) -> tuple[str, "LoopProbe"]:
        """Return the next folder to ask for, after the one at `path` with the same listing, and the probe for it."""
        return "/".join((path, *self.cycle)), msgspec.structs.replace(self, count=self.count + 1)

    def first(self) -> str:
        """Return the first folder to ask for."""
        return "/".join((self.start, *self.cycle))

    def ordinary(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the folders on the way, which are no links, and the listings above each."""
        for number in range(self.count + 1):
            above = (*self.above, *(self.mark,) * (number * len(self.cycle)))
            yield "/".join((self.start, *self.cycle * number)), above


def suspected(path: str, above: tuple[str, ...], mark: str) -> LoopProbe | None:
    """Return a probe if the folder at `path` has the listing of one above it."""
    if mark not in above:
        return None
    depth = len(above) - 1 - above[::-1].index(mark)
    return LoopProbe(path, above, tuple(path.split("/")[depth:]), mark)
