"""A model of the disk under a folder: what would be left of it if the power went now.

A file's bytes survive if they were synced, a name survives if its folder was synced after it was given, and nothing
else does: less than any real file system promises. `check` is called after each sync with what would survive, since
syncs are the only moments at which that changes.
"""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path


class Platter:
    """What is on the disk, as opposed to what the system shows; `with` it in place, syncs are watched."""

    def __init__(self, root: Path, monkeypatch, check: Callable[[dict[str, bytes]], None] = lambda left: None):
        self.root, self.check = root, check
        self.syncs = 0
        self.latest: dict[str, bytes] = {}
        """What survived after the latest sync."""
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self._held: list[int] = []  # descriptors: an inode that is held open is not given to another file
        self._lock = threading.Lock()  # several threads sync at once
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._watched)

    def _watched(self, fd: int) -> None:
        self._sync(fd)
        with self._lock:
            self.syncs += 1
            found = os.fstat(fd)
            self._held.append(os.dup(fd))
            if stat.S_ISDIR(found.st_mode):
                with os.scandir(fd) as entries:
                    self._folders[found.st_ino] = {
                        entry.name: (entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries
                    }
            else:
                self._files[found.st_ino] = Path(f"/proc/self/fd/{fd}").read_bytes()
            self.latest = self.left()
            self.check(self.latest)

    def left(self) -> dict[str, bytes]:
        """Return what survives, by path; a file whose bytes were never synced is empty."""
        found: dict[str, bytes] = {}
        waiting = [("", self.root.stat().st_ino)] if self.root.exists() else []
        while waiting:
            above, inode = waiting.pop()
            for name, (below, is_folder) in self._folders.get(inode, {}).items():
                if is_folder:
                    waiting.append((f"{above}{name}/", below))
                else:
                    found[above + name] = self._files.get(below, b"")
        return found

    def close(self) -> None:
        for fd in self._held:
            os.close(fd)
        self._held.clear()
