"""The key of one day, under which clients are told apart. Without it, nothing that was written leads to an address.

Rules:
1. It is random, only syncd may read it, and it is in a file of its own in the state folder, which no backup has.
2. It ends with its day (UTC), by the first process of syncd that uses the state folder after it: the file is
   overwritten and deleted before anything is written for the next day. No day can be linked with another one.
3. A daemon that is restarted within the day uses it again, so that a client is not counted as two.
"""

import errno
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

FILE = "usage-day.key"
BYTES = 32


def day_key(folder: Path, day: str) -> bytes:
    """Return the key of a day; one of another day is destroyed first. Two processes get the same. Raises OSError."""
    destroy_old_key(folder, day)
    path = folder / FILE
    if (found := _read(path)) is not None:
        return found[1]
    made = secrets.token_bytes(BYTES)
    part = folder / f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{day} {made.hex()}\n".encode())
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(part, path)  # the first process decides
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}:
            raise
        part.replace(path)  # a file system without links
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            part.unlink()
    found = _read(path)
    return found[1] if found is not None else made


def destroy_old_key(folder: Path, day: str) -> bool:
    """Destroy the key if it is of another day; return True if there was one. Raises OSError."""
    for part in folder.glob(f"{FILE}.*"):  # left by a process that was killed
        if _owner(part) != os.getpid() and not _is_alive(_owner(part)):
            _destroy(part)
    path = folder / FILE
    found = _read(path)
    if found is not None and found[0] == day:
        return False
    if found is None and not path.exists():
        return False
    _destroy(path)
    return True


def client_mark(key: bytes, *parts: str) -> bytes:
    """Return eight bytes that stand for these parts, on the day of the key only."""
    return hmac.digest(key, "\0".join(parts).encode("utf-8", "surrogateescape"), hashlib.sha256)[:8]


def _read(path: Path) -> tuple[str, bytes] | None:
    """Return the day of a key and the key; None if there is none, or it is not whole."""
    try:
        day, _, text = path.read_text("ascii", "replace").strip().partition(" ")
        key = bytes.fromhex(text)
    except (FileNotFoundError, ValueError):
        return None
    return (day, key) if len(key) == BYTES else None


def _destroy(path: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _owner(part: Path) -> int:
    number = part.name.removeprefix(f"{FILE}.").partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _is_alive(process: int) -> bool:
    return process > 0 and Path(f"/proc/{process}").exists()
