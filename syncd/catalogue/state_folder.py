"""The files of the Catalogue in the state folder, the lock that one writing process holds, and errors of its disk.

`catalogue.sqlite` is the daemon's: mirrors, settings, passes, the audit log. `mirrors/NAME.sqlite` has the records of
one mirror; `mirrors/NAME.steps` is its plan, which is useless to other processes. `held.sqlite` is the index of held
content (`syncd.catalogue.held_index`).
"""

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from string import ascii_lowercase, digits
from typing import NamedTuple

import xxhash

from manifests.messages import message, template
from syncd.core import Busy, Denied, NoSpace, Offline, SyncdError, exhausted

FILE = "catalogue.sqlite"
INDEX = "held.sqlite"
MIRRORS = "mirrors"
LOCK = "lock"
FORMER_STEPS = "steps.sqlite"  # the plans of all mirrors, before each had its own file
NEW = ".new"  # ends the name of a file that is not complete yet
STEPS = ".steps"  # ends the name of the plan of a mirror
LONGEST = 200  # characters of a mirror's name in the name of its file; a longer one is cut, and ends in its digest
PLAIN = frozenset(ascii_lowercase + digits + "-_")  # the other bytes of a name are written as %2f


def mirror_file(folder: Path, name: str) -> Path:
    """Return the file of a mirror's records. Names differ also where a file system ignores case."""
    safe = "".join(chr(byte) if chr(byte) in PLAIN else f"%{byte:02x}" for byte in os.fsencode(name))
    if len(safe) > LONGEST:
        safe = f"{safe[: LONGEST - 33]}%{xxhash.xxh3_128_hexdigest(os.fsencode(name))}"
    return folder / MIRRORS / f"{safe}.sqlite"


def steps_file(file: Path) -> Path:
    """Return the file of the plan of the mirror whose records are in `file`."""
    return file.with_suffix(STEPS)


class StateLock:
    """The exclusive lock of a state folder."""

    def __init__(self, folder: Path) -> None:
        """Take the lock; make the folder. Raises Busy if another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = _locked(folder / LOCK)

    def describe_holder(self, holder: str) -> None:
        """Set the line that describes this process to others that find the state folder locked."""
        if self._descriptor >= 0:
            line = f"{os.getpid()} {holder}\n".encode()
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, line, 0)

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(path: Path) -> int:
    """Open `path` with an exclusive lock, and return the descriptor. Raises Busy."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        number, _, holder = os.pread(descriptor, 500, 0).decode(errors="replace").strip().partition(" ")
        os.close(descriptor)
        if holder:
            text = template("{folder}: the state folder is in use by process {number}, {holder}")
        else:
            text = template("{folder}: the state folder is in use by process {number}: stop it or use another --state")
        raise Busy(message(text, folder=path.parent, number=number or "?", holder=holder)) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def has_catalogue(folder: Path) -> bool:
    """Return True if a state folder holds a Catalogue. Raises Denied if the folder is unreadable."""
    try:
        (folder / FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Denied(
            message("{folder}: the state folder cannot be read: {cause}", folder=folder, cause=error.strerror)
        ) from error
    return True


def replace_catalogue(folder: Path, other: Path, suffix: str) -> Path | None:
    """Replace the Catalogue in `folder` by the one in the folder `other`; return the new path of the former one.

    The daemon's file is moved last: after a kill there is no Catalogue, and the next start makes one from the store.
    Raises Busy if a process uses it.
    """
    lock = StateLock(folder)
    try:
        kept = None
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", MIRRORS):
            if (folder / name).exists():
                aside = folder / f"{name}.{suffix}"
                (folder / name).replace(aside)
                kept = aside if name == FILE else kept
        for name in (MIRRORS, FILE):
            if (other / name).exists():
                (other / name).replace(folder / name)
        sync_folder(folder)
    except OSError as error:
        raise state_error(error, folder, message("cannot write the Catalogue")) from error
    else:
        return kept
    finally:
        lock.release()


class FileSizes(NamedTuple):
    """The bytes of the Catalogue's files, each with its log: the daemon's, the index of held content, the mirrors'."""

    daemon: int
    held: int
    mirrors: dict[str, int]


def file_sizes(folder: Path, mirrors: Iterable[str]) -> FileSizes:
    """Return the sizes of the files in a state folder; those of mirrors with the plan of a running pass."""
    found = {}
    for name in mirrors:
        file = mirror_file(folder, name)
        found[name] = _bytes(file) + _bytes(steps_file(file))
    return FileSizes(_bytes(folder / FILE), _bytes(folder / INDEX), found)


def _bytes(file: Path) -> int:
    size = 0
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            size += os.stat(f"{file}{end}").st_size  # noqa: PTH116  thousands of them
    return size


def delete_database(file: Path) -> bool:
    """Delete a file of SQLite and the files beside it; return True if there was one."""
    found = [name for end in ("", "-wal", "-shm", "-journal") if (name := Path(f"{file}{end}")).exists()]
    for name in found:
        name.unlink()
    return bool(found)


def install_database(fresh: Path, file: Path) -> None:
    """Give a complete, closed file of SQLite its name, in place of another one, durably."""
    descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if delete_database(file):  # a log that stayed beside it would be applied to the new one
        sync_folder(file.parent)
    fresh.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Delete what a killed process left: plans, and files that it did not complete."""
    (folder / FORMER_STEPS).unlink(missing_ok=True)
    for left in (*(folder / MIRRORS).glob(f"*{STEPS}"), *(folder / MIRRORS).glob(f"*{NEW}*")):
        left.unlink(missing_ok=True)


def delete_quietly(file: Path) -> None:
    """Delete a file; if the disk fails, the next process deletes it."""
    with suppress(OSError):
        file.unlink()


def is_full(folder: Path) -> bool:
    """Return True if the file system of the state folder has no space, or can hold no more files."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)


def require_space(folder: Path, needed: int) -> None:
    """Raise NoSpace if the file system of the state folder has less free space than an upgrade needs."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise NoSpace(
            message(
                "{folder}: the upgrade of the Catalogue needs {needed:,} bytes for a while, and {free:,} are free: "
                "free some space, or move the state folder to a larger disk",
                folder=folder,
                needed=needed,
                free=free,
            )
        )


def state_error(error: OSError, folder: Path, what: str) -> SyncdError:
    """Return our error for a failure of the state folder's file system."""
    text = f"{folder}: {what}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(message("{text}; free some space (or inodes), or use another --state", text=text))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return Denied(message("{text}; run as the user that owns it, or use another --state", text=text))
    return exhausted(error, str(folder)) or Offline(text)
