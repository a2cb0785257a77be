"""A store in a folder: files under their natural paths, each complete or absent, durable when a call returns.

Rule 1: a file is written under `.syncd/tmp/`, synced, and renamed to its path; then its folder is synced.
Rule 2: no symbolic link below the root is followed, so that none can lead outside.
Rule 3: a failed sync is not repeated; the bytes are discarded and downloaded again.
Rule 4: listings leave out `.syncd/tmp/`.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Busy, Changed, Guard, Offline, Page, Staged, Unsupported
from syncd.stores.filesystem.access_modes import ModeWalk
from syncd.stores.filesystem.dirfd_cache import PRIVATE_FILES, DirfdCache, OpenDescriptor, check_safe, translate
from syncd.stores.filesystem.file_changes import WRITE_NEW, copy_file, delete_file, move_file, stat_file
from syncd.stores.filesystem.hash_files import hash_file
from syncd.stores.filesystem.listing import walk
from syncd.stores.filesystem.reading import CHUNK, FileBody, read_chunks
from syncd.stores.filesystem.small_copy import SMALL, SmallCopy
from syncd.stores.filesystem.staged_file import TMP, StagedFile, in_tmp, put_in_place, stat_of, write_all
from syncd.stores.filesystem.sync_batch import FileChange, SyncBatch, Touched
from syncd.stores.filesystem.temporary_files import TemporaryFiles, names_in
from syncd.stores.identity import SENTINEL, identify

LOCK = ".syncd/lock"
PAGE = 1000  # Stats in one page of a listing

P = ParamSpec("P")
R = TypeVar("R")

_TOKEN = re.compile(r"[0-9a-f]{32}")


class FilesystemStore:
    """`syncd.core.ports.Store` on the folder `root`; belongs to one event loop."""

    piece = 4 << 20

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        threads: int = 2,
        alone: bool = False,
        keep_free: int = 0,
        group: int | None = None,
    ) -> None:
        """`alone` is True if the event loop does nothing but write to this store (see `SyncBatch`).

        A file of unknown size never takes the last `keep_free` bytes of the file system. `group` may read what
        `use_narrow` closes to other users.
        """
        self._keep_free = keep_free
        self.root = os.path.abspath(root)  # noqa: PTH100  a str: this path is on every hot path
        self._clock = clock
        self._folders = DirfdCache(self.root, group)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._group = SyncBatch(self.root, self._threads, alone=alone)
        self._temporaries = TemporaryFiles(self._folders, clock)

    def use_guard(self, guard: Guard) -> None:
        """Call `guard` before each rename or deletion, in the thread that makes it."""
        self._group.guard = guard

    def use_narrow(self, prefixes: tuple[str, ...]) -> None:
        """Let other users read nothing that is created below these prefixes from now on."""
        self._folders.use_narrow(prefixes)

    async def set_modes(self, prefix: str, after: str) -> str:
        """Give the next files below a prefix, after the path `after`, the modes that hold for them now.

        Returns the last path, "" at the end.
        """

        def work() -> str:
            modes, last, count = ModeWalk(self._folders), "", 0
            if not after and prefix.endswith("/"):
                modes.folder(prefix[:-1])  # first: nothing below it can be reached any more
            for stat in walk(self._folders, prefix, after):
                modes.file(stat.path, prefix.rpartition("/")[0])
                last, count = stat.path, count + 1
                if count == PAGE:
                    return last
            return ""

        return await self._in_thread(prefix, work)

    async def list(self, prefix: str = "") -> AsyncGenerator[Stat, None]:
        """Yield every regular file below `prefix`, sorted by path."""
        async with contextlib.aclosing(self.list_pages(prefix)) as pages:
            async for page in pages:
                for stat in page:
                    yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncGenerator[Page, None]:
        """As `list`, in pages; the names of one folder are in memory at once."""
        found = walk(self._folders, prefix, after)

        def take() -> Page:
            page: list[Stat] = []
            for stat in found:
                page.append(stat)
                if len(page) == PAGE:
                    break
            return page

        while page := await self._in_thread(prefix or "/", take):
            yield page

    async def stat(self, path: str) -> Stat:
        """Describe one file."""
        return await self._in_thread(check_safe(path), stat_file, self._folders, path)

    @asynccontextmanager
    async def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AsyncIterator[Body]:
        """Read `[start, stop)`; the open file stays the same version if another replaces it."""
        file, stat, first = await self._in_thread(check_safe(path), self._open, path, start, stop, version)
        end = _size(stat) if stop is None else min(stop, _size(stat))
        chunks = read_chunks(self._threads, file, start, end, path=path, root=self.root, first=first)
        async with contextlib.aclosing(chunks):
            yield FileBody(stat, start, end, f"{self.root}/{path}", chunks)

    def open_descriptor(self, path: str) -> tuple[OpenDescriptor, int]:
        """Return the open file at `path` and its size."""
        try:
            file, found = self._folders.open_file(check_safe(path))
        except OSError as error:
            raise translate(error, path, self.root) from error
        return file, found.st_size

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one small file; concurrent calls share their syncs."""
        del sha256  # after a sync without an error, the disk has the bytes that were written
        name = self._temporaries.name()
        folders = self._folders
        found: list[os.stat_result] = []

        def write() -> OpenDescriptor:
            mode = 0o600 if path in PRIVATE_FILES else 0o666
            file = in_tmp(folders, lambda tmp: folders.create(name, WRITE_NEW, path, tmp, mode))
            write_all(file.fd, body, 0)
            found.append(os.fstat(file.fd))
            return file

        def place(touched: Touched) -> Stat:
            put_in_place(folders, folders.find(TMP), name, path, touched, if_absent=if_absent)
            return stat_of(path, found[0])

        stat: Stat = await self._group.make(
            FileChange(check_safe(path), place, write, lambda: self._temporaries.unlink(name))
        )
        return stat

    @asynccontextmanager
    async def stage(
        self,
        path: str,
        *,
        size: int | None,
        resume: str | None = None,
        is_record: bool = False,
        in_place: bool = False,
        of: str | None = None,
    ) -> AsyncIterator[Staged]:
        """Begin a file, or continue the one of the token `resume`; if nothing is left of it, begin with a new token.

        With `of`, a large file shares the blocks of that file if the file system can, and else is a copy.
        """
        del in_place  # its bytes are named at the end in any case
        original = None
        if of is not None:
            original, found, first = await self._in_thread(check_safe(of), self._open, of, 0, None, None)
            if _size(found) <= min(SMALL, CHUNK):
                yield SmallCopy(check_safe(path), first, self.put)
                return
        keep_free = None if is_record or of is not None else self._keep_free
        size = None if of is not None else size  # nothing is reserved for blocks that are shared
        staged = await self._in_thread(check_safe(path), self._begin, path, size, resume, keep_free)
        self._temporaries.alive.add(staged.token)
        try:
            if original is not None:
                await self._in_thread(path, staged.fill_from, original)
            yield staged
        finally:
            self._temporaries.alive.discard(staged.token)
            staged.close()

    async def move(self, path: str, to: str) -> None:
        """Rename. If `path` is absent and `to` exists, an earlier call has done it."""
        await self._group.make(
            FileChange(check_safe(path), lambda touched: move_file(self._folders, path, check_safe(to), touched))
        )

    async def copy(self, path: str, to: str) -> None:
        """Make a hard link, or a copy if the file system has no hard links."""
        temporaries = self._temporaries
        name = temporaries.name()
        await self._group.make(
            FileChange(
                check_safe(path),
                lambda touched: copy_file(self._folders, path, check_safe(to), temporaries, name, touched),
            )
        )

    async def delete(self, path: str) -> None:
        """Remove a file, and the folders that become empty."""
        await self._group.make(FileChange(check_safe(path), lambda touched: delete_file(self._folders, path, touched)))

    def sums(self, paths: Sequence[str], is_over: Callable[[], bool]) -> Sequence[str | None]:
        """Return the sha256 of each file, None for one that cannot be read; reads in the caller's thread."""
        return [None if is_over() else hash_file(self._folders, path, is_over) for path in paths]

    async def free(self) -> int:
        """Return the bytes that an ordinary user can still write."""
        return await self._in_thread(message("free space"), self._free)

    async def sweep(self, older_than: float) -> int:
        """Delete staged files that have not changed for `older_than` seconds; return their number."""
        return await self._in_thread(TMP, self._temporaries.sweep, older_than)

    async def identify(self, expected: str | None) -> str:
        """Return this store's id, given to an empty or new folder on first use.

        Raises Offline if the folder has no id or another one than `expected`: another disk is mounted there. Raises
        ConfigError for a folder that holds files but no id.
        """
        await self._in_thread(SENTINEL, self._folders.renew)
        if expected is not None and not await asyncio.to_thread(os.path.isdir, self.root):
            raise Offline(
                message(
                    "{root}: no such folder; it was store {expected}: is it unmounted?",
                    root=self.root,
                    expected=expected,
                )
            )
        known = await identify(
            self,
            self.root,
            expected,
            self._clock,
            absent=message("is it unmounted?"),
            another=message("is another disk mounted?"),
        )
        await self._in_thread(SENTINEL, self._folders.close_private)
        return known

    async def read_identity(self) -> bytes:
        """Return the content of SENTINEL. Raises NotFound."""
        return await self._in_thread(SENTINEL, self._read_small, SENTINEL)

    async def foreign_path(self) -> str:
        """Return the name of a file or folder that keeps the folder from becoming a new store, "" if there is none."""
        return await self._in_thread(SENTINEL, self._foreign_path)

    async def lock(self) -> OpenDescriptor:
        """Lock the folder against other processes until the result is deleted. Raises Busy."""
        return await self._in_thread(LOCK, self._lock)

    async def aclose(self) -> None:
        """End the threads and close all descriptors."""
        await self._group.aclose()
        await asyncio.to_thread(self._threads.shutdown)
        self._folders.close()

    async def _in_thread(self, path: str, act: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        def guarded() -> R:
            try:
                return act(*args, **named)
            except OSError as error:
                raise translate(error, path, self.root) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _foreign_path(self) -> str:
        names = names_in(self._folders.top()) - {"lost+found"}
        if ".syncd" in names:
            names |= {f".syncd/{name}" for name in names_in(self._folders.find(".syncd"))}
        return min(names - {".syncd", TMP, LOCK}, default="")

    def _begin(self, path: str, size: int | None, resume: str | None, keep_free: int | None) -> StagedFile:
        def staging(token: str) -> StagedFile:
            return StagedFile(self._folders, self._group, self._threads, path, token, keep_free=keep_free)

        if resume is not None and _TOKEN.fullmatch(resume) is not None:
            staged = staging(resume)
            if staged.resume():
                return staged
        staged = staging(secrets.token_hex(16))
        staged.begin(size)
        return staged

    def _open(self, path: str, start: int, stop: int | None, version: str | None) -> tuple[OpenDescriptor, Stat, bytes]:
        file, found = self._folders.open_file(path)
        stat = stat_of(path, found)
        size = _size(stat)
        if version is not None and version != stat.version:
            raise Changed(
                message("{path}: is version {found}, not {wanted}", path=path, found=stat.version, wanted=version)
            )
        if start > size or start == size > 0:
            raise Unsupported(message("{path}: has {size} bytes, none at {start}", path=path, size=size, start=start))
        end = size if stop is None else min(stop, size)
        return file, stat, os.pread(file.fd, min(CHUNK, max(0, end - start)), start)

    def _read_small(self, path: str) -> bytes:
        file, _, body = self._open(path, 0, None, None)
        del file
        return body

    def _free(self) -> int:
        if Path(self.root).is_dir():
            room = os.fstatvfs(self._folders.top().fd)
        else:  # a question creates no folder
            room = os.statvfs(next(folder for folder in Path(self.root).parents if folder.is_dir()))
        return room.f_bavail * room.f_frsize

    def _lock(self) -> OpenDescriptor:
        self._folders.find(".syncd", make=True)
        folder, name = self._folders.split(LOCK)
        file = OpenDescriptor(
            os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder.fd)
        )
        try:
            fcntl.flock(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(message("{root}/{lock}: another process uses this store", root=self.root, lock=LOCK)) from error
        return file


def _size(stat: Stat) -> int:
    assert stat.size is not None
    return stat.size
