"""Retries the calls of a Transport (`syncd.wrappers.retry_policy`).

Rule: a body continues at the byte it reached, bound to the version that it began with. Without a version, Changed is
raised, so that the caller starts the file again.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Self

from manifests.messages import message
from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat
from syncd.core import Body, Changed, Interrupted, Page, TransientError, Transport
from syncd.streams import ResumableBody, open_request, read_into_spool
from syncd.wrappers.base import TransportWrapper
from syncd.wrappers.retry_policy import Attempts, OnRetry, Policy, ignore_retry, retrying


class Retrying(TransportWrapper):
    """A Transport that retries. It is the outermost wrapper: while it waits, it holds no slot and no connection."""

    def __init__(self, inner: Transport, policy: Policy | None = None, on_retry: OnRetry = ignore_retry) -> None:
        """`on_retry` is called for every failed attempt that another one follows."""
        super().__init__(inner)
        self._policy = policy if policy is not None else Policy()
        self._on_retry = on_retry

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List; after a failure, resume after the last path."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """List in pages. An unsorted listing cannot be resumed: its failure is raised."""
        attempts, is_sorted = self._attempts(prefix), True
        while True:
            try:
                async for page in self.inner.list_pages(prefix, after):
                    attempts.progressed()
                    if page:
                        is_sorted = is_sorted and after < page[0].path <= page[-1].path
                        after = max(after, page[-1].path)
                    yield page
            except TransientError as error:
                if not is_sorted:
                    raise
                await attempts.failed(error)
            else:
                return

    async def stat(self, path: str) -> Stat:
        """Return a Stat, with retries."""
        return await retrying(lambda: self.inner.stat(path), path, self._policy, self._on_retry, may_halt=True)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open a body that resumes after interruptions."""
        return _RetryingBody(self.inner, self._attempts(path), path, start, stop, version)

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Read a whole response; after an interruption, request it again from its beginning."""

        async def once() -> Document:
            request = open_request(self.inner, follow.method, follow.url, follow.headers, follow.body)
            return await read_into_spool(request, follow, spool)

        return await retrying(once, follow.url, self._policy, self._on_retry, may_halt=True)

    def _attempts(self, path: str) -> Attempts:
        return Attempts(self._policy, path, self._on_retry, may_halt=True)


class _RetryingBody(ResumableBody):
    """One read of `[start, stop)` over as many connections as necessary."""

    __slots__ = ("_attempts", "_inner", "_path", "_stop", "_version")

    def __init__(
        self, inner: Transport, attempts: Attempts, path: str, start: int, stop: int | None, version: str | None
    ) -> None:
        super().__init__(start)
        self._inner = inner
        self._attempts = attempts
        self._path = path
        self._stop = stop
        self._version = version

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._version = self.stat.version if self.stat.version is not None else self._version
        return self

    def _count(self, count: int) -> None:
        del count
        self._attempts.progressed()

    async def _reopen(self, reached: int, error: TransientError) -> Body:
        """Continue at the byte reached."""
        if self._version is None and reached > self.start:
            raise Changed(
                message(
                    "{path}: broke off at byte {reached}, and upstream gives no version to resume with",
                    path=self._path,
                    reached=reached,
                )
            ) from error
        await self._attempts.failed(error)
        return await self._enter(reached)

    async def _enter(self, at: int) -> Body:
        while True:
            opening = self._inner.open(self._path, start=at, stop=self._stop, version=self._version)
            try:
                body = await opening.__aenter__()
            except TransientError as error:
                await self._attempts.failed(error)
                continue
            self._open = opening
            if body.start != at:
                raise Interrupted(
                    message(
                        "{path}: requested from byte {at}, received from {start}",
                        path=self._path,
                        at=at,
                        start=body.start,
                    )
                )
            return body
