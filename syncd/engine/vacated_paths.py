"""Finds new files whose paths are still taken by files that upstream no longer lists. Pure.

A file that became a folder (`a` became `a/b`), a folder that became a file, and, in a store that folds case, a file
whose name changed in case only: the new file is staged, and takes its path in the publish that removes the other one.
"""

from collections.abc import Iterable, Iterator

from manifests.messages import message
from manifests.stat import fold


class VacatedPaths:
    """The paths that files leave; `folds` is True for a store that takes names of different case for one."""

    def __init__(self, leaving: Iterable[str], *, folds: bool = False) -> None:
        self._folds = folds
        self._leaving = {fold(path) if folds else path for path in leaving}
        self._folders = {folder for path in self._leaving for folder in folders_of(path)}

    def waiting(self, fetched: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each new path that must wait, and the reason."""
        for path in fetched:
            key = fold(path) if self._folds else path
            if key in self._folders:
                yield path, message("takes the place of a folder that upstream no longer has")
            elif self._folds and key in self._leaving:
                yield path, message("takes the place of a file whose name differs in case only")
            elif any(folder in self._leaving for folder in folders_of(key)):
                yield path, message("is in a folder that takes the place of a file that upstream no longer has")


def folders_of(path: str) -> Iterator[str]:
    """Yield the folders in which a path lies, without their slashes."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
