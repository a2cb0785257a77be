"""A page of Stats stored by column, for listings of millions of files.

A column is compared, searched and written in one call, which together costs less than creating a Stat for each file.
A page is for listings with only the size, time and version of each file.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import overload

from manifests.stat import Stat


class Stats(Sequence[Stat]):
    """Stats of files without digests or urls of their own; the four columns are of one length and never changed.

    A version is upstream's own validator, in quotes where it is an ETag.
    """

    __slots__ = ("modified", "paths", "sizes", "versions")

    def __init__(
        self, paths: list[str], sizes: list[int], modified: list[float], versions: list[str | None] | list[str]
    ) -> None:
        """Take the columns as they are."""
        self.paths = paths
        self.sizes = sizes
        self.modified = modified
        self.versions = versions

    def where(self, wants: Callable[[str], bool]) -> "Stats":
        """Return the files whose paths are wanted."""
        wanted = list(map(wants, self.paths))
        if all(wanted):
            return self
        columns = (list(compress(column, wanted)) for column in (self.paths, self.sizes, self.modified, self.versions))
        return Stats(*columns)  # type: ignore[arg-type]  # each keeps its own type

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Stat]:
        return map(Stat, self.paths, self.sizes, self.modified, self.versions)

    @overload
    def __getitem__(self, at: int) -> Stat: ...
    @overload
    def __getitem__(self, at: slice) -> "Stats": ...
    def __getitem__(self, at: int | slice) -> "Stat | Stats":
        if isinstance(at, slice):
            return Stats(self.paths[at], self.sizes[at], self.modified[at], self.versions[at])
        return Stat(self.paths[at], self.sizes[at], self.modified[at], self.versions[at])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list


def paths_of(page: Sequence[Stat]) -> list[str]:
    """Return the paths of a page of any kind."""
    return page.paths if isinstance(page, Stats) else [stat.path for stat in page]
