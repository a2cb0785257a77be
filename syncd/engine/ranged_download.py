"""Downloads one large file in concurrent ranges, within a window that slides along the file.

Rules:
1. All ranges are bound to one version. If the file changes between two of them, Changed is raised; versions are never
   mixed.
2. The hash follows the front: the end of the contiguous bytes from the beginning. Memory holds the bytes between the
   front and the end of the window, never the whole file. If the store accepts bytes from threads (`Staged.sink`), they
   are copied from the connection to the file; bytes at the front are hashed on the way, bytes ahead of it are read
   back.
3. If upstream responds to a range with the whole file, or gives no version to bind ranges to, the file is downloaded in
   one stream.
4. A resumed file is hashed by reading it back: the state of a sha256 cannot be saved.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from manifests.digest import Hasher
from manifests.messages import message
from syncd.core import Body, Changed, Interrupted, RangeRefused, ReceivingSink, Sink, Staged, SyncdError, Transport
from syncd.streams import copy_to_sink

FLUSH = 2 << 20  # bytes gathered before they are written and hashed
STEP_LEAST = 2 << 20  # bytes of the shortest range worth a request
STEP_MOST = 8 << 20  # bytes of the longest: a broken connection loses fewer than this
WINDOW_STEPS = 16  # ranges that a window has room for, at least
PARTS = 64  # ranges into which a file of middling size is cut: one for each slot that a governor may give
QUICK = 0.05  # seconds: if the first stretch takes no longer, more connections would not help
FOLDED = 8 << 20  # bytes hashed before the event loop runs again
HEAD = 1024  # first bytes, kept for inspection


class FirstResponse:
    """The response to the first request; its body can be closed before the block ends, to release the slot."""

    __slots__ = ("_opening", "body")

    def __init__(self, opening: AbstractAsyncContextManager[Body]) -> None:
        self._opening: AbstractAsyncContextManager[Body] | None = opening

    async def __aenter__(self) -> Self:
        assert self._opening is not None
        self.body = await self._opening.__aenter__()
        return self

    async def release(self) -> None:
        """Close the body; may be called twice."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening.__aexit__(None, None, None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


@dataclass(frozen=True, slots=True)
class DownloadSpec:
    """The file to download: `[0, total)` of `target` at `version`, and the algorithms (`names`) to hash it with."""

    target: str
    total: int | None
    version: str | None
    names: tuple[str, ...]
    window: int
    width: int
    parallel: bool


async def download(
    source: Transport,
    spec: DownloadSpec,
    file: Staged,
    first: FirstResponse | None,
    *,
    hashing: Executor,
    on_received: Callable[[int], None],
) -> tuple[int, dict[str, str], bytes]:
    """Write the whole file into `file`; return its size, digests and first bytes.

    Raises Changed, Interrupted, and failures of transport and store. Written bytes stay for a resume.
    """
    transfer = _RangedDownload(source, spec, file, hashing, on_received)
    try:
        await transfer.run(first)
    except BaseExceptionGroup as group:
        raise _first_failure(group) from group
    if transfer.following:
        return transfer.end, transfer.hasher.hexdigests(), transfer.head
    return await _read_through(spec, file, hashing)


