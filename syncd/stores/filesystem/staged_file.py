"""One file that is being written into a folder: its bytes, and a journal, so that a killed process loses no bytes.

`.syncd/tmp/<token>.part` holds the bytes at their offsets; `<token>.log` has one line for each completed write: start,
stop and the xxh3-64 of its bytes. Nothing is synced before the commit. After a kill the bytes are in the page cache;
after a power failure the journal's checksums show which of them reached the disk.
"""

import asyncio
import contextlib
import errno
import os
import re
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import TypeVar

import xxhash

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Sink, SyncdError, TooLarge
from syncd.stores import ranges
from syncd.stores.filesystem.clone import clone
from syncd.stores.filesystem.dirfd_cache import DirfdCache, OpenDescriptor, OpenFolder, check_safe, translate, unsynced
from syncd.stores.filesystem.reading import CHUNK, read_chunks
from syncd.stores.filesystem.reservation import reserve
from syncd.stores.filesystem.sync_batch import FileChange, SyncBatch, Touched

TMP = ".syncd/tmp"
ENDLESS = 8 << 20  # bytes of a file of unknown size between two looks at the free space
FOLD = 1 << 19  # bytes read back at a time: they stay in the processor's cache until they are hashed

R = TypeVar("R")

_LINE = re.compile(rb"(\d{1,19}) (\d{1,19}) ([0-9a-f]{16})\Z")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_AGAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class StagedFile:
    """A staged file of `FilesystemStore`; satisfies `syncd.core.ports.Staged`."""

    def __init__(
        self,
        folders: DirfdCache,
        group: SyncBatch,
        threads: Executor,
        path: str,
        token: str,
        *,
        keep_free: int | None = None,
    ) -> None:
        """A file of unknown size stops well before less than `keep_free` bytes are left; None: it may use all."""
        self.token = token
        self.present_ranges: tuple[tuple[int, int], ...] = ()
        self._folders = folders
        self._group = group
        self._threads = threads
        self._path = path
        self._ranges: list[tuple[int, int]] = []
        self._lock = threading.Lock()  # over the ranges: sinks run in threads
        self._part: OpenDescriptor | None = None
        self._log: OpenDescriptor | None = None
        self._floor = keep_free + keep_free // 4 + 2 * ENDLESS if keep_free is not None else None
        self._next_look: int | None = None

    def begin(self, size: int | None) -> None:
        """Create the two files. Blocks."""

        def make(tmp: OpenFolder) -> tuple[OpenDescriptor, OpenDescriptor, OpenFolder]:
            part = self._folders.create(f"{self.token}.part", _NEW, self._path, tmp)
            return part, OpenDescriptor(os.open(f"{self.token}.log", _NEW | os.O_APPEND, 0o666, dir_fd=tmp.fd)), tmp

        self._part, self._log, tmp = in_tmp(self._folders, make)
        if size is None and self._floor is not None:
            self._next_look = 0
        elif size:
            try:
                reserve(self._part.fd, size, tmp)
            except OSError:
                self.drop()
                raise

    def resume(self) -> bool:
        """Open the files of an earlier process and find the intact ranges. Blocks. Return False if there are none."""
        try:
            tmp = self._folders.find(TMP)
            self._part = OpenDescriptor(os.open(f"{self.token}.part", _AGAIN, dir_fd=tmp.fd))
            self._log = OpenDescriptor(os.open(f"{self.token}.log", _AGAIN | os.O_APPEND, dir_fd=tmp.fd))
        except FileNotFoundError:
            self._part = self._log = None
            return False
        body = os.pread(self._log.fd, os.fstat(self._log.fd).st_size, 0)
        if body and not body.endswith(b"\n"):
            os.ftruncate(self._log.fd, body.rfind(b"\n") + 1)  # a torn line must not swallow the next one
        for line in body.split(b"\n")[:-1]:
            written = _LINE.fullmatch(line)
            if written is not None:
                start, stop = int(written[1]), int(written[2])
                if _is_intact(self._part.fd, start, stop, written[3]):
                    ranges.add(self._ranges, start, stop)
        self.present_ranges = tuple(self._ranges)
        os.utime(self._log.fd)
        return True

    def fill_from(self, original: OpenDescriptor) -> None:
        """Take all bytes of an open file; a later process cannot resume that. Blocks. Raises OSError."""
        part = self._alive(self._part)
        size = os.fstat(original.fd).st_size
        try:
            clone(original.fd, part.fd, size)
        except OSError:
            self.drop()
            raise
        ranges.add(self._ranges, 0, os.fstat(part.fd).st_size)
        self.present_ranges = tuple(self._ranges)

    async def write(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset` and add it to the journal."""
        if chunk:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._write, offset, chunk)
            with self._lock:
                ranges.add(self._ranges, offset, offset + len(chunk))

    def sink(self, offset: int) -> Sink:
        """Return a sink that writes from `offset` on, journal included, in the caller's thread."""
        at = offset

        def take(chunk: memoryview) -> None:
            nonlocal at
            self._write(at, chunk)
            with self._lock:
                ranges.add(self._ranges, at, at + len(chunk))
            at += len(chunk)

        return take

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """Read `[start, stop)` back, while it is in the page cache. Blocks."""
        part = self._alive(self._part)
        block = memoryview(bytearray(min(FOLD, stop - start)))
        while start < stop:
            try:
                count = os.preadv(part.fd, [block[: stop - start]], start)
            except OSError as error:
                raise translate(error, self._path, self._folders.root) from error
            if count == 0:
                raise Damaged(
                    message("{path}: bytes written at {start} cannot be read back", path=self._path, start=start)
                )
            update(block[:count])
            start += count

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Read the whole file back."""
        part = self._alive(self._part)
        size = self._ranges[-1][1] if self._ranges else 0
        self._require_complete(size)
        async for chunk in read_chunks(self._threads, part, 0, size, path=self._path, root=self._folders.root):
            yield chunk

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Sync the bytes, rename the file, sync the folder. `sha256` was verified while the bytes were written."""
        path = self._path if to is None else check_safe(to)
        del sha256  # after a sync without an error, the disk has the bytes that were written
        self._require_complete(size)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._seal, size)
        except SyncdError:
            await self.discard()  # after a failed sync the page cache may have lost the bytes
            raise
        stat: Stat = await self._group.make(
            FileChange(path, lambda touched: self._place(path, touched, if_absent=if_absent))
        )
        self._part = self._log = None
        return stat

    async def discard(self) -> None:
        """Remove both files, as far as the disk permits."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self.drop)

    def drop(self) -> None:
        """Remove both files, as far as the disk permits. Blocks.

        Errors are ignored, so that they do not hide the failure that led here; a later sweep deletes remaining files.
        """
        self._part = self._log = None
        with contextlib.suppress(OSError):
            tmp = self._folders.find(TMP)
            for name in (f"{self.token}.part", f"{self.token}.log"):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=tmp.fd)

    def close(self) -> None:
        """Close the files; a thread that still writes keeps them open until it ends."""
        self._part = self._log = None

    def _write(self, offset: int, chunk: bytes | memoryview) -> None:
        part, log = self._alive(self._part), self._alive(self._log)
        line = b"%d %d %s\n" % (offset, offset + len(chunk), xxhash.xxh3_64_hexdigest(chunk).encode())
        if self._next_look is not None and offset >= self._next_look:
            self._require_space(part, offset, self._floor or 0)
            self._next_look = offset + ENDLESS
        try:
            write_all(part.fd, chunk, offset)
            os.write(log.fd, line)
        except OSError as error:
            raise translate(error, self._path, self._folders.root) from error

    def _require_space(self, part: OpenDescriptor, received: int, floor: int) -> None:
        """Raise TooLarge where a body that announced no end comes near the space that is kept free."""
        try:
            found = os.fstatvfs(part.fd)
        except OSError as error:
            raise translate(error, self._path, self._folders.root) from error
        free = found.f_bavail * found.f_frsize
        if free < floor:
            raise TooLarge(
                message(
                    "{path}: no size was announced, and after {received} bytes only {free} are free in {root}: free "
                    "some space, or set source.limits.max_file",
                    path=self._path,
                    received=received,
                    free=free,
                    root=self._folders.root,
                )
            )

    def _seal(self, size: int) -> None:
        part = self._alive(self._part)
        try:
            if os.fstat(part.fd).st_size > size:
                os.ftruncate(part.fd, size)
            os.fsync(part.fd)
        except OSError as error:
            raise translate(error, self._path, self._folders.root) from error

    def _place(self, path: str, touched: Touched, *, if_absent: bool) -> Stat:
        part = self._alive(self._part)
        tmp = self._folders.find(TMP)
        source = f"{self.token}.part"
        put_in_place(self._folders, tmp, source, path, touched, if_absent=if_absent)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.token}.log", dir_fd=tmp.fd)
        return stat_of(path, os.fstat(part.fd))

    def _require_complete(self, size: int) -> None:
        if not ranges.are_complete(self._ranges, size):
            start, stop = ranges.first_gap(self._ranges, size)
            raise Damaged(
                message(
                    "{path}: {size} bytes were announced, those of [{start}, {stop}) were not written",
                    path=self._path,
                    size=size,
                    start=start,
                    stop=stop,
                )
            )

    def _alive(self, opened: OpenDescriptor | None) -> OpenDescriptor:
        if opened is None:
            raise Damaged(message("{path}: its staging {token} has ended", path=self._path, token=self.token))
        return opened


def stat_of(path: str, found: os.stat_result) -> Stat:
    """Describe a file. Its version changes with each replacement: that has a new inode and a new time."""
    modified, inode = found.st_mtime_ns, found.st_ino
    return Stat(path, found.st_size, modified / 1e9, f'"{modified:x}-{found.st_size:x}-{inode:x}"')


def write_all(fd: int, chunk: bytes | memoryview, offset: int) -> None:
    """Write every byte; one system call may write fewer."""
    written = os.pwrite(fd, chunk, offset)
    if written != len(chunk):
        rest = memoryview(chunk)
        while written < len(rest):
            written += os.pwrite(fd, rest[written:], offset + written)


def in_tmp(folders: DirfdCache, act: Callable[[OpenFolder], R]) -> R:
    """Call `act` with `.syncd/tmp`; once more if that folder was removed meanwhile. Raises OSError."""
    try:
        return act(folders.find(TMP, make=True))
    except FileNotFoundError:
        folders.forget_chain(TMP)
        return act(folders.find(TMP, make=True))


def put_in_place(
    folders: DirfdCache, source: OpenFolder, name: str, path: str, touched: Touched, *, if_absent: bool = False
) -> None:
    """Rename a finished file to its path; `if_absent` never replaces another file. Raises OSError, Unsafe."""
    above, _, last = path.rpartition("/")
    for attempt in range(8):
        try:
            folder = folders.find(above, make=True)
            if if_absent:
                _link_or_rename(source, name, folder, last)
            else:
                os.rename(name, last, src_dir_fd=source.fd, dst_dir_fd=folder.fd)
        except FileNotFoundError:  # a folder of the path was removed after it was opened
            folders.forget_chain(above)
            if attempt == 7:
                raise
        else:
            touched.update(unsynced(folder))
            return


def _is_intact(fd: int, start: int, stop: int, digest: bytes) -> bool:
    seen = xxhash.xxh3_64()
    while start < stop:
        chunk = os.pread(fd, min(CHUNK, stop - start), start)
        if not chunk:
            return False
        seen.update(chunk)
        start += len(chunk)
    return seen.hexdigest().encode() == digest


def _link_or_rename(source: OpenFolder, name: str, folder: OpenFolder, last: str) -> None:
    """Link the file to its path without replacing another; without hard links, look first and then rename."""
    try:
        os.link(name, last, src_dir_fd=source.fd, dst_dir_fd=folder.fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.stat(last, dir_fd=folder.fd, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), last) from error
        os.rename(name, last, src_dir_fd=source.fd, dst_dir_fd=folder.fd)
    else:
        os.unlink(name, dir_fd=source.fd)
