"""Changes of one file of a folder tree: moved, copied, deleted. They block, and add to `touched` what to sync."""

import contextlib
import errno
import os

from manifests.stat import Stat
from syncd.stores.filesystem.dirfd_cache import READ, DirfdCache, OpenDescriptor, OpenFolder, check_regular, unsynced
from syncd.stores.filesystem.reading import CHUNK
from syncd.stores.filesystem.staged_file import in_tmp, put_in_place, stat_of, write_all
from syncd.stores.filesystem.sync_batch import Touched
from syncd.stores.filesystem.temporary_files import TemporaryFiles

WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def stat_file(folders: DirfdCache, path: str) -> Stat:
    """Describe the regular file at `path`. Raises OSError."""
    folder, name = folders.split(path)
    found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    return stat_of(path, check_regular(found, path, folders.root))


def move_file(folders: DirfdCache, path: str, to: str, touched: Touched) -> None:
    """Rename `path` to `to`. If `path` is absent and `to` exists, an earlier call has done it. Raises OSError."""
    try:
        source, name = folders.split(path)
        found = check_regular(os.stat(name, dir_fd=source.fd, follow_symlinks=False), path, folders.root)
    except FileNotFoundError:
        stat_file(folders, to)  # raises if there is no `to` either
        return
    if path == to:
        return
    with contextlib.suppress(FileNotFoundError):
        target, last = folders.split(to)
        there = os.stat(last, dir_fd=target.fd, follow_symlinks=False)
        if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
            delete_file(folders, path, touched)  # hard links of one file: a rename between them does nothing (POSIX)
            return
    put_in_place(folders, source, name, to, touched)
    touched.add(source)
    folders.prune(path)


def copy_file(
    folders: DirfdCache, path: str, to: str, temporaries: TemporaryFiles, temporary: str, touched: Touched
) -> None:
    """Make `to` a hard link of `path`, or a copy if the file system has no hard links. Raises OSError."""
    source, name = folders.split(path)
    check_regular(os.stat(name, dir_fd=source.fd, follow_symlinks=False), path, folders.root)
    try:
        tmp = in_tmp(folders, lambda tmp: _link(folders, source, name, tmp, temporary, to))
        put_in_place(folders, tmp, temporary, to, touched)
    finally:  # it remains if `to` is the same file, or after an error, which is raised
        with contextlib.suppress(OSError):
            temporaries.unlink(temporary)


def _link(folders: DirfdCache, source: OpenFolder, name: str, tmp: OpenFolder, temporary: str, to: str) -> OpenFolder:
    try:
        os.link(name, temporary, src_dir_fd=source.fd, dst_dir_fd=tmp.fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}:
            raise
        original = OpenDescriptor(os.open(name, READ, dir_fd=source.fd))
        twin = folders.create(temporary, WRITE_NEW, to, tmp)
        offset = 0
        while chunk := os.pread(original.fd, CHUNK, offset):
            write_all(twin.fd, chunk, offset)
            offset += len(chunk)
        os.fsync(twin.fd)
    return tmp


def delete_file(folders: DirfdCache, path: str, touched: Touched) -> None:
    """Remove the file at `path`, and the folders that become empty. Raises OSError."""
    try:
        folder, name = folders.split(path)
        os.unlink(name, dir_fd=folder.fd)
    except (FileNotFoundError, NotADirectoryError):
        return
    touched.update(unsynced(folder))
    folders.prune(path)
