"""Hashes files of a folder one after the other, in one thread: a small file costs less than a switch of threads.

An error is not reported here: the caller opens such a file again in the usual way.
"""

import hashlib
import os
from collections.abc import Callable

from syncd.core import SyncdError
from syncd.stores.filesystem.dirfd_cache import DirfdCache, check_safe
from syncd.stores.filesystem.staged_file import FOLD


def hash_file(folders: DirfdCache, path: str, is_over: Callable[[], bool]) -> str | None:
    """Return the sha256 (hex) of the file at `path`; None if it cannot be read to its end, or `is_over` before that."""
    seen, at = hashlib.sha256(), 0
    try:
        file, found = folders.open_file(check_safe(path))
        while at < found.st_size:
            block = os.pread(file.fd, min(FOLD, found.st_size - at), at)
            if not block or is_over():
                return None
            seen.update(block)
            at += len(block)
    except (OSError, SyncdError):
        return None
    return seen.hexdigest()
