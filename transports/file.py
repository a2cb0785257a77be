"""Reads files below a folder of this machine: a disk that arrived by post, a mounted archive.

Symbolic links are not followed, and nothing outside the folder is ever opened. A version is made of the time, size and
number of a file, so a file that is written to between two reads is another version.
"""

import asyncio
import os
import stat as modes
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from manifests.stat import Stat, UnsafePath, check_path
from syncd.errors import Changed, Denied, Interrupted, NotFound, SyncdError, Unreachable, Unsafe, Unsupported
from syncd.ports import Body, Credential, Page

CHUNK = 1 << 20  # bytes read at a time
PAGE = 1000
T = TypeVar("T")

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
) -> "FileTransport":
    """Return the transport of a `file:///folder/` url; it has no options and no secrets."""
    del options, credential, allow_private, user_agent
    return FileTransport(unquote(urlsplit(url).path))


class FileTransport:
    """One folder."""

    def __init__(self, root: str) -> None:
        """`root` is looked at when it is read from, not before."""
        self.root = root.rstrip("/") or "/"

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every regular file, sorted by its whole path; what has no text for a name comes escaped."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        walk = (stat for stat in _walk(self.root, "") if stat.path.startswith(prefix) and stat.path > after)
        while page := await self._try(prefix or "/", lambda: list(islice(walk, PAGE))):
            yield page

    async def stat(self, path: str) -> Stat:
        """Describe one file."""

        def look() -> Stat:
            descriptor = self._open(path)
            try:
                return _stat(path, os.fstat(descriptor))
            finally:
                os.close(descriptor)

        return await self._try(path, look)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`."""
        return self._opened(path, start, stop, version)

    async def aclose(self) -> None:
        """Nothing stays open."""

    @asynccontextmanager
    async def _opened(self, path: str, start: int, stop: int | None, version: str | None) -> AsyncIterator[Body]:
        descriptor = await self._try(path, lambda: self._open(path))
        try:
            found = _stat(path, os.fstat(descriptor))
            if version is not None and version.startswith('"') and version != found.version:
                raise Changed(f"{path}: version {version} became {found.version}")
            assert found.size is not None
            if start > found.size or (start == found.size and start > 0):
                raise Unsupported(f"{path}: has {found.size} bytes, none from {start} on")
            end = found.size if stop is None else min(stop, found.size)
            yield _FileBody(self, descriptor, found, start, end)
        finally:
            os.close(descriptor)

    async def read(self, path: str, descriptor: int, at: int, count: int) -> bytes:
        """Return up to `count` bytes at an offset."""
        return await self._try(path, lambda: os.pread(descriptor, count, at))

    def _open(self, path: str) -> int:
        """Open below the root, following no link on the way."""
        try:
            *folders, name = check_path(path).split("/")
        except UnsafePath as error:
            raise Unsafe(str(error)) from error
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for folder in folders:
            try:
                below = os.open(folder, _READ | os.O_DIRECTORY, dir_fd=here)
            finally:
                os.close(here)
            here = below
        try:
            found = os.open(name, _READ | os.O_NONBLOCK, dir_fd=here)
        finally:
            os.close(here)
        if not modes.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise NotFound(f"{path}: is no regular file")
        return found

    async def _try(self, path: str, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread, its errors in our words."""
        try:
            return await asyncio.to_thread(call)
        except SyncdError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            if path in ("", "/") or not os.path.isdir(self.root):  # noqa: ASYNC240, PTH112  one look, after a failure
                raise Unreachable(f"{self.root}: the folder is not there") from error
            raise NotFound(f"{path}: no such file in {self.root}") from error
        except PermissionError as error:
            raise Denied(f"{path}: {error.strerror}") from error
        except OSError as error:
            raise Interrupted(f"{path}: {error.strerror}") from error


class _FileBody:
    def __init__(self, transport: FileTransport, descriptor: int, stat: Stat, start: int, stop: int) -> None:
        self._transport = transport
        self._descriptor = descriptor
        self.stat = stat
        self.start = start
        self.stop: int | None = stop
        self._end = stop
        self.headers: dict[str, str] = {}
        self.url = f"file://{transport.root}/{stat.path}"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at, path = self.start, self.stat.path
        while at < self._end:
            chunk = await self._transport.read(path, self._descriptor, at, min(CHUNK, self._end - at))
            if not chunk:
                raise Interrupted(f"{path}: ended at byte {at} of {self._end}")
            at += len(chunk)
            yield chunk


def _walk(folder: str, above: str) -> Iterator[Stat]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name + "/")
            elif entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    # with its slash, a folder sorts where its files belong in the order of whole paths
    for name in sorted(names):
        if name.endswith("/"):
            yield from _walk(f"{folder}/{name[:-1]}", above + name)
        else:
            yield _stat(above + name, os.lstat(f"{folder}/{name}"))


def _stat(path: str, found: os.stat_result) -> Stat:
    version = f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'
    return Stat(path, found.st_size, found.st_mtime, version)
