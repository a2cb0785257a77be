"""Lists a folder tree in the order of the whole paths, without `.syncd/tmp/`."""

import os
from collections.abc import Iterator

from manifests.stat import Stat
from syncd.core import SyncdError
from syncd.stores.filesystem.dirfd_cache import READ, DirfdCache, OpenFolder, check_safe
from syncd.stores.filesystem.staged_file import stat_of


def walk(folders: DirfdCache, prefix: str, after: str) -> Iterator[Stat]:
    """Yield the regular files whose paths begin with `prefix` and sort after `after`, sorted. Blocks."""
    above, slash, start = prefix.rpartition("/")
    try:
        folder = folders.find(check_safe(above) if above else "")
    except (FileNotFoundError, SyncdError):  # no folder there, so nothing begins with this prefix
        return
    yield from _walk_folder(folder, above + slash, start, after)


def _walk_folder(folder: OpenFolder, above: str, start: str, after: str) -> Iterator[Stat]:
    """Yield the files of one folder in the order of their whole paths: `a-b` before `a/b` before `a0`."""
    names: list[str] = []
    with os.scandir(folder.fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name + "/")
            elif entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    names.sort()
    for name in names:
        if not name.startswith(start) or (above == ".syncd/" and name == "tmp/"):
            continue
        path = above + name
        if path <= after and not (name.endswith("/") and after.startswith(path)):
            continue
        try:
            name.encode()
            if name.endswith("/"):
                below = OpenFolder(os.open(name[:-1], READ | os.O_DIRECTORY, dir_fd=folder.fd), path, None)
                yield from _walk_folder(below, path, "", after)
            else:
                yield stat_of(path, os.stat(name, dir_fd=folder.fd, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
            continue  # removed meanwhile; or its name is not UTF-8, so this store did not write it
