"""Stops the changes of a process that has lost its lease (design: one writer per store).

Rules:
1. Before each change a clock is compared. If the lease has expired, it is read again before the change.
2. If it expired during a change, it is read again after it: the result of the change counts only if no other process
   took the lease meanwhile. What was written too late is not recorded, and the new holder judges it like any other
   bytes without a record.
3. The adapter's guard refuses a change immediately before it takes effect (`LeaseLapsed`). Nothing has changed then:
   the lease is read again, and the change is made once more.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from manifests.stat import Stat
from syncd.core import Fence, LeaseLapsed, Staged, Store
from syncd.wrappers.base import OpeningWrapper, StagedWrapper, StoreWrapper

T = TypeVar("T")


class FencedStore(StoreWrapper):
    """A Store that is changed only while `fence` is held."""

    def __init__(self, inner: Store, fence: Fence) -> None:
        super().__init__(inner)
        self._fence = fence

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one small object."""
        fence = self._fence
        while True:  # as `fenced`, without a callable for each small file
            if not fence.is_current():
                await fence.confirm()
            try:
                found = await self.inner.put(path, body, if_absent=if_absent, sha256=sha256)
            except LeaseLapsed:
                continue
            if not fence.is_current():
                await fence.confirm()
            return found

    def stage(
        self,
        path: str,
        *,
        size: int | None,
        resume: str | None = None,
        is_record: bool = False,
        in_place: bool = False,
        of: str | None = None,
    ) -> AbstractAsyncContextManager[Staged]:
        """Begin a file; its commit is fenced, too."""
        return _FencedStaging(
            self.inner.stage(path, size=size, resume=resume, is_record=is_record, in_place=in_place, of=of), self._fence
        )

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store."""
        await fenced(self._fence, lambda: self.inner.move(path, to))

    async def copy(self, path: str, to: str) -> None:
        """Copy inside the store."""
        await fenced(self._fence, lambda: self.inner.copy(path, to))

    async def delete(self, path: str) -> None:
        """Delete."""
        await fenced(self._fence, lambda: self.inner.delete(path))

    async def sweep(self, older_than: float) -> int:
        """Delete stale stagings."""
        return await fenced(self._fence, lambda: self.inner.sweep(older_than))


async def fenced(fence: Fence, change: Callable[[], Awaitable[T]]) -> T:
    """Make a change while `fence` is held. Raises LeaseLost, and what `change` raises."""
    while True:
        if not fence.is_current():
            await fence.confirm()
        try:
            result = await change()
        except LeaseLapsed:
            continue
        if not fence.is_current():
            await fence.confirm()
        return result


class _FencedStaging(OpeningWrapper[Staged]):
    """The block of a staging: the lease is checked before it begins."""

    __slots__ = ("_fence",)

    def __init__(self, inner: AbstractAsyncContextManager[Staged], fence: Fence) -> None:
        super().__init__(inner)
        self._fence = fence

    async def __aenter__(self) -> Staged:
        if not self._fence.is_current():
            await self._fence.confirm()
        return _FencedStaged(await self.inner.__aenter__(), self._fence)


class _FencedStaged(StagedWrapper):
    """A Staged whose bytes become visible only while the lease is held."""

    def __init__(self, inner: Staged, fence: Fence) -> None:
        super().__init__(inner)
        self._fence = fence

    async def write(self, offset: int, chunk: bytes) -> None:
        if not self._fence.is_current():
            await self._fence.confirm()
        await self.inner.write(offset, chunk)

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        return await fenced(
            self._fence, lambda: self.inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to)
        )
