"""One retry policy for everything: what is worth another try, how often, and how long to wait before it.

Rules:
1. Only TransientError is tried again, matched positively; CancelledError never is.
2. Waits grow as 0.5 s x 2^n with full jitter, to 60 s at most; what upstream asks for (Retry-After) goes before that.
3. Progress renews the budget: a body that came a byte further has all its tries again, unless it stalled.
4. A body goes on at the byte it reached, bound to the version it began with; without a version it cannot be bound, and
   the caller is told Changed so that it starts the file again.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Self, TypeVar

import msgspec
import tenacity

from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat
from syncd.core import Body, Changed, Interrupted, Page, Stalled, TransientError, Transport
from syncd.streams import ResumableBody, open_request, read_into_spool

T = TypeVar("T")
Heard = Callable[[str, TransientError, int, float], None]
"""Called with path, error, number of the try that failed, and the wait that follows."""


def _ignore_retry(path: str, error: TransientError, attempt: int, wait: float) -> None:
    """Tell nobody."""


class Policy(msgspec.Struct, frozen=True):
    """How often and how long; times in seconds."""

    attempts: int = 8
    first: float = 0.5
    most: float = 60.0

    def wait(self, error: TransientError, attempt: int) -> float:
        """Return how long to wait after try number `attempt` (1 is the first) failed with `error`."""
        if error.retry_after is not None:
            return error.retry_after + random.uniform(0, 0.1)  # noqa: S311  spreads load, guards nothing
        return random.uniform(0, min(self.most, self.first * 2 ** (attempt - 1)))  # noqa: S311  as above


async def retrying(call: Callable[[], Awaitable[T]], path: str, policy: Policy, on_retry: Heard = _ignore_retry) -> T:
    """Return what `call` returns, tried again while it raises TransientError."""

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return policy.wait(error, state.attempt_number) if isinstance(error, TransientError) else 0.0

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, TransientError):
            on_retry(path, error, state.attempt_number, state.upcoming_sleep)

    async def once() -> T:
        # a coroutine function, and no lambda: the library would take what a lambda returns for the outcome
        return await call()

    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=wait,
        before_sleep=before_sleep,
        reraise=True,
    )
    return await attempts(once)


class Retrying:
    """A Transport that tries again; the outermost decorator, so that whoever waits here holds no slot."""

    def __init__(self, inner: Transport, policy: Policy | None = None, on_retry: Heard = _ignore_retry) -> None:
        """`on_retry` is told of every failed try."""
        self._inner = inner
        self._policy = policy if policy is not None else Policy()
        self._on_retry = on_retry

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List, going on behind the last path where it broke off."""
        return self._one_by_one(prefix)

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time. A listing that is not sorted cannot be gone on with, and its error is raised."""
        attempt, is_sorted = 0, True
        while True:
            try:
                async for page in self._inner.list_pages(prefix, after):
                    attempt = 0
                    if page:
                        is_sorted = is_sorted and after < page[0].path <= page[-1].path
                        after = max(after, page[-1].path)
                    yield page
            except TransientError as error:
                attempt += 1
                if attempt >= self._policy.attempts or not is_sorted:
                    raise
                wait = self._policy.wait(error, attempt)
                self._on_retry(prefix, error, attempt, wait)
                await asyncio.sleep(wait)
            else:
                return

    async def _one_by_one(self, prefix: str) -> AsyncIterator[Stat]:
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def stat(self, path: str) -> Stat:
        """Ask until there is an answer."""
        return await retrying(lambda: self._inner.stat(path), path, self._policy, self._on_retry)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open a body that survives interruptions."""
        return _RetryingBody(self, path, start, stop, version)

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Have a question answered whole; an answer that broke off is asked for again from its beginning."""

        async def once() -> Document:
            question = open_request(self._inner, follow.method, follow.url, follow.headers, follow.body)
            return await read_into_spool(question, follow, spool)

        return await retrying(once, follow.url, self._policy, self._on_retry)

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()


class _RetryingBody(ResumableBody):
    """One read of `[start, stop)`, over as many connections as it takes."""

    __slots__ = ("_attempt", "_path", "_stalls", "_stop", "_to", "_version")

    def __init__(self, to: Retrying, path: str, start: int, stop: int | None, version: str | None) -> None:
        super().__init__(start)
        self._to = to
        self._path = path
        self._stop = stop
        self._version = version
        self._attempt = self._stalls = 0

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._version = self.stat.version if self.stat.version is not None else self._version
        return self

    def _count(self, count: int) -> None:
        del count
        self._attempt = 0

    async def _reopen(self, reached: int, error: TransientError) -> Body:
        """Open again at the byte reached."""
        if self._version is None and reached > self.start:
            raise Changed(
                f"{self._path}: broke off at byte {reached}, and upstream gives no version to go on with"
            ) from error
        await self._pause(error)
        return await self._enter(reached)

    async def _enter(self, at: int) -> Body:
        while True:
            opening = self._to._inner.open(self._path, start=at, stop=self._stop, version=self._version)  # noqa: SLF001  the body belongs to the decorator
            try:
                body = await opening.__aenter__()
            except TransientError as error:
                await self._pause(error)
                continue
            self._open = opening
            if body.start != at:
                raise Interrupted(f"{self._path}: asked for byte {at}, answered from {body.start}")
            return body

    async def _pause(self, error: TransientError) -> None:
        """Wait, or raise `error` when its tries are used up."""
        self._attempt += 1
        policy = self._to._policy  # noqa: SLF001  as above
        if isinstance(error, Stalled):
            self._stalls += 1
            self._attempt = max(self._attempt, self._stalls)
        if self._attempt >= policy.attempts:
            raise error
        wait = policy.wait(error, self._attempt)
        self._to._on_retry(self._path, error, self._attempt, wait)  # noqa: SLF001  as above
        await asyncio.sleep(wait)
