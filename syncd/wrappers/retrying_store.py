"""Retries the calls of a Store on a network: all are idempotent, so a transient failure costs only time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from manifests.stat import Stat
from syncd.core import Staged, Store, TransientError
from syncd.wrappers.base import OpeningWrapper, StagedWrapper, StoreWrapper
from syncd.wrappers.retry_policy import Attempts, Policy, retrying
from syncd.wrappers.retrying_transport import Retrying


class RetryingStore(Retrying, StoreWrapper):
    """A Store that retries. The lease uses the inner store: it must know which writes succeeded."""

    inner: Store

    def __init__(self, inner: Store, policy: Policy | None = None) -> None:
        super().__init__(inner, policy)

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write; a repeated write gives the same object."""
        return await retrying(
            lambda: self.inner.put(path, body, if_absent=if_absent, sha256=sha256), path, self._policy
        )

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
        """Begin a file whose writes are retried."""
        return _RetryingStaging(
            lambda: self.inner.stage(path, size=size, resume=resume, is_record=is_record, in_place=in_place, of=of),
            path,
            self._policy,
        )

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store."""
        await retrying(lambda: self.inner.move(path, to), path, self._policy)

    async def copy(self, path: str, to: str) -> None:
        """Copy inside the store."""
        await retrying(lambda: self.inner.copy(path, to), path, self._policy)

    async def delete(self, path: str) -> None:
        """Delete."""
        await retrying(lambda: self.inner.delete(path), path, self._policy)

    async def identify(self, expected: str | None) -> str:
        """Return the store's id."""
        return await retrying(lambda: self.inner.identify(expected), ".syncd/store.json", self._policy)

    async def sweep(self, older_than: float) -> int:
        """Delete stale stagings."""
        return await retrying(lambda: self.inner.sweep(older_than), ".syncd/", self._policy)


class _RetryingStaging(OpeningWrapper[Staged]):
    """The block of a staging; its entry is retried, its exit is not."""

    __slots__ = ("_begin", "_path", "_policy")

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[Staged]], path: str, policy: Policy) -> None:
        self._begin = begin  # a failed block cannot be entered again: each attempt needs a new one
        self._path = path
        self._policy = policy

    async def __aenter__(self) -> Staged:
        return _RetryingStaged(await retrying(self._enter, self._path, self._policy), self._path, self._policy)

    async def _enter(self) -> Staged:
        self.inner = self._begin()
        return await self.inner.__aenter__()


class _RetryingStaged(StagedWrapper):
    def __init__(self, inner: Staged, path: str, policy: Policy) -> None:
        super().__init__(inner)
        self._path = path
        self._policy = policy

    async def write(self, offset: int, chunk: bytes) -> None:
        await retrying(lambda: self.inner.write(offset, chunk), self._path, self._policy)

    async def read(self) -> AsyncIterator[bytes]:
        """Read; after a failure, read from the beginning and skip the bytes already yielded, which do not change."""
        given, attempts = 0, Attempts(self._policy, self._path)
        while True:
            passed = 0
            try:
                async for chunk in self.inner.read():
                    fresh = chunk[max(given - passed, 0) :]
                    passed += len(chunk)
                    if fresh:
                        given = passed
                        attempts.progressed()
                        yield fresh
            except TransientError as error:
                await attempts.failed(error)
            else:
                return

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        return await retrying(
            lambda: self.inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to), self._path, self._policy
        )

    async def discard(self) -> None:
        await retrying(self.inner.discard, self._path, self._policy)
