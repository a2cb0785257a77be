"""Reads files over FTP, plain (`ftp`) or with TLS on both connections (`ftps`).

Rules:
1. FTP has no strong validator. A version is `modified:<MDTM>|<size>`, asked for before the first byte and after the
   last, so that a file that is replaced during the read is noticed. Versions of other kinds bind nothing.
2. A path is relative to the folder of the login, as in FTP urls (`ftp://host//srv/data/` is absolute).
3. A listing uses MLSD, else LIST, with the time of each file asked for. A symbolic link that leads to a file of the
   source is listed as that file; others are counted, and so are folders that are one of the folders above them.
4. Every read has a control connection of its own; the governor limits how many.
"""

import asyncio
import posixpath
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote, urlsplit

import aioftp

from manifests.messages import count, message
from manifests.stat import Stat, storable
from syncd.core import (
    Body,
    Changed,
    Credential,
    Interrupted,
    NetworkPlan,
    NotFound,
    Page,
    Refused,
    Unreachable,
    Unsupported,
)
from transports.ftp.control import FtpControl, FtpServer, translated_errors
from transports.ftp.listing import FILE, FOLDER, LINK, FtpEntry, instant, list_line, mlsd, version
from transports.net import (
    NOWHERE,
    SPECIAL,
    TO_FOLDERS,
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

CHUNK = 256 << 10  # bytes read at a time
FRESH = 2.0  # seconds; a connection that was idle for longer is asked for a sign of life first
KEEP_IDLE = 20.0  # seconds; many servers close an idle connection within a minute
ASKED_AT_ONCE = 32  # files whose times are asked for before the first reply is read
FLOOR = (1024.0, 60.0)
CONNECTIONS = 8  # at once, by default: FTP servers ban clients with too many
T = TypeVar("T")
_NO_FILES = re.compile(
    r"\bno files\b|没有(?:找到)?文件|沒有(?:找到)?檔案|ファイルが(?:ありません|見つかりません)|파일이 없"
    r"|keine Dateien|aucun fichier|no hay (?:archivos|ficheros)|nenhum arquivo|nessun file"
    r"|нет файлов|файлы не найдены|brak plików",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    network: NetworkPlan | None = None,
) -> "FtpTransport":
    """Return the transport of an `ftp://` or `ftps://` url."""
    encoding = str(options.get("encoding", "utf-8"))
    return FtpTransport(
        url,
        encoding=encoding,
        credential=credential,
        allow_private=allow_private,
        user_agent=user_agent,
        network=network,
    )


class FtpTransport:
    """One server, below one folder."""

    connections = CONNECTIONS

    def __init__(
        self,
        url: str,
        *,
        user_agent: str,
        credential: Credential | None = None,
        allow_private: frozenset[str] = frozenset(),
        encoding: str = "utf-8",
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        reply_timeout: float = 60.0,
        floor: tuple[float, float] = FLOOR,
        clock: Callable[[], float] = time.monotonic,
        network: NetworkPlan | None = None,
    ) -> None:
        """`floor` is bytes per second over a window of seconds. Port 990 is TLS from the first byte, others by AUTH."""
        parts = urlsplit(url)
        self.root = url
        self.floor = floor
        self.certificates: dict[str, float] = {}
        self._tree = ServerTree(url, encoding, _below_login)
        self._origin = self._tree.origin
        self._folder = self._tree.folder
        is_secure = parts.scheme == "ftps"
        if credential is not None and credential.origin != self._origin:
            credential = None  # it belongs to another origin
        mail = _MAIL.search(user_agent)
        self._server = FtpServer(
            origin=self._origin,
            host=parts.hostname or "",
            port=parts.port or 21,
            username=credential.username if credential is not None else "anonymous",
            password=credential.secret if credential is not None else mail[0] if mail is not None else "anonymous@",
            encoding=encoding,
            is_private_allowed=self._origin in allow_private,
            context=(ssl_context or ssl.create_default_context()) if is_secure else None,
            implicit=is_secure and parts.port == 990,
            connect_timeout=connect_timeout,
            reply_timeout=reply_timeout,
            network=open_network(network),
        )
        self._clock = clock
        self._skipped = SkippedNames()
        self._idle: list[FtpControl] = []

    # -- the port -------------------------------------------------------------------------------------------------

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every file, sorted by its whole path."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        selection = Selection(prefix, after)
        unread = _UnreadLines(self._origin)
        self._skipped = SkippedNames()
        folders: dict[str, str] = {}  # the identity of each folder that is walked, by its path
        control: FtpControl | None = None

        async def list_folder(above: str) -> Listing:
            nonlocal control
            if control is not None:
                return await self._files(control, above, selection, unread, folders)
            control, found = await self._asked(
                lambda control: self._files(control, above, selection, unread, folders), self.root
            )
            return found

        try:
            async with aclosing(walk_tree(list_folder)) as pages:
                async for page in pages:
                    yield page
            if control is not None:
                self.keep(control)
                control = None
            unread.raise_if_any()
        finally:
            if control is not None:
                control.drop()

    def skipped(self) -> Mapping[str, int]:
        """Return what the last listing passed over."""
        return self._skipped.counts

    async def stat(self, path: str) -> Stat:
        """Describe one file."""
        control, _, found = await self.begin(path)
        self.keep(control)
        return _stat(path, found)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`; bytes behind `stop` are cut off."""
        return _FtpRead(self, path, start, stop, version)

    async def aclose(self) -> None:
        """Close all idle connections."""
        idle, self._idle = self._idle, []
        for control in idle:
            control.drop()
        await asyncio.sleep(0)  # closed sockets leave the loop in its next turn

    # -- connections ----------------------------------------------------------------------------------------------

    async def begin(self, path: str) -> tuple[FtpControl, str, FtpEntry]:
        """Return a control connection, the server's path of a file, and its description of the file."""
        where, name = self._tree.locate(path)
        control, found = await self._asked(lambda control: control.describe(control.at(where), name), name)
        return control, control.at(where), found

    def keep(self, control: FtpControl) -> None:
        """Keep a control connection for the next read."""
        control.used_at = self._clock()
        self._idle.append(control)

    async def _asked(self, ask: Callable[[FtpControl], Awaitable[T]], name: str) -> tuple[FtpControl, T]:
        """Ask on an idle connection, else on a new one. One that the server has closed meanwhile is skipped."""
        while self._idle:
            control = self._idle.pop()
            idle = self._clock() - control.used_at
            if idle > KEEP_IDLE or (idle > FRESH and not await control.is_alive()):
                control.drop()
                continue
            with suppress(Refused):
                return control, await self._ask_on(control, ask)
        control = FtpControl(self._server, name)
        await self._ask_on(control, FtpControl.begin)
        if control.certificate is not None:
            self.certificates[self._origin] = control.certificate
        return control, await self._ask_on(control, ask)

    async def _ask_on(self, control: FtpControl, ask: Callable[[FtpControl], Awaitable[T]]) -> T:
        try:
            return await ask(control)
        except NotFound:
            self.keep(control)
            raise
        except BaseException:
            control.drop()
            raise

    # -- folders --------------------------------------------------------------------------------------------------

    async def _files(
        self, control: FtpControl, above: str, selection: Selection, unread: "_UnreadLines", folders: dict[str, str]
    ) -> Listing:
        """Return the selected files and folders in one folder; `folders` takes the identities of those."""
        files: dict[str, FtpEntry] = {}
        if not above:
            with translated_errors(self.root, self._origin):
                folders[""] = await control.identity(control.at(self._folder).rstrip("/") or "/")
        walked = {identity for path, identity in folders.items() if identity and above.startswith(path)}
        for one in await self._names(control, above, unread):
            select = {FOLDER: selection.folder, FILE: selection.file, LINK: selection.file}.get(one.kind)
            if select is None:
                self._skipped.add(SPECIAL)
            elif one.kind == FOLDER and one.unique in walked:
                self._skipped.add(TO_FOLDERS)
            elif (path := select(above, one.name)) is not None:
                is_link = one.kind == LINK and path.endswith(one.name)  # else its name is refused
                found = await self._linked(control, path, one) if is_link else one
                if found is not None:
                    files[path] = found
                    if found.kind == FOLDER:
                        folders[path] = found.unique
        paths = sorted(files)
        untimed = [p for p in paths if files[p].kind == FILE and not files[p].stamp and p.endswith(files[p].name)]
        for at in range(0, len(untimed), ASKED_AT_ONCE):
            batch = untimed[at : at + ASKED_AT_ONCE]
            with translated_errors(above or self.root, self._origin):
                times = await control.times([control.at(self._folder + path) for path in batch])
            for path, stamp in zip(batch, times, strict=True):
                files[path] = files[path]._replace(stamp=stamp)
        return [(path, None if path.endswith("/") else _stat(path, files[path])) for path in paths]

    async def _linked(self, control: FtpControl, path: str, link: FtpEntry) -> FtpEntry | None:
        """Return the file that a link leads to; count a link that leads to none of the source."""
        if link.target.startswith("/"):  # as the server names it, which may not be its whole disk
            is_inside = link.target.startswith(control.at(self._folder))
        else:
            leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.target)) if link.target else path
            if leads == "." or path.startswith(f"{leads}/"):  # to a folder that holds it
                self._skipped.add(TO_FOLDERS)
                return None
            is_inside = not f"{leads}/".startswith("../")
        if is_inside:
            try:
                return await control.describe(control.at(self._folder + path), path)
            except NotFound:  # a folder, or nothing
                self._skipped.add(TO_FOLDERS if await self._is_folder(control, path) else NOWHERE)
                return None
        self._skipped.add(NOWHERE)
        return None

    async def _is_folder(self, control: FtpControl, path: str) -> bool:
        code, _ = await control.command(f"CWD {control.at(self._folder + path)}", ("2xx", "5xx"))
        return code.startswith("2")

    async def _names(self, control: FtpControl, above: str, unread: "_UnreadLines") -> Sequence[FtpEntry]:
        """Return the names in one folder, as the server orders them; add to `unread` the lines that have none."""
        name = above or self.root
        is_exact = "MLST" in control.features
        read = mlsd if is_exact else list_line
        with translated_errors(name, self._origin):
            await control.send_command(f"CWD {control.at(self._folder + above).rstrip('/') or '/'}", "2xx")
        try:
            data = await control.opened("MLSD" if is_exact else "LIST", name)
        except (NotFound, Interrupted) as error:
            if _NO_FILES.search(str(error)) is None:
                raise
            return []  # the folder was entered, and is empty: some servers refuse to list nothing
        found: list[FtpEntry] = []
        watched = StallDetector(name, self.floor)
        try:
            with translated_errors(name, self._origin, broken=True):
                while line := await watched.read(data.reader.readline):
                    if not line.endswith(b"\n"):
                        raise Interrupted(message("{name}: its listing broke off within a line", name=name))
                    try:
                        one = read(line, self._server.encoding)
                    except ValueError:
                        unread.add(name, line.decode(self._server.encoding, "surrogateescape"))
                        continue
                    if one is not None:
                        found.append(one)
                    check_count(len(found), name)
        finally:
            data.close()
        said = await control.finish(name, early=False)
        if "truncated" in said.lower():  # Pure-FTPd, beyond its LimitRecursion of 10,000 names unless set otherwise
            shown = "".join(one if one.isprintable() else "?" for one in said)[:100]
            raise Unsupported(
                message("{name}: the server lists only a part of the folder: {said}", name=name, said=shown)
            )
        return found


class _UnreadLines:
    """The lines of one listing that could not be read: it goes on without them, and is incomplete at its end."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._first: tuple[str, str] | None = None
        self._count = 0

    def add(self, folder: str, line: str) -> None:
        self._first = self._first or (folder, storable(line.rstrip("\r\n"))[:200])
        self._count += 1

    def raise_if_any(self) -> None:
        """Raise Unsupported, with the first line: it would be the same another time."""
        if self._first is not None:
            folder, line = self._first
            raise Unsupported(
                message(
                    "{folder}: {origin} lists {lines} that syncd cannot read, so files may be missing: {line!r}",
                    folder=folder,
                    origin=self._origin,
                    lines=count(self._count, "{n} line", "{n:,} lines"),
                    line=line,
                )
            )


class _FtpRead:
    """One read: its file is described when entered, a Body from then on."""

    def __init__(self, transport: FtpTransport, path: str, start: int, stop: int | None, version: str | None) -> None:
        self._transport = transport
        self._path = path
        self._version = version
        self._control: FtpControl | None = None
        self._data: aioftp.DataConnectionThrottleStreamIO | None = None
        self.start = start
        self.stop = stop
        self.headers: dict[str, str] = {}
        self.url = path if urls.is_absolute(path) else transport.root + quote(path)

    async def __aenter__(self) -> Body:
        self._control, self._where, found = await self._transport.begin(self._path)
        self.stat = _stat(self._path, found)
        try:
            self.stop = read_stop(self.stat, self.start, self.stop, self._version)
            if self.stop is None or self.start < self.stop:
                self._data = await self._control.opened(f"RETR {self._where}", self._path, self.start)
        except BaseException as error:
            self._leave(is_usable=isinstance(error, Changed | NotFound | Unsupported))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(is_usable=self._data is None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, stop, path, at = self._data, self.stop, self._path, self.start
        if data is None:
            return
        watched = StallDetector(path, self._transport.floor)
        while stop is None or at < stop:
            count = CHUNK if stop is None else min(CHUNK, stop - at)
            with translated_errors(path, self._transport.root, broken=True):
                chunk = await watched.read(partial(data.reader.read, count))
            if not chunk:
                break
            at += len(chunk)
            yield chunk
        await self._finish(data, at)

    async def _finish(self, data: aioftp.DataConnectionThrottleStreamIO, at: int) -> None:
        """Read the last reply, and check that the file has not changed."""
        control, path, stop, size = self._control, self._path, self.stop, self.stat.size
        assert control is not None
        is_early = stop is not None and size is not None and stop < size
        if stop is not None and at < stop:
            raise Interrupted(message("{path}: ended at byte {at} of {stop}", path=path, at=at, stop=stop))
        if not is_early:
            with translated_errors(path, self._transport.root, broken=True):
                more = await StallDetector(path, self._transport.floor).read(partial(data.reader.read, 1))
            if more:
                raise Interrupted(message("{path}: more than the announced {size} bytes arrived", path=path, size=size))
        data.writer.transport.abort()
        try:
            await control.finish(path, early=is_early)
            found = await control.describe(self._where, path)
        except Unreachable:
            if is_early or stop is None:
                raise
            # all bytes are here; a NAT on the way has forgotten the control connection
            control.drop()
            self._control, self._where, found = await self._transport.begin(self._path)
        check_unchanged(self.stat, _stat(self._path, found))
        self._data = None

    def _leave(self, *, is_usable: bool) -> None:
        control, self._control = self._control, None
        if self._data is not None:
            self._data.writer.transport.abort()
        if control is not None and is_usable:
            self._transport.keep(control)
        elif control is not None:
            control.drop()


def _stat(path: str, found: FtpEntry) -> Stat:
    return Stat(path, found.size, instant(found.stamp), version(found.stamp, found.size))


def _below_login(path: str) -> str:
    """Return the path of a url as the server takes it: relative to the folder of the login."""
    return path.removeprefix("/")
