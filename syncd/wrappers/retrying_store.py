"""A Store that tries again: every call is safe to repeat, so a passing fault of the server costs nothing but time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from manifests.stat import Stat
from syncd.core import Body, Page, Sink, Staged, Store, TransientError
from syncd.wrappers.retrying_transport import Policy, Retrying, retrying


class RetryingStore:
    """Wraps a Store on a network. Not for the lease: that one must know what it wrote."""

    def __init__(self, inner: Store, policy: Policy | None = None) -> None:
        """`policy` is the one of `syncd.wrappers.retrying_transport`."""
        self.inner = inner  # for `probe`, which asks what the server verifies
        self._inner = inner
        self._policy = policy if policy is not None else Policy()
        self._reading = Retrying(inner, self._policy)
        self.piece = inner.piece

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List, going on where it broke off."""
        return self._reading.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        return self._reading.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Ask until there is an answer."""
        return await self._reading.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read, over as many connections as it takes."""
        return self._reading.open(path, start=start, stop=stop, version=version)

    async def put(self, path: str, body: bytes, *, if_absent: bool = False) -> Stat:
        """Write; the same bytes twice are the same object."""
        return await retrying(lambda: self._inner.put(path, body, if_absent=if_absent), path, self._policy)

    def stage(self, path: str, *, size: int | None, resume: str | None = None) -> AbstractAsyncContextManager[Staged]:
        """Begin a file whose writes are tried again."""
        return _RetryingStaging(lambda: self._inner.stage(path, size=size, resume=resume), path, self._policy)

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store."""
        await retrying(lambda: self._inner.move(path, to), path, self._policy)

    async def copy(self, path: str, to: str) -> None:
        """Copy inside the store."""
        await retrying(lambda: self._inner.copy(path, to), path, self._policy)

    async def delete(self, path: str) -> None:
        """Remove."""
        await retrying(lambda: self._inner.delete(path), path, self._policy)

    async def identify(self, expected: str | None) -> str:
        """Ask for its id."""
        return await retrying(lambda: self._inner.identify(expected), ".syncd/store.json", self._policy)

    async def free(self) -> int | None:
        """Ask for room."""
        return await self._inner.free()

    async def sweep(self, older_than: float) -> int:
        """Drop stale stagings."""
        return await retrying(lambda: self._inner.sweep(older_than), ".syncd/", self._policy)

    async def aclose(self) -> None:
        """Close the store within."""
        await self._inner.aclose()


class _RetryingStaging:
    """The block of a staging; entering it is tried again, leaving it is not."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[Staged]], path: str, policy: Policy) -> None:
        self._begin = begin  # a block that failed to open is spent: each try needs its own
        self._path = path
        self._policy = policy

    async def __aenter__(self) -> Staged:
        return _RetryingStaged(await retrying(self._enter, self._path, self._policy), self._path, self._policy)

    async def _enter(self) -> Staged:
        self._open = self._begin()
        return await self._open.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._open.__aexit__(kind, error, trace)


class _RetryingStaged:
    def __init__(self, inner: Staged, path: str, policy: Policy) -> None:
        self._inner = inner
        self._path = path
        self._policy = policy
        self.token = inner.token
        self.present_ranges = inner.present_ranges

    async def write(self, offset: int, chunk: bytes) -> None:
        await retrying(lambda: self._inner.write(offset, chunk), self._path, self._policy)

    def sink(self, offset: int) -> Sink | None:
        return self._inner.sink(offset)

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        self._inner.read_back(start, stop, update)

    async def read(self) -> AsyncIterator[bytes]:
        """Read; where it breaks off, from the beginning again, passing over what was given: it stays the same."""
        given, attempt = 0, 0
        while True:
            passed = 0
            try:
                async for chunk in self._inner.read():
                    fresh = chunk[max(given - passed, 0) :]
                    passed += len(chunk)
                    if fresh:
                        given, attempt = passed, 0
                        yield fresh
            except TransientError as error:
                attempt += 1
                if attempt >= self._policy.attempts:
                    raise
                await asyncio.sleep(self._policy.wait(error, attempt))
            else:
                return

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        return await retrying(
            lambda: self._inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to), self._path, self._policy
        )

    async def discard(self) -> None:
        await retrying(self._inner.discard, self._path, self._policy)
