"""Copies the bytes of a stored file into a new one: as shared blocks where the file system can, else in the kernel."""

import contextlib
import errno
import fcntl
import os

FICLONE = 0x40049409  # ioctl of Linux, of btrfs, XFS, bcachefs and others
STEP = 8 << 20  # bytes copied in one call: a guard or a signal waits no longer

_NO_CLONE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}


def clone(source: int, target: int, size: int) -> bool:
    """Fill an empty file with the bytes of another. Return True if they share their blocks. Raises OSError."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
    else:
        return True
    at = 0
    with contextlib.suppress(_NotCopied):
        while at < size:
            at += _copied(source, target, at, min(STEP, size - at))
        return False
    while at < size:  # sendfile writes where the file stands
        os.lseek(target, at, os.SEEK_SET)
        sent = os.sendfile(target, source, at, min(STEP, size - at))
        if not sent:
            return False  # it shrank: who reads the copy notices
        at += sent
    return False


class _NotCopied(Exception):
    """The file system copies nothing by itself."""


def _copied(source: int, target: int, at: int, count: int) -> int:
    try:
        copied = os.copy_file_range(source, target, count, at, at)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        raise _NotCopied from error
    if not copied:
        raise _NotCopied
    return copied
