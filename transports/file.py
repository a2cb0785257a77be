"""Reads files below a folder of this machine: a disk that was shipped, a mounted archive.

Rules:
1. Only regular files are listed and read, and links that lead to one in the same folder. No other link is followed.
2. A version consists of the time, size and inode of a file. It is read before the first byte and after the last, so
   that a write during the read is noticed.
3. The event loop is never blocked: calls to the file system are made in threads. A file that a thread opens after its
   caller was cancelled is closed.
"""

import asyncio
import errno
import os
import stat as modes
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

from manifests.messages import message
from manifests.stat import Stat, UnsafePath, check_source_path
from syncd.core import (
    Body,
    Credential,
    Denied,
    Interrupted,
    NotFound,
    Page,
    SyncdError,
    Unreachable,
    Unsafe,
    Unsupported,
    answering,
    exhausted,
)
from transports.net import (
    NOWHERE,
    PAGE,
    SPECIAL,
    TO_FOLDERS,
    Selection,
    SkippedNames,
    UnlistedFolders,
    check_unchanged,
    read_stop,
)

CHUNK = 1 << 20  # bytes read at a time
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
    """Return the transport of a `file:///folder/` url; it has no credentials."""
    del credential, allow_private, user_agent
    return FileTransport(
        unquote(urlsplit(url).path, errors="surrogateescape"), encoding=str(options.get("encoding", "utf-8"))
    )


