"""The modes of files and folders that only the service and one group may read: those of restricted mirrors.

Rules:
1. A file has its mode before it has its name: it gets it as a temporary file.
2. All other files and folders have the mode that the umask leaves.
"""

import os
from stat import S_IMODE

from syncd.stores.filesystem.dirfd_cache import DirfdCache

NARROW_FILE, NARROW_FOLDER = 0o640, 0o750
WIDE_FILE, WIDE_FOLDER = 0o666, 0o777


def _umask() -> int:
    """Return the umask. To set it, as `os.umask` does, would change files that other threads create meanwhile."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123  hot paths import no Path
        found = next((line.split()[1] for line in status if line.startswith("Umask:")), "0022")
    return int(found, 8)


class ModeWalk:
    """Gives the files below some folders the modes that hold for them now."""

    def __init__(self, folders: DirfdCache) -> None:
        self._folders = folders
        self._umask = _umask()
        self._done = ""

    def folder(self, path: str) -> None:
        """Set the mode of a folder, if it exists. Raises OSError."""
        try:
            opened = self._folders.find(path)
        except FileNotFoundError:
            return
        self._set(opened.fd, path + "/", NARROW_FOLDER, WIDE_FOLDER & ~self._umask)

    def file(self, path: str, prefix: str) -> None:
        """Set the mode of a file, and of the folders above it below `prefix`. Raises OSError."""
        above = path.rpartition("/")[0]
        if above != self._done:
            at = above
            while len(at) > len(prefix) and not (self._done + "/").startswith(at + "/"):
                self.folder(at)
                at = at.rpartition("/")[0]
            self._done = above
        try:
            opened, _ = self._folders.open_file(path)
        except FileNotFoundError:
            return
        self._set(opened.fd, path, NARROW_FILE, WIDE_FILE & ~self._umask)

    def _set(self, fd: int, path: str, narrow: int, wide: int) -> None:
        is_narrow = self._folders.is_narrow(path)
        found = os.fstat(fd)
        group = self._folders.group
        if is_narrow and group is not None and found.st_gid != group:
            os.fchown(fd, -1, group)
        if S_IMODE(found.st_mode) != (wanted := narrow if is_narrow else wide):
            os.fchmod(fd, wanted)
