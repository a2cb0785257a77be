"""Reads files over SFTP, from servers that are authenticated by their host key.

Rules:
1. SFTP has no strong validator. A version is `modified:<seconds>|<size>` of the open file, read before the first byte
   and after the last. Versions of other kinds bind nothing.
2. The path of a url is absolute on the server; `sftp://host/~/data/` begins at the home folder of the login.
3. Listings contain regular files, and links that lead to one of the same source; others are counted.
"""

import asyncio
import stat as modes
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from types import TracebackType
from typing import cast
from urllib.parse import quote, urlsplit

import asyncssh

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Credential, Interrupted, NetworkPlan, NotFound, Page, Unsupported
from transports.net import (
    NOWHERE,
    SPECIAL,
    TO_FOLDERS,
    UNKNOWN,
    Listing,
    Selection,
    ServerTree,
    SkippedNames,
    StallDetector,
    check_count,
    check_unchanged,
    open_network,
    read_stop,
    urls,
    walk_tree,
)
from transports.sftp.connections import SftpConnection, SftpConnections, translated_errors
from transports.sftp.host_keys import KNOWN_HOSTS, SftpServer

LEAST, MOST = 64 << 10, 2 << 20  # bytes per request, sent in many packets at once
FLOOR = (1024.0, 60.0)
CONNECTIONS = 16  # reads at once, by default


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    network: NetworkPlan | None = None,
) -> "SftpTransport":
    """Return the transport of an `sftp://` url; SFTP has no user agent."""
    del user_agent
    found = options.get("host_keys", ())
    host_keys = tuple(str(key) for key in found) if isinstance(found, Sequence) else ()
    encoding = str(options.get("encoding", "utf-8"))
    return SftpTransport(
        url,
        credential=credential,
        allow_private=allow_private,
        host_keys=host_keys,
        encoding=encoding,
        network=network,
    )


