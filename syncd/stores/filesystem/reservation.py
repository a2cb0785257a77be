"""Reserves the space of a file before its first byte, so that a full disk is known at once."""

import ctypes
import errno
import os
import sys
import time

from syncd.stores.filesystem.dirfd_cache import OpenFolder

TRIAL = 8 << 20  # bytes reserved to measure what a reservation costs ...
DEAR = 0.001  # ... in seconds of processor time; above it, a reservation costs as much as the write


def reserve(fd: int, size: int, folder: OpenFolder) -> None:
    """Reserve the space, so that a full disk is known before the first byte. Raises OSError if there is too little.

    If a reservation costs as much as the write (tmpfs creates every page: 0.4 s for each GiB), only the free space is
    checked. The costs in `folder` are measured once.
    """
    trial = 0
    if not folder.is_slow_to_reserve:
        trial = min(size, TRIAL)
        began = time.thread_time()
        _allocate(fd, 0, trial)
        folder.is_slow_to_reserve = time.thread_time() - began >= DEAR
    if not folder.is_slow_to_reserve:
        _allocate(fd, trial, size)
        return
    found = os.fstatvfs(fd)
    if found.f_bavail * found.f_frsize < size - trial:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _allocate(fd: int, start: int, stop: int) -> None:
    """Reserve space with fallocate(2), not `os.posix_fallocate`.

    If a file system cannot reserve, libc writes a byte into every block instead, which transfers the file twice on a
    network file system.
    """
    if start == stop or not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if libc.fallocate(fd, 0, start, stop - start) != 0:
        code = ctypes.get_errno()
        if code in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OSError(code, os.strerror(code))
