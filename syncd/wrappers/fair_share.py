"""What many passes share (bytes in flight, files under way, connections): whoever holds least is served first.

Rules:
1. Never more than the whole is out, save that one is always let in, lest what is larger than the whole waits for ever.
2. Nobody can take all: a share that holds something gets more only while its part stays below three times what is left.
   So a lone pass uses three quarters, many passes divide fairly, and whoever comes new finds room at once.
3. Of those who wait the one is next whose origin, then whose share, holds least; nobody overtakes it, so that a large
   file is not starved by many small ones. Within a share it goes by the order of asking.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import TracebackType

from manifests.stat import Stat
from syncd.core import Body, Page, Transport
from syncd.streams import open_request

LEFT = 3  # times what is left: the most that one share may hold


class OriginShare:
    """The part of one pass; as `syncd.wrappers.budget.Budget`, it is taken from and given back to."""

    def __init__(self, whole: "FairShares", origin: str, max_bytes: int, max_files: int) -> None:
        self.origin = origin
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.bytes = 0
        self.files = 0
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._whole = whole

    async def acquire(self, count: int) -> None:
        """Wait until `count` bytes and one more file are ours to use."""
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append((count, turn))
        self._whole.admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)
            else:
                with suppress(ValueError):  # another was let in meanwhile, and dropped us on the way
                    self.waiting.remove((count, turn))
                self._whole.admit()
            raise

    def acquire_now(self, most: int) -> int:
        """Take up to `most`, each without bytes, as far as they are to be had without waiting; return how many."""
        loop = asyncio.get_running_loop()
        turns = [(0, loop.create_future()) for _ in range(most)]
        self.waiting.extend(turns)
        self._whole.admit()
        refused = [one for one in turns if not one[1].done()]
        for one in refused:
            self.waiting.remove(one)
        if refused:
            self._whole.admit()
        return most - len(refused)

    def release(self, count: int) -> None:
        """Return what was taken."""
        self.bytes -= count
        self.files -= 1
        self._whole.release(count)


class FairShares:
    """The whole, and the shares of it."""

    def __init__(self, max_bytes: int, max_files: int) -> None:
        """Both bounds hold at once; either may be changed while it is used."""
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.bytes = 0
        self.files = 0
        self._shares: list[OriginShare] = []

    @contextmanager
    def share(self, origin: str, *, max_bytes: int = 1 << 62, max_files: int = 1 << 62) -> Iterator[OriginShare]:
        """Take part for as long as the block lasts; what a pass that was cut still holds then is given back."""
        share = OriginShare(self, origin, max_bytes, max_files)
        self._shares.append(share)
        try:
            yield share
        finally:
            self._shares.remove(share)
            self.bytes -= share.bytes
            self.files -= share.files
            self.admit()

    def release(self, count: int) -> None:
        """Something came back."""
        self.bytes -= count
        self.files -= 1
        self.admit()

    def admit(self) -> None:
        """Let in whoever may."""
        while (share := self._next()) is not None:
            count, turn = share.waiting[0]
            if turn.cancelled():
                share.waiting.popleft()
                continue
            if not self._fits(count):
                return
            share.waiting.popleft()
            share.bytes += count
            share.files += 1
            self.bytes += count
            self.files += 1
            turn.set_result(None)

    def _next(self) -> OriginShare | None:
        waiting = [share for share in self._shares if share.waiting and self._may_grow(share)]
        if len(waiting) < 2:
            return waiting[0] if waiting else None
        held: dict[str, float] = {}
        for share in self._shares:
            held[share.origin] = held.get(share.origin, 0.0) + self._part(share)
        return min(waiting, key=lambda share: (held[share.origin], self._part(share)))

    def _part(self, share: OriginShare) -> float:
        return max(share.bytes / self.max_bytes, share.files / self.max_files)

    def _may_grow(self, share: OriginShare) -> bool:
        """Tell whether a share is not at its own bound, so that it is not it whom everybody waits for."""
        if share.files == 0:
            return True
        count = share.waiting[0][0]
        files, size = share.files + 1, share.bytes + count
        return (
            files <= min(share.max_files, LEFT * (self.max_files - self.files))
            and size <= min(share.max_bytes, LEFT * (self.max_bytes - self.bytes))
        )  # fmt: skip

    def _fits(self, count: int) -> bool:
        if self.files == 0:
            return True
        return self.bytes + count <= self.max_bytes and self.files < self.max_files


class FairTransport:
    """A Transport whose requests also count against the connections that all passes share."""

    def __init__(self, inner: Transport, share: OriginShare) -> None:
        """`share` counts one for each request."""
        self._inner = inner
        self._share = share
        self.certificates: Mapping[str, float] = getattr(inner, "certificates", {})

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List; a listing holds one connection at a time, and is not counted."""
        return self._inner.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`."""
        return self._inner.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Ask when there is a connection."""
        await self._share.acquire(0)
        try:
            return await self._inner.stat(path)
        finally:
            self._share.release(0)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open when there is a connection, held until the block is left."""
        return _SharedOpening(self._inner.open(path, start=start, stop=stop, version=version), self._share)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Put a question when there is a connection, held until the block is left."""
        return _SharedOpening(open_request(self._inner, method, url, headers or {}, body), self._share)

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()


class _SharedOpening:
    __slots__ = ("_inner", "_share")

    def __init__(self, inner: AbstractAsyncContextManager[Body], share: OriginShare) -> None:
        self._inner = inner
        self._share = share

    async def __aenter__(self) -> Body:
        await self._share.acquire(0)
        try:
            return await self._inner.__aenter__()
        except BaseException:
            self._share.release(0)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._inner.__aexit__(kind, error, trace)
        finally:
            self._share.release(0)
