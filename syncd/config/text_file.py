"""Reads one small file that a person wrote. The read is bounded, and does not wait for a pipe or a device."""

import errno
import os
import stat
from pathlib import Path

from manifests.messages import message


def read_text_file(file: Path, *, from_pipe: bool = False) -> bytes:
    """Return the content of a regular file, cut one byte beyond MAX_BYTES (the parser refuses a longer one).

    `from_pipe` accepts a pipe or a terminal too, for a path that a person typed (`/dev/stdin`). Raises OSError.
    """
    from manifests.yaml import MAX_BYTES  # noqa: PLC0415  its parser is slow to import, and without a file not needed

    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if from_pipe else os.O_NONBLOCK)
    with os.fdopen(os.open(file, flags), "rb") as opened:
        kind = os.fstat(opened.fileno()).st_mode
        if not stat.S_ISREG(kind) and not (from_pipe and (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind))):
            raise OSError(errno.EINVAL, message("it is {kind}, not a file", kind=_kind(kind)), str(file))
        return opened.read(MAX_BYTES + 1)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return message("a named pipe") if stat.S_ISFIFO(mode) else message("a device")