class _RangedDownload:
    """The download of one file."""

    def __init__(
        self, source: Transport, spec: DownloadSpec, file: Staged, hashing: Executor, on_received: Callable[[int], None]
    ) -> None:
        self.source = source
        self.spec = spec
        self.file = file
        self.hashing = hashing
        self.on_received = on_received
        self.hasher = Hasher(spec.names)
        self.following = not file.present_ranges
        self.head = b""
        self.front = 0
        self.end = spec.total if spec.total is not None else 0
        self.done = False
        self.written: dict[int, bytes | int] = {}
        self.arrived = asyncio.Event()
        self.advanced = asyncio.Event()
        self.first_done = asyncio.Event()

    async def run(self, first: FirstResponse | None) -> None:
        total = self.spec.total
        async with asyncio.TaskGroup() as group:
            if self.following:
                group.create_task(self._hash())
            async with asyncio.TaskGroup() as receiving:
                if total is None or (first is not None and first.body.stop in (None, total)):
                    receiving.create_task(self._stream(first))
                elif not self.spec.parallel:
                    if first is not None:
                        await first.release()
                    receiving.create_task(self._stream(None))
                else:
                    begun = first.body.stop if first is not None and first.body.stop is not None else 0
                    wanted = list(gaps(self.file.present_ranges, begun, total))
                    if not wanted and first is None and total:  # complete: check that upstream still has this version
                        wanted = [(total - 1, total)]
                    if first is not None:
                        receiving.create_task(self._begin(first))
                        with suppress(TimeoutError):
                            async with asyncio.timeout(QUICK):
                                await self.first_done.wait()
                    most = max(STEP_LEAST, min(STEP_MOST, self.spec.window // WINDOW_STEPS))
                    waiting = deque(wanted if self.first_done.is_set() else ranges(wanted, total, most))
                    for _ in range(min(self.spec.width, len(waiting))):
                        receiving.create_task(self._fetch_ranges(waiting))
            if self.following and not self.head and self.end:
                head = partial(self.file.read_back, 0, min(HEAD, self.end), self._note_head)
                await asyncio.get_running_loop().run_in_executor(self.hashing, head)
            self.done = True
            self.arrived.set()

    async def _begin(self, first: FirstResponse) -> None:
        await self._receive(first.body, 0, first.body.stop)
        await first.release()
        self.first_done.set()

    async def _fetch_ranges(self, waiting: deque[tuple[int, int]]) -> None:
        while waiting:
            start, stop = waiting.popleft()
            await self._wait_for_window(start)
            async with self.source.open(self.spec.target, start=start, stop=stop, version=self.spec.version) as body:
                if body.stop not in (None, stop):
                    raise RangeRefused(
                        message(
                            "{target}: bytes [{start}, {stop}) requested, [{first}, {end}) received",
                            target=self.spec.target,
                            start=start,
                            stop=stop,
                            first=body.start,
                            end=body.stop,
                        )
                    )
                await self._receive(body, start, stop)

    async def _stream(self, first: FirstResponse | None) -> None:
        if first is not None:
            await self._receive(first.body, 0, self.spec.total)
            await first.release()
            return
        async with self.source.open(self.spec.target, version=self.spec.version) as body:
            await self._receive(body, 0, self.spec.total)

    async def _receive(self, body: Body, start: int, stop: int | None) -> None:
        """Write and hash `[start, stop)` from an open body."""
        if body.start != start:
            raise Interrupted(
                message(
                    "{target}: requested from byte {start}, received from {received}",
                    target=self.spec.target,
                    start=start,
                    received=body.start,
                )
            )
        if stop is not None and (sink := self.file.sink(start)) is not None:
            await self._copy_to_sink(body, start, stop, sink)
            return
        at, chunks, count = start, list[bytes](), 0
        async for chunk in body:
            chunks.append(chunk)
            count += len(chunk)
            if count >= FLUSH:
                at = await self._write(body, at, chunks, stop)
                chunks, count = [], 0
        if chunks:
            at = await self._write(body, at, chunks, stop)
        if stop is not None and at != stop:
            raise Interrupted(
                message(
                    "{target}: bytes [{start}, {stop}) requested, {at} received",
                    target=self.spec.target,
                    start=start,
                    stop=stop,
                    at=at - start,
                )
            )
        self.end = max(self.end, at)

    async def _copy_to_sink(self, body: Body, start: int, stop: int, sink: Sink) -> None:
        """Copy `[start, stop)` from the body to the store in a thread.

        The copy at the front hashes its bytes. The hash reads back those written ahead of the front.
        """
        at = start
        hashed = (
            _ReceivingHashingSink(self, start, sink)
            if isinstance(sink, ReceivingSink)
            else _HashingSink(self, start, sink)
        )
        async with aclosing(copy_to_sink(body, hashed)) as counts:
            async for count in counts:
                if at + count > stop:
                    raise self._too_long(body, stop)
                self._note_written(at, at + count)
                at += count
                self.on_received(count)
        if at != stop:
            raise Interrupted(
                message(
                    "{target}: bytes [{start}, {stop}) requested, {at} received",
                    target=self.spec.target,
                    start=start,
                    stop=stop,
                    at=at - start,
                )
            )
        self.end = max(self.end, at)

    def _note_written(self, at: int, what: bytes | int) -> None:
        """Report to the hash what was written at `at`: the bytes, or the end of the range in the file."""
        if self.following:
            if at < self.front:
                self.advanced.set()  # already hashed
            else:
                self.written[at] = what
            self.arrived.set()

    def _too_long(self, body: Body, stop: int) -> SyncdError:
        """Return the error of a body with more bytes: one that announced no length may have grown since the listing."""
        kind = Interrupted if body.stop is not None else Changed
        return kind(message("{target}: more bytes than the {stop} requested", target=self.spec.target, stop=stop))

    async def _write(self, body: Body, at: int, chunks: list[bytes], stop: int | None) -> int:
        piece = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if stop is not None and at + len(piece) > stop:
            raise self._too_long(body, stop)
        await self._wait_for_window(at)
        if at == 0:
            self.head = piece[:HEAD]
        self._note_written(at, piece)
        await self.file.write(at, piece)
        self.on_received(len(piece))
        return at + len(piece)

    async def _wait_for_window(self, at: int) -> None:
        """Wait until `at` is inside the window."""
        while self.following and at >= self.front + self.spec.window:
            self.advanced.clear()
            await self.advanced.wait()

    async def _hash(self) -> None:
        """Hash the bytes as the front advances."""
        loop = asyncio.get_running_loop()
        while not (self.done and self.front >= self.end):
            what = self.written.pop(self.front, None)
            if what is None:
                self.arrived.clear()
                await self.arrived.wait()
            elif isinstance(what, bytes):
                await loop.run_in_executor(self.hashing, self.hasher.update, what)
                self.front += len(what)
                self.advanced.set()
            else:
                while isinstance(more := self.written.get(what), int) and more - self.front <= FOLDED:
                    del self.written[what]
                    what = more
                await loop.run_in_executor(self.hashing, self._hash_stored, what)
                self.front = what
                self.advanced.set()

    def _hash_stored(self, stop: int) -> None:
        """Hash the file from the front to `stop`; runs in a thread."""
        self.file.read_back(self.front, stop, self.hasher.update)

    def _note_head(self, head: memoryview) -> None:
        self.head = bytes(head)


class _HashingSink:
    """Writes bytes, and hashes those at the front."""

    def __init__(self, transfer: _RangedDownload, start: int, sink: Sink) -> None:
        self.transfer = transfer
        self.reached = start
        self.sink = sink

    def __call__(self, chunk: memoryview) -> None:
        self.sink(chunk)
        transfer = self.transfer
        if transfer.following and self.reached == transfer.front:
            transfer.hasher.update(chunk)
            transfer.front += len(chunk)
        self.reached += len(chunk)


class _ReceivingHashingSink(_HashingSink):
    """As `_HashingSink`, into memory of the store."""

    def __init__(self, transfer: _RangedDownload, start: int, sink: ReceivingSink) -> None:
        super().__init__(transfer, start, sink)
        self.room = sink.room


async def _read_through(spec: DownloadSpec, file: Staged, hashing: Executor) -> tuple[int, dict[str, str], bytes]:
    hasher, size, head = Hasher(spec.names), 0, b""
    loop = asyncio.get_running_loop()
    async for chunk in file.read():
        if size < HEAD:
            head += chunk[: HEAD - size]
        await loop.run_in_executor(hashing, hasher.update, chunk)
        size += len(chunk)
    return size, hasher.hexdigests(), head


def gaps(present: Iterable[tuple[int, int]], begin: int, total: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of `[begin, total)` that are missing in `present` (sorted, disjoint)."""
    at = begin
    for start, stop in present:
        if start > at:
            yield at, min(start, total)
        at = max(at, stop)
    if at < total:
        yield at, total


def ranges(wanted: Iterable[tuple[int, int]], total: int, most: int = STEP_MOST) -> Iterator[tuple[int, int]]:
    """Split ranges into requests: short enough to occupy all slots, long enough to justify a request."""
    step = min(max(-(-total // PARTS), STEP_LEAST), most)
    for start, stop in wanted:
        for at in range(start, stop, step):
            yield at, min(at + step, stop)


def _first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most important of several failures: a bug if there is one, else the first."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(error)
    strange = [error for error in leaves if not isinstance(error, SyncdError)]
    return strange[0] if strange else leaves[0]