class FileTransport:
    """One folder."""

    def __init__(self, root: str, *, encoding: str = "utf-8") -> None:
        """`root` is accessed at the first read, not before; `encoding` is that of the names below it."""
        self.root = root.rstrip("/") or "/"
        self.url = f"file://{quote(root.rstrip('/'), errors='surrogateescape')}/"
        self._names = _NameCodec(encoding)
        self._skipped = SkippedNames()

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every regular file, sorted by its whole path; bytes of a name that are not text are escaped."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        self._skipped = skipped = SkippedNames()
        unlisted = UnlistedFolders()
        walk = _walk(self.root, "", Selection(prefix, after), self._names, _Links(self.root, skipped), unlisted)
        while page := await self._call(prefix or self.root, lambda: list(islice(walk, PAGE))):
            yield page
        unlisted.raise_if_any()

    def skipped(self) -> Mapping[str, int]:
        """Return what the last listing passed over."""
        return self._skipped.counts

    async def stat(self, path: str) -> Stat:
        """Describe one file."""
        below = self._below(path)

        def look() -> Stat:
            descriptor = _open(self.root, below)
            try:
                return _describe(path, os.fstat(descriptor))
            finally:
                os.close(descriptor)

        return await self._call(path, look)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`."""
        return _FileRead(self, path, start, stop, version)

    async def aclose(self) -> None:
        """Do nothing: no file stays open."""

    async def acquire(self, path: str) -> tuple[int, os.stat_result]:
        """Open a file; the caller closes it. If the caller is cancelled during the call, it is closed here."""
        below = self._below(path)

        def look() -> tuple[int, os.stat_result]:
            descriptor = _open(self.root, below)
            return descriptor, os.fstat(descriptor)

        opening = asyncio.ensure_future(self._call(path, look))  # owned by this call, or else by _drop
        is_taken = False
        try:
            found = await asyncio.shield(opening)
            is_taken = True
            return found
        finally:
            if not is_taken:
                opening.add_done_callback(_drop)

    async def read(self, path: str, descriptor: int, at: int, count: int) -> bytes:
        """Return up to `count` bytes at an offset."""
        return await self._call(path, partial(os.pread, descriptor, count, at))

    async def look(self, path: str, descriptor: int) -> Stat:
        """Describe an open file in its present state."""
        return await self._call(path, lambda: _describe(path, os.fstat(descriptor)))

    def _below(self, path: str) -> tuple[str, ...]:
        """Return the parts of a path below the root, or of a file url that names one; raises Unsafe, Unsupported."""
        relative = path
        if "://" in path:
            if not path.startswith("file://"):
                raise Unsupported(message("{path}: not a file on this machine", path=path))
            try:
                whole = unquote(urlsplit(path).path)
            except ValueError as error:  # a bracket that is no IPv6 address
                raise Unsafe(message("{path}: not a url", path=path)) from error
            relative = whole.removeprefix(f"{self.root.rstrip('/')}/")
            if relative == whole:
                raise Unsafe(message("{path}: not below {root}", path=path, root=self.root))
        try:
            return tuple(map(self._names.to_disk, check_source_path(relative).split("/")))
        except UnsafePath as error:
            raise Unsafe(str(error)) from error

    async def _call(self, path: str, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread, and raise our own errors."""
        try:
            return await asyncio.to_thread(call)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not await asyncio.to_thread(os.path.isdir, self.root):
                raise answering(
                    Unreachable(message("{root}: no such folder: is it mounted?", root=self.root))
                ) from error
            raise NotFound(message("{path}: no such file in {root}", path=path, root=self.root)) from error
        except PermissionError as error:
            raise Denied(message("{path}: {cause}", path=path, cause=error.strerror)) from error
        except OSError as error:
            raise _why(path, error) from error


class _FileRead:
    """One read: the file is open from entering to leaving; a Body meanwhile."""

    def __init__(self, transport: FileTransport, path: str, start: int, stop: int | None, version: str | None) -> None:
        self._transport = transport
        self._path = path
        self._version = version
        self._descriptor: int | None = None
        self._busy: asyncio.Future[bytes] | None = None
        self.start = start
        self.stop = stop
        self.headers: dict[str, str] = {}
        self.url = path if "://" in path else transport.url + quote(path, errors="surrogateescape")

    async def __aenter__(self) -> Body:
        self._descriptor, found = await self._transport.acquire(self._path)
        self.stat = stat = _describe(self._path, found)
        try:
            self.stop = read_stop(stat, self.start, self.stop, self._version, binding=('"',))
        except SyncdError:
            os.close(self._descriptor)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        assert descriptor is not None
        if self._busy is not None and not self._busy.done():  # a thread still reads for a caller that was cancelled
            self._busy.add_done_callback(partial(_close, descriptor))
        else:
            os.close(descriptor)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at, path, transport = self.start, self._path, self._transport
        assert self.stop is not None
        while at < self.stop:
            assert self._descriptor is not None
            count = min(CHUNK, self.stop - at)
            reading = transport.read(path, self._descriptor, at, count)
            self._busy = asyncio.ensure_future(reading)  # owned by this read, or else by _close
            chunk = await asyncio.shield(self._busy)
            if not chunk:
                raise Interrupted(message("{path}: ended at byte {at} of {stop}", path=path, at=at, stop=self.stop))
            at += len(chunk)
            yield chunk
        if self._descriptor is not None:
            now = await transport.look(path, self._descriptor)
            check_unchanged(self.stat, now)


def _open(root: str, parts: tuple[str, ...]) -> int:
    """Open a regular file below the root, or the one that a link at its path leads to."""
    try:
        return _open_plain(root, parts)
    except OSError as error:
        if error.errno != errno.ELOOP or (target := _target(root, "/".join((root, *parts)))) is None:
            raise
        return _open_plain(root, target)  # no link is left on the way, unless somebody has just put one there


def _target(root: str, link: str) -> tuple[str, ...] | None:
    """Return the parts below the root of the file that a link leads to; None if it leads nowhere, or out of it.

    The link's own folder is reached without a link.
    """
    top = os.path.realpath(root)
    folder = os.path.dirname(link)  # noqa: PTH120  a str: names may not be text
    if os.path.realpath(folder) != f"{top}{folder.removeprefix(root.rstrip('/'))}".rstrip("/"):
        return None
    try:
        found = os.path.realpath(link, strict=True)
    except OSError:
        return None
    below = found.removeprefix(f"{top.rstrip('/')}/")
    return tuple(below.split("/")) if below != found else None


class _Links:
    """Decides about the names of a listing that are neither files nor folders, and counts those it passes over."""

    def __init__(self, root: str, skipped: SkippedNames) -> None:
        self._root, self._skipped = root, skipped

    def is_file(self, entry: os.DirEntry[str]) -> bool:
        """Return True for a link that leads to a regular file of the source."""
        if not entry.is_symlink():
            self._skipped.add(SPECIAL)
            return False
        try:
            mode = entry.stat().st_mode
        except OSError:
            mode = 0
        if modes.S_ISREG(mode) and _target(self._root, entry.path) is not None:
            return True
        self._skipped.add(
            TO_FOLDERS if modes.S_ISDIR(mode) else SPECIAL if mode and not modes.S_ISREG(mode) else NOWHERE
        )
        return False


def _open_plain(root: str, parts: tuple[str, ...]) -> int:
    """Open a regular file below the root, following no link on the way."""
    *folders, name = parts
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, _READ | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        found = os.open(name, _READ | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    if not modes.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(errno.ENOENT, message("not a regular file"))
    return found


class _NameCodec:
    """Turns names on the disk into text, and back; Python has taken their bytes for UTF-8."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding if encoding != "utf-8" else ""

    def to_text(self, name: str) -> str:
        """Return the name as text; bytes that are not text become surrogates."""
        return os.fsencode(name).decode(self._encoding, "surrogateescape") if self._encoding else name

    def to_disk(self, name: str) -> str:
        """Return the name by which the disk knows it. Raises UnsafePath if the encoding has no such name."""
        if not self._encoding:
            return name
        try:
            return os.fsdecode(name.encode(self._encoding, "surrogateescape"))
        except UnicodeEncodeError as error:
            raise UnsafePath(
                message("{path}: cannot be encoded in {encoding}", path=name, encoding=self._encoding)
            ) from error


def _walk(
    folder: str, above: str, selection: Selection, names: _NameCodec, links: _Links, unlisted: UnlistedFolders
) -> Iterator[Stat]:
    """Yield the selected files below a folder in the order of their whole paths; one that vanishes is left out."""
    found: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = None
            if entry.is_dir(follow_symlinks=False):
                path = selection.folder(above, names.to_text(entry.name))
            elif entry.is_file(follow_symlinks=False) or links.is_file(entry):
                path = selection.file(above, names.to_text(entry.name))
            if path is not None:
                found[path] = entry.name
    for path in sorted(found):
        where = f"{folder}/{found[path]}"
        try:
            if path.endswith("/"):
                yield from _walk(where, path, selection, names, links, unlisted)
            else:
                there = os.lstat(where)
                if modes.S_ISLNK(there.st_mode):
                    there = os.stat(where)  # noqa: PTH116  a str: names may not be text
                yield _describe(path, there)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            unlisted.add(Denied(message("{path}: {cause}", path=path, cause=error.strerror)))


def _describe(path: str, found: os.stat_result) -> Stat:
    version = f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'
    return Stat(path, found.st_size, found.st_mtime, version)


def _why(path: str, error: OSError) -> SyncdError:
    """Return our error for an error of the file system."""
    if error.errno == errno.ELOOP:
        return Unsafe(
            message("{path}: is a symbolic link that leads to no file of the source; it is not followed", path=path)
        )
    if error.errno == errno.ENAMETOOLONG:
        return NotFound(message("{path}: {cause}", path=path, cause=error.strerror))
    if error.errno in (errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT):
        return answering(Unreachable(message("{path}: {cause}", path=path, cause=error.strerror)))
    return exhausted(error, path) or Interrupted(message("{path}: {cause}", path=path, cause=error.strerror))


def _drop(opening: asyncio.Future[tuple[int, os.stat_result]]) -> None:
    """Close a file that was opened for a cancelled caller."""
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result()[0])


def _close(descriptor: int, read: asyncio.Future[bytes]) -> None:
    if not read.cancelled():
        read.exception()  # marks it as retrieved
    os.close(descriptor)
