"""Reads one file of an FTP server on a control connection of its own."""

from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from urllib.parse import quote

import aioftp

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import (
    FINAL_REPLY,
    Body,
    Changed,
    Interrupted,
    NotFound,
    RangeRefused,
    Refused,
    Unreachable,
    Unsupported,
)
from transports.ftp.connections import FtpConnections
from transports.ftp.control import FtpControl
from transports.ftp.errors import translated_errors
from transports.ftp.listing import FtpEntry, stat_of
from transports.net import ServerTree, StallDetector, check_unchanged, read_stop, urls

CHUNK = 256 << 10  # bytes read at a time


async def described(
    connections: FtpConnections, tree: ServerTree, path: str, *, is_read: bool = False
) -> tuple[FtpControl, str, FtpEntry]:
    """Return a control connection, the server's path of a file, and its description of the file."""
    where, name = tree.locate(path)
    control, found = await connections.ask(
        lambda control: control.describe(control.at(where), name, is_read=is_read), name
    )
    return control, control.at(where), found


class FtpRead:
    """One read: its file is described when entered, a Body from then on."""

    def __init__(
        self,
        connections: FtpConnections,
        tree: ServerTree,
        path: str,
        *,
        start: int,
        stop: int | None,
        version: str | None,
        floor: tuple[float, float],
    ) -> None:
        self._connections = connections
        self._tree = tree
        self._floor = floor
        self._path = path
        self._version = version
        self._control: FtpControl | None = None
        self._data: aioftp.DataConnectionThrottleStreamIO | None = None
        self._first = b""
        self.start = start
        self.stop = stop
        self.headers: dict[str, str] = {}
        self.url = path if urls.is_absolute(path) else tree.url + quote(path)

    async def __aenter__(self) -> Body:
        self._control, self._where, found = await described(self._connections, self._tree, self._path, is_read=True)
        empty = stat_of(self._path, found) if found.size == 0 and self.start == 0 else None
        if self.start == 0 and (empty is not None or self._path in self._connections.growing):
            found, self.stop = found._replace(size=None), None
        if found.size is None and self.stop is None:
            self.headers = {FINAL_REPLY: "226"}
        self.stat = stat_of(self._path, found)
        try:
            self.stop = read_stop(self.stat, self.start, self.stop, self._version)
            if self.stop is None or self.start < self.stop:
                self._data = await self._control.opened(f"RETR {self._where}", self._path, self.start)
            if empty is not None:
                await self._try_first(empty)
        except BaseException as error:
            self._leave(is_usable=isinstance(error, Changed | NotFound | Unsupported))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(is_usable=self._data is None)

    async def _try_first(self, empty: Stat) -> None:
        """Read the first bytes of a file that is `empty` as its server says: some say so of files that are not."""
        assert self._data is not None
        with translated_errors(self._path, self._tree.url, broken=True):
            self._first = await StallDetector(self._path, self._floor).read(partial(self._data.reader.read, CHUNK))
        if not self._first:
            await self._finish(self._data, 0)
            self.stat, self.stop, self.headers = empty, 0, {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, stop, path, at = self._data, self.stop, self._path, self.start
        if data is None:
            return
        watched = StallDetector(path, self._floor)
        if self._first:
            at += len(self._first)
            yield self._first
        while stop is None or at < stop:
            count = CHUNK if stop is None else min(CHUNK, stop - at)
            with translated_errors(path, self._tree.url, broken=True):
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
        is_early = stop is not None and (size is None or stop < size)
        if stop is not None and at < stop:
            raise Interrupted(message("{path}: ended at byte {at} of {stop}", path=path, at=at, stop=stop))
        if not is_early:
            with translated_errors(path, self._tree.url, broken=True):
                more = await StallDetector(path, self._floor).read(partial(data.reader.read, 1))
            if more and self.start:  # the server may have begun at its first byte, whatever REST said
                raise RangeRefused(
                    message(
                        "{path}: more than the announced {size} bytes arrived, from byte {start} on",
                        path=path,
                        size=size,
                        start=self.start,
                    )
                )
            if more:
                self._connections.growing.add(path)
                raise Changed(message("{path}: more than the announced {size} bytes arrived", path=path, size=size))
        data.writer.transport.abort()
        try:
            await control.finish(path, early=is_early)
            found = await control.describe(self._where, path, is_read=True)
        except (Interrupted, Refused, Unreachable):
            if is_early or stop is None:
                raise
            # all bytes are here; the server has ended the control connection, or a NAT on the way has forgotten it
            control.drop()
            self._control, self._where, found = await described(self._connections, self._tree, path, is_read=True)
        if self.stat.size is not None:
            check_unchanged(self.stat, stat_of(path, found))
        elif found.size and found.size < at:
            raise Changed(
                message("{path}: shrank to {size} bytes while {at} were read", path=path, size=found.size, at=at)
            )
        self._data = None

    def _leave(self, *, is_usable: bool) -> None:
        control, self._control = self._control, None
        if self._data is not None:
            self._data.writer.transport.abort()
        if control is not None and is_usable:
            self._connections.keep(control)
        elif control is not None:
            control.drop()
