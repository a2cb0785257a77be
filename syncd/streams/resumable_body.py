"""A body over several connections: if one breaks, the next one continues at the byte reached.

A subclass of `ResumableBody` decides from where to continue, and how often to try.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from syncd.core import Body, Sink, TransientError
from syncd.streams.body_wrapper import BodyWrapper
from syncd.streams.thread_copy import copy_to_sink


class ResumableBody(BodyWrapper, ABC):
    """One read over as many bodies as necessary; entering it gives a Body."""

    __slots__ = ("_body", "_open", "_start")

    def __init__(self, start: int) -> None:
        self._start = start
        self._open: AbstractAsyncContextManager[Body] | None = None

    @abstractmethod
    async def _enter(self, at: int) -> Body:
        """Open a body at `at`, and store its context manager in `_open`. Raises failures that are not retried."""

    @abstractmethod
    async def _reopen(self, reached: int, error: TransientError) -> Body:
        """Return a body that begins at `reached`, where `error` broke the last one (closed now), or raise."""

    @abstractmethod
    def _count(self, count: int) -> None:
        """Count `count` more bytes."""

    async def __aenter__(self) -> Self:
        body = await self._enter(self._start)
        self.claim_as(body)
        self._body = body
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._open.__aexit__(kind, error, trace) if self._open is not None else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reached, body = self.start, self._body
        while True:
            try:
                async for chunk in body:
                    reached += len(chunk)
                    self._count(len(chunk))
                    yield chunk
            except TransientError as error:
                body = await self._next(reached, error)
            else:
                return

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Iterate, with the bytes passed to `sink`."""
        reached, body = self.start, self._body
        while True:
            try:
                async for count in copy_to_sink(body, sink):
                    reached += count
                    self._count(count)
                    yield count
            except TransientError as error:
                body = await self._next(reached, error)
            else:
                return

    async def _next(self, reached: int, error: TransientError) -> Body:
        """Close the broken body, and return the next one."""
        if self._open is not None:
            broken, self._open = self._open, None
            await broken.__aexit__(type(error), error, error.__traceback__)
        return await self._reopen(reached, error)