class SftpTransport:
    """One server, below one folder."""

    connections = CONNECTIONS

    def __init__(
        self,
        url: str,
        *,
        credential: Credential | None = None,
        allow_private: frozenset[str] = frozenset(),
        host_keys: tuple[str, ...] = (),
        known_hosts: tuple[str, ...] = KNOWN_HOSTS,
        encoding: str = "utf-8",
        connect_timeout: float = 30.0,
        reply_timeout: float = 60.0,
        floor: tuple[float, float] = FLOOR,
        network: NetworkPlan | None = None,
    ) -> None:
        """`host_keys` are public keys (`ssh-ed25519 AAAA…`) or fingerprints (`SHA256:…`); they override the files."""
        parts = urlsplit(url)
        self.root = url
        self.floor = floor
        self._skipped = SkippedNames()
        self.tree = ServerTree(url, encoding, _below_home)
        self.origin = self.tree.origin
        self.links = SftpConnections(
            SftpServer(
                origin=self.origin,
                host=parts.hostname or "",
                port=parts.port or 22,
                credential=credential if credential is not None and credential.origin == self.origin else None,
                host_keys=host_keys,
                known_hosts=known_hosts,
                encoding=encoding,
                is_private_allowed=self.origin in allow_private,
                connect_timeout=connect_timeout,
                reply_timeout=reply_timeout,
                network=open_network(network),
            )
        )

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every file, sorted by its whole path."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        selection = Selection(prefix, after)
        self._skipped = SkippedNames()
        link = await self.links.acquire(self.root)
        try:
            async with aclosing(walk_tree(lambda above: self._files(link, above, selection))) as pages:
                async for page in pages:
                    yield page
        finally:
            self.links.release(link)

    def skipped(self) -> Mapping[str, int]:
        """Return what the last listing passed over."""
        return self._skipped.counts

    async def stat(self, path: str) -> Stat:
        """Describe one file."""
        where, name = self.tree.locate(path)
        link = await self.links.acquire(name)
        try:
            with translated_errors(name, self.origin), link.answers():
                return describe(path, name, await link.files.stat(where))
        finally:
            self.links.release(link)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`."""
        return _SftpRead(self, path, start, stop, version)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.links.aclose()

    async def _files(self, link: SftpConnection, above: str, selection: Selection) -> Listing:
        """Return the selected files and folders in one folder."""
        found: list[tuple[str, Stat | None]] = []
        links: list[str] = []
        name, count = above or self.root, 0
        with translated_errors(name, self.origin):
            async with aclosing(link.names(self.tree.folder + above)) as names:
                async for one in names:
                    count += 1
                    check_count(count, name)
                    called = cast("str", one.filename)  # of the type of the path that was asked for
                    mode = one.attrs.permissions or 0
                    if called in (".", ".."):
                        continue
                    if modes.S_ISDIR(mode):
                        if (path := selection.folder(above, called)) is not None:
                            found.append((path, None if path.endswith("/") else Stat(path)))
                    elif modes.S_ISREG(mode):
                        if (path := selection.file(above, called)) is not None:
                            found.append((path, describe(path, path, one.attrs)))
                    elif not modes.S_ISLNK(mode):
                        self._skipped.add(SPECIAL if modes.S_IFMT(mode) else UNKNOWN)
                    elif (path := selection.file(above, called)) is not None:
                        links.append(path)
            linked = [(path, await self._linked(link, path)) for path in links]
            found += [(path, stat) for path, stat in linked if stat is not None]
        return sorted(found, key=lambda one: one[0])

    async def _linked(self, link: SftpConnection, path: str) -> Stat | None:
        """Return the Stat of the file that a link leads to; count a link that leads to none of the source."""
        try:
            with link.answers():
                attributes = await link.files.stat(self.tree.folder + path)
            if modes.S_ISDIR(attributes.permissions or 0):
                self._skipped.add(TO_FOLDERS)
                return None
            with link.answers():
                top = await link.files.realpath(self.tree.folder or ".")
            with link.answers():
                target = await link.files.realpath(self.tree.folder + path)
            if modes.S_ISREG(attributes.permissions or 0) and target.startswith(f"{top.rstrip('/')}/"):
                return describe(path, path, attributes)
        except asyncssh.SFTPError as error:
            if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
                raise
        self._skipped.add(NOWHERE)
        return None


class _SftpRead:
    """One read: the file is open from entering to leaving; a Body meanwhile."""

    def __init__(self, transport: SftpTransport, path: str, start: int, stop: int | None, version: str | None) -> None:
        self._transport = transport
        self._path = path
        self._version = version
        self._link: SftpConnection | None = None
        self._file: asyncssh.SFTPClientFile | None = None
        self._asked: asyncio.Future[bytes] | None = None
        self.start = start
        self.stop = stop
        self.headers: dict[str, str] = {}
        self.url = path if urls.is_absolute(path) else transport.root + quote(path)

    async def __aenter__(self) -> Body:
        transport = self._transport
        where, name = transport.tree.locate(self._path)
        self._link = await transport.links.acquire(name)
        try:
            with translated_errors(name, transport.origin):
                with self._link.answers():
                    self._file = await self._link.files.open(where, "rb")
                with self._link.answers():
                    self.stat = describe(self._path, name, await self._file.stat())
            if self.stat.size is None:
                raise Unsupported(message("{path}: the server does not report its size", path=self._path))
            self.stop = read_stop(self.stat, self.start, self.stop, self._version)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file, link, stop, path, at, many = self._file, self._link, self.stop, self._path, self.start, LEAST
        assert file is not None
        assert link is not None
        assert stop is not None
        watched = StallDetector(path, self._transport.floor)
        while at < stop:
            count = min(many, stop - at)
            with translated_errors(path, self._transport.origin):
                before = watched.spent
                # Shielded: if a read is cancelled, asyncssh leaves its packets without an owner. A read that is slow
                # but above the stall limit is awaited again, not sent again.
                reading = asyncio.ensure_future(file.read(count, at))  # owned by this read, or else by _leave
                self._asked = asked = cast("asyncio.Future[bytes]", reading)
                chunk = await watched.read(partial(asyncio.shield, asked))
                took = watched.spent - before
            if not chunk:
                raise Interrupted(message("{path}: ended at byte {at} of {stop}", path=path, at=at, stop=stop))
            if len(chunk) > count:
                raise Interrupted(
                    message("{path}: more than the requested {count} bytes arrived", path=path, count=count)
                )
            many = min(many * 2, MOST) if took < 1.0 else max(many // 2, LEAST)
            at += len(chunk)
            yield chunk
        with translated_errors(path, self._transport.origin), link.answers():
            now = describe(path, path, await file.stat())
        check_unchanged(self.stat, now)

    async def _leave(self) -> None:
        """Close the file, and give the connection back."""
        file, self._file = self._file, None
        link, self._link = self._link, None
        if link is not None:
            self._transport.links.release(link)
            if file is not None:
                await link.close(file, self._asked)


def describe(path: str, name: str, found: asyncssh.SFTPAttrs) -> Stat:
    """Return the Stat of a file from its attributes. Raises NotFound if it is not a regular file."""
    if not modes.S_ISREG(found.permissions or 0):
        raise NotFound(message("{name}: not a file", name=name))
    modified, size = found.mtime, found.size
    version = f"modified:{int(modified)}|{size}" if modified is not None and size is not None else None
    return Stat(path, size, float(modified) if modified is not None else None, version)


def _below_home(path: str) -> str:
    """Return the server's path of a url's path: relative if it begins at the home folder of the login."""
    return path.removeprefix("/~/") if path.startswith("/~/") else path
