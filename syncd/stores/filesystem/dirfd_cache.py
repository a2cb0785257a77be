"""The folders of a store on disk: opened part by part below the root, never through a symbolic link.

A folder is held open by its descriptor, so that a link that replaces its name later has no effect. Descriptors are
reference counted and closed by the last user, because a thread may still work in a folder that the cache has dropped.
So keep the OpenFolder while you use its `fd`; do not pass on the number alone.
A folder is durable if its parent was synced after it was created; `unsynced` yields what a writer must still sync.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from stat import S_ISDIR, S_ISREG

from manifests.messages import message
from syncd.core import (
    Damaged,
    Denied,
    Exists,
    NoSpace,
    NotFound,
    Offline,
    SyncdError,
    TooLarge,
    Unsafe,
    Unsupported,
    exhausted,
)

PRIVATE = frozenset(
    f".syncd/{name}" for name in ("staged", "tmp", "quarantine", "removed", "reports", "journal", "audit", "backup")
)
"""Folders that only the service reads; the umask decides about all others."""
PRIVATE_FILES = frozenset({".syncd/lease.json", ".syncd/lock"})
"""Files that only the service reads: they name its process and its host."""
MAX_OPEN = 96  # folders kept open; a process usually may hold 1,024 descriptors

_UNSAFE = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\x00")
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_FLAGS = READ | os.O_DIRECTORY


class OpenDescriptor:
    """A descriptor that is closed with its last reference, in any thread."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class OpenFolder(OpenDescriptor):
    """An open folder; `parent` is dropped once this folder is durable in it.

    `is_slow_to_reserve` is True if a reservation of space in it was seen to cost as much as a write.
    """

    __slots__ = ("is_slow_to_reserve", "parent", "path")

    def __init__(self, fd: int, path: str, parent: "OpenFolder | None") -> None:
        super().__init__(fd)
        self.path = path
        self.parent = parent
        self.is_slow_to_reserve = False


class DirfdCache:
    """The open folders of one store, by path; safe to use from several threads."""

    def __init__(self, root: str, group: int | None = None) -> None:
        self.root = root
        self.group = group
        """The group that may read narrow files; None: the group that new files have anyway."""
        self._narrow: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._open: dict[str, OpenFolder] = {}
        self._top: OpenFolder | None = None

    def use_narrow(self, prefixes: tuple[str, ...]) -> None:
        """Let other users read nothing that is created below these prefixes from now on."""
        self._narrow = prefixes

    def is_narrow(self, path: str) -> bool:
        """Return True if other users must not read a file, or a folder whose path ends in a slash."""
        return bool(self._narrow) and path.startswith(self._narrow)

    def create(self, name: str, flags: int, path: str, folder: OpenFolder, mode: int = 0o666) -> OpenDescriptor:
        """Create a file in `folder`, with the mode of a file at `path`. Raises OSError."""
        if not self.is_narrow(path):
            return OpenDescriptor(os.open(name, flags, mode, dir_fd=folder.fd))
        file = OpenDescriptor(os.open(name, flags, 0o600, dir_fd=folder.fd))
        if mode != 0o600:
            if self.group is not None:
                os.fchown(file.fd, -1, self.group)
            os.fchmod(file.fd, 0o640)
        return file

    def top(self) -> OpenFolder:
        """Return the store's own folder; create it if it is missing."""
        if self._top is None:
            with self._lock:
                if self._top is None:
                    os.makedirs(self.root, exist_ok=True)  # noqa: PTH103  hot paths here know no Path
                    self._top = OpenFolder(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), "", None)
        return self._top

    def renew(self) -> None:
        """Close every folder if the root's path is another folder now: after a mount or an unmount."""
        with self._lock:
            if self._top is None:
                return
            mine = os.fstat(self._top.fd)
            try:
                there = os.stat(self.root)  # noqa: PTH116  hot paths here know no Path
            except OSError:
                there = None
            if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
                self._open.clear()
                self._top = None

    def find(self, path: str, *, make: bool = False) -> OpenFolder:
        """Open the folder at `path` ("" is the root). Raises OSError; Unsafe for a link on the way."""
        known = self._open.get(path)
        if known is not None:
            return known
        if not path:
            if self._top is None and not make and not os.path.isdir(self.root):  # noqa: PTH112  as above
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.root)  # a look creates nothing
            return self.top()
        above, _, name = path.rpartition("/")
        parent = self.find(above, make=make)
        with self._lock:
            fd = self._enter(parent, name, path, make=make)
            known = self._open.get(path)
            if known is not None:
                os.close(fd)
                return known
            folder = OpenFolder(fd, path, parent)
            if len(self._open) >= MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._open[path] = folder
            return folder

    def forget(self, path: str) -> None:
        """Drop `path` and all below it from the cache: it was removed or replaced."""
        with self._lock:
            below = path + "/"
            for known in [known for known in self._open if known == path or known.startswith(below)]:
                del self._open[known]

    def forget_chain(self, path: str) -> None:
        """Drop every folder on the way to `path` from the cache: one of them was removed."""
        self.forget(path.partition("/")[0])

    def split(self, path: str, *, make: bool = False) -> tuple[OpenFolder, str]:
        """Open the folder that holds `path`, and return it with the last name."""
        above, _, name = path.rpartition("/")
        return self.find(above, make=make), name

    def open_file(self, path: str) -> tuple[OpenDescriptor, os.stat_result]:
        """Open the file at `path` to read it. Raises OSError; Unsafe for a link, NotFound for a folder."""
        folder, name = self.split(path)
        file = OpenDescriptor(
            os.open(name, READ | os.O_NONBLOCK, dir_fd=folder.fd)
        )  # O_NONBLOCK: a named pipe would block
        return file, check_regular(os.fstat(file.fd), path, self.root)

    def prune(self, path: str) -> None:
        """Remove the folders above `path` that became empty; the root and `.syncd/*` stay."""
        above = path.rpartition("/")[0]
        while above and not (above.startswith(".syncd") and above.count("/") < 2):
            try:
                parent, name = self.split(above)
                os.rmdir(name, dir_fd=parent.fd)
            except OSError:  # not empty, or removed already
                return
            self.forget(above)
            above = above.rpartition("/")[0]

    def close_private(self) -> None:
        """Take the rights of other users from the private folders and files that an older syncd created."""
        for path in PRIVATE:
            with contextlib.suppress(OSError, SyncdError):
                folder = self.find(path)
                if os.fstat(folder.fd).st_mode & 0o077:
                    os.fchmod(folder.fd, 0o700)
        for path in PRIVATE_FILES:
            with contextlib.suppress(OSError, SyncdError):
                folder, name = self.split(path)
                if os.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_mode & 0o077:
                    os.chmod(name, 0o600, dir_fd=folder.fd)

    def close(self) -> None:
        """Close every folder."""
        with self._lock:
            self._open.clear()
            self._top = None

    def _enter(self, parent: OpenFolder, name: str, path: str, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER_FLAGS, dir_fd=parent.fd)
        except FileNotFoundError:
            if not make:
                raise
        except NotADirectoryError as error:
            raise Unsafe(
                message("{path}: {what}, but a folder is needed", path=path, what=self._what_is(parent, name))
            ) from error
        is_narrow = self.is_narrow(path + "/")
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700 if path in PRIVATE or is_narrow else 0o777, dir_fd=parent.fd)
            if is_narrow:
                fd = os.open(name, _FOLDER_FLAGS, dir_fd=parent.fd)
                if self.group is not None:
                    os.fchown(fd, -1, self.group)
                os.fchmod(fd, 0o750)
                return fd
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent.fd)

    def _what_is(self, parent: OpenFolder, name: str) -> str:
        try:
            os.readlink(name, dir_fd=parent.fd)
        except OSError:
            return message("a file has this name")
        return message("a symbolic link has this name; links are not followed")


