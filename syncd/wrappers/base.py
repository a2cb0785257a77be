"""Bases of all wrappers: each forwards the whole port, and a subclass defines only what it changes.

Rules:
1. `inner` is the wrapped object. `syncd.core.ports.capability` searches through `inner`, so a wrapper forwards the
   capabilities that it does not define. A wrapper that counts, delays or repeats requests must define `ask` too.
2. A body is not wrapped by a base: each wrapper of bodies is one step of every byte (`docs/architecture.md`).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

from manifests.stat import Stat
from syncd.core import Body, Page, Sink, Staged, Store, Transport, Wrapper

T = TypeVar("T")


class TransportWrapper(Wrapper):
    """A Transport that forwards to another one."""

    inner: Transport

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """See `Transport.list`."""
        return self.inner.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """See `Transport.list_pages`."""
        return self.inner.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """See `Transport.stat`."""
        return await self.inner.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """See `Transport.open`."""
        return self.inner.open(path, start=start, stop=stop, version=version)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self.inner.aclose()


class StoreWrapper(TransportWrapper):
    """A Store that forwards to another one."""

    inner: Store

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.piece = inner.piece

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """See `Store.put`."""
        return await self.inner.put(path, body, if_absent=if_absent, sha256=sha256)

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
        """See `Store.stage`."""
        return self.inner.stage(path, size=size, resume=resume, is_record=is_record, in_place=in_place, of=of)

    async def move(self, path: str, to: str) -> None:
        """See `Store.move`."""
        await self.inner.move(path, to)

    async def copy(self, path: str, to: str) -> None:
        """See `Store.copy`."""
        await self.inner.copy(path, to)

    async def delete(self, path: str) -> None:
        """See `Store.delete`."""
        await self.inner.delete(path)

    async def identify(self, expected: str | None) -> str:
        """See `Store.identify`."""
        return await self.inner.identify(expected)

    async def free(self) -> int | None:
        """See `Store.free`."""
        return await self.inner.free()

    async def sweep(self, older_than: float) -> int:
        """See `Store.sweep`."""
        return await self.inner.sweep(older_than)


class StagedWrapper:
    """A Staged that forwards to another one."""

    def __init__(self, inner: Staged) -> None:
        self.inner = inner
        self.token = inner.token
        self.present_ranges = inner.present_ranges

    async def write(self, offset: int, chunk: bytes) -> None:
        """See `Staged.write`."""
        await self.inner.write(offset, chunk)

    def sink(self, offset: int) -> Sink | None:
        """See `Staged.sink`."""
        return self.inner.sink(offset)

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """See `Staged.read_back`."""
        self.inner.read_back(start, stop, update)

    def read(self) -> AsyncIterator[bytes]:
        """See `Staged.read`."""
        return self.inner.read()

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """See `Staged.commit`."""
        return await self.inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to)

    async def discard(self) -> None:
        """See `Staged.discard`."""
        await self.inner.discard()


class OpeningWrapper(Generic[T]):
    """The block of an open body or staging; entering and leaving it enters and leaves the inner block."""

    __slots__ = ("inner",)

    def __init__(self, inner: AbstractAsyncContextManager[T]) -> None:
        self.inner = inner

    async def __aenter__(self) -> T:
        return await self.inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(kind, error, trace)
