"""The files under `.syncd/tmp/`: their names, and the deletion of those that ended processes have left."""

import contextlib
import os
import secrets
from collections.abc import Callable

from syncd.stores.filesystem.dirfd_cache import DirfdCache, OpenFolder
from syncd.stores.filesystem.staged_file import TMP


class TemporaryFiles:
    """The temporary files of one store, those of other processes included."""

    def __init__(self, folders: DirfdCache, clock: Callable[[], float]) -> None:
        self._folders = folders
        self._clock = clock
        self._names = secrets.token_hex(8)  # prefix of the temporary names of this process; a counter follows it
        self._count = 0
        self.alive: set[str] = set()
        """The tokens of the staged files that this process has open."""

    def name(self) -> str:
        """Return a name under `.syncd/tmp/` that a sweep of this process leaves alone, even if the file is old."""
        self._count += 1
        return f"{self._names}-{self._count:x}.put"

    def unlink(self, name: str) -> None:
        """Remove one file, if it is still there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            tmp = self._folders.find(TMP)
            os.unlink(name, dir_fd=tmp.fd)

    def sweep(self, older_than: float) -> int:
        """Delete what has not changed for `older_than` seconds; return the number of staged files. Blocks."""
        try:
            tmp = self._folders.find(TMP)
            there = names_in(tmp)
        except FileNotFoundError:
            return 0
        before = self._clock() - older_than
        by_token: dict[str, list[tuple[str, float]]] = {}
        for name in there:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=tmp.fd, follow_symlinks=False)
                touched = max(found.st_mtime, found.st_ctime)  # st_ctime: a hard link of an old file may be new
                by_token.setdefault(name.partition(".")[0], []).append((name, touched))
        swept = 0
        for token, names in by_token.items():
            if token in self.alive or token.startswith(self._names) or max(when for _, when in names) > before:
                continue
            swept += 1
            for name, _ in names:
                self.unlink(name)
        return swept


def names_in(folder: OpenFolder) -> set[str]:
    """Return the names in a folder."""
    return set(os.listdir(folder.fd))  # noqa: PTH208  a Path cannot list a descriptor