def check_safe(path: str) -> str:
    """Return `path` if every part is a plain name. Raises Unsafe."""
    if _UNSAFE.search(path) is not None:
        raise Unsafe(message("{path!r}: not a relative path of plain names (no empty part, `.` or `..`)", path=path))
    return path


def check_regular(found: os.stat_result, path: str, root: str) -> os.stat_result:
    """Return `found` if it is of a file. Raises NotFound for a folder, Unsafe for a link or a device."""
    if S_ISREG(found.st_mode):
        return found
    if S_ISDIR(found.st_mode):
        raise NotFound(message("{path}: is a folder in {root}, not a file", path=path, root=root))
    raise Unsafe(message("{path}: is a link or a device in {root}; only regular files are read", path=path, root=root))


def unsynced(folder: OpenFolder) -> Iterator[OpenFolder]:
    """Yield the folder and those above it that must be synced before a name made in it is durable."""
    yield folder
    above = folder.parent
    while above is not None:
        yield above
        above = above.parent


def translate(error: OSError, path: str, root: str) -> SyncdError:
    """Translate an error of the system about `path`."""
    why = error.strerror or str(error)
    match error.errno:
        case errno.ENOENT:
            return NotFound(message("{path}: no such file in {root}", path=path, root=root))
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpace(
                message(
                    "{path}: no space left in {root}: {why}; free some space or move the store",
                    path=path,
                    root=root,
                    why=why,
                )
            )
        case errno.EEXIST:
            return Exists(message("{path}: exists already in {root}", path=path, root=root))
        case errno.EACCES | errno.EPERM:
            return Denied(
                message(
                    "{path}: permission denied in {root} for user id {user}: {why}",
                    path=path,
                    root=root,
                    user=os.geteuid(),
                    why=why,
                )
            )
        case errno.EIO:
            return Damaged(message("{path}: the disk under {root} failed: {why}", path=path, root=root, why=why))
        case errno.ELOOP:
            return Unsafe(message("{path}: is a symbolic link in {root}; links are not followed", path=path, root=root))
        case errno.ENOTDIR | errno.EISDIR:
            return Unsafe(
                message("{path}: is needed as a file and as a folder in {root}: {why}", path=path, root=root, why=why)
            )
        case errno.ENAMETOOLONG | errno.EILSEQ | errno.EINVAL:
            return Unsafe(message("{path}: not a valid name in {root}: {why}", path=path, root=root, why=why))
        case errno.EFBIG:
            return TooLarge(message("{path}: too large for {root}: {why}", path=path, root=root, why=why))
        case errno.EXDEV:
            return Unsupported(
                message(
                    "{path}: is on another file system than {root}/.syncd; a store must be one", path=path, root=root
                )
            )
    return exhausted(error, path) or Offline(
        message("{path}: {root} does not respond: {why}", path=path, root=root, why=why)
    )  # EROFS, ESTALE, ENODEV, …
