"""Divides memory, files or connections fairly among passes: the share that holds least comes first.

Rules:
1. The total is never exceeded, except by a single request that is larger than the total.
2. No share can take the total: a share grows only while it stays below three times the remainder. So a lone pass uses
   three quarters, many passes divide fairly, and a new pass finds room at once. On the command line, which runs one
   pass, it may use the total (`alone`).
3. Of the waiting shares, the next is the one whose origin holds least, then the one that itself holds least. None
   overtakes it, so many small files do not starve a large one. Within a share, requests are served in order.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LEFT = 3  # times the remainder: the most that one share may hold


class OriginShare:
    """The share of one pass."""

    def __init__(self, whole: "FairShares", origin: str, max_bytes: int, max_files: int) -> None:
        self.origin = origin
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.bytes = 0
        self.files = 0
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._whole = whole

    async def acquire(self, count: int) -> None:
        """Wait until `count` bytes and one more file are admitted."""
        if self._whole.admit_now(self, count):
            return
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append((count, turn))
        self._whole.admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)
            else:
                with suppress(ValueError):  # `admit` ran meanwhile, and removed this share
                    self.waiting.remove((count, turn))
                self._whole.admit()
            raise

    def acquire_now(self, most: int) -> int:
        """Take up to `most` files of no bytes that need not wait; return their number."""
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
        """Return bytes and a file that `acquire` took."""
        self.bytes -= count
        self.files -= 1
        self._whole.release(count)


class FairShares:
    """The total, and its shares."""

    def __init__(self, max_bytes: int, max_files: int, *, left: int | None = LEFT) -> None:
        """Both limits apply, and may change during use. `left` is LEFT, or None without rule 2."""
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.bytes = 0
        self.files = 0
        self._left = left
        self._shares: list[OriginShare] = []

    def join(self, origin: str, max_bytes: int, max_files: int) -> OriginShare:
        """Return a new share, which takes part from now on."""
        share = OriginShare(self, origin, max_bytes, max_files)
        self._shares.append(share)
        return share

    @contextmanager
    def share(self, origin: str, *, max_bytes: int = 1 << 62, max_files: int = 1 << 62) -> Iterator[OriginShare]:
        """Add a share for the block; what an interrupted pass still holds at its end is released."""
        share = self.join(origin, max_bytes, max_files)
        try:
            yield share
        finally:
            self._shares.remove(share)
            self.bytes -= share.bytes
            self.files -= share.files
            self.admit()

    def release(self, count: int) -> None:
        """Record a release of a share, and admit waiting requests that fit now."""
        self.bytes -= count
        self.files -= 1
        self.admit()

    def admit_now(self, share: OriginShare, count: int) -> bool:
        """Admit `count` bytes and one more file if no share waits and they fit; return True if they were."""
        if any(one.waiting for one in self._shares) or not (self._may_grow(share, count) and self._fits(count)):
            return False
        self._give(share, count)
        return True

    def admit(self) -> None:
        """Admit waiting requests that fit."""
        while (share := self._next()) is not None:
            count, turn = share.waiting[0]
            if turn.cancelled():
                share.waiting.popleft()
                continue
            if not self._fits(count):
                return
            share.waiting.popleft()
            self._give(share, count)
            turn.set_result(None)

    def _give(self, share: OriginShare, count: int) -> None:
        share.bytes += count
        share.files += 1
        self.bytes += count
        self.files += 1

    def _next(self) -> OriginShare | None:
        waiting = [share for share in self._shares if share.waiting and self._may_grow(share, share.waiting[0][0])]
        if len(waiting) < 2:
            return waiting[0] if waiting else None
        held: dict[str, float] = {}
        for share in self._shares:
            held[share.origin] = held.get(share.origin, 0.0) + self._part(share)
        return min(waiting, key=lambda share: (held[share.origin], self._part(share)))

    def _part(self, share: OriginShare) -> float:
        return max(share.bytes / self.max_bytes, share.files / self.max_files)

    def _may_grow(self, share: OriginShare, count: int) -> bool:
        """Return True if a share is below its own limits."""
        if share.files == 0 or self._left is None:
            return True
        files, size = share.files + 1, share.bytes + count
        return (
            files <= min(share.max_files, self._left * (self.max_files - self.files))
            and size <= min(share.max_bytes, self._left * (self.max_bytes - self.bytes))
        )  # fmt: skip

    def _fits(self, count: int) -> bool:
        if self.files == 0:
            return True
        return self.bytes + count <= self.max_bytes and self.files < self.max_files


def alone(max_bytes: int, max_files: int) -> OriginShare:
    """Return a share of a total without other shares."""
    return FairShares(max_bytes, max_files, left=None).join("", max_bytes, max_files)
