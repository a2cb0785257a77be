"""The one retry policy: which failures are retried, how often, and how long each retry waits.

Rules:
1. Only TransientError is retried, matched positively; CancelledError never is.
2. Waits grow as 0.5 s x 2^n with full jitter, up to 60 s; a wait that upstream asks for (Retry-After) overrides them.
3. An attempt at an origin that is away (`syncd.wrappers.absence`) does not count, unless there is another source.
4. Progress renews the attempts: after one more byte of a body, all are available again, unless it stalled.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import tenacity

from syncd.core import Stalled, TransientError
from syncd.wrappers.halting import pause

T = TypeVar("T")
OnRetry = Callable[[str, TransientError, int, float], None]
"""Called with path, error, number of the attempt that failed, and the wait that follows, in seconds."""


def ignore_retry(path: str, error: TransientError, attempt: int, wait: float) -> None:
    """Ignore a retry."""


class Policy(msgspec.Struct, frozen=True):
    """The number of attempts and the waits; times in seconds."""

    attempts: int = 8
    first: float = 0.5
    most: float = 60.0
    holds: bool = True
    """Wait for an origin that is away; without it, another source is asked instead."""

    def wait(self, error: TransientError, attempt: int) -> float:
        """Return the wait after attempt number `attempt` (1 is the first) failed with `error`."""
        if error.retry_after is not None:
            return error.retry_after + random.uniform(0, 0.1)  # noqa: S311  spreads load, guards nothing
        return random.uniform(0, min(self.most, self.first * 2 ** (attempt - 1)))  # noqa: S311  as above


class Attempts:
    """The attempts at one operation: counts failures since its last progress. It costs nothing until one fails."""

    __slots__ = ("_may_halt", "_on_retry", "_path", "_policy", "_stalled", "_state")

    def __init__(self, policy: Policy, path: str, on_retry: OnRetry = ignore_retry, *, may_halt: bool = False) -> None:
        """`path` is passed to `on_retry`; `may_halt`: a pass that stops waits for no further attempt."""
        self._may_halt = may_halt
        self._policy = policy
        self._path = path
        self._on_retry = on_retry
        self._stalled = 0
        self._state: tenacity.RetryCallState | None = None

    def progressed(self) -> None:
        """Renew the attempts."""
        self._state = None

    async def failed(self, error: TransientError) -> None:
        """Wait before the next attempt; raise `error` if this was the last one."""
        if error.is_held:
            return  # the next attempt waits for its origin, and this one does not count
        if error.is_final:
            raise error
        state = self._state
        if state is None:
            state = self._state = tenacity.RetryCallState(self._controller(), None, (), {})
        if isinstance(error, Stalled):  # repeated stalls move too few bytes to count as progress
            self._stalled += 1
            state.attempt_number = max(state.attempt_number, self._stalled)
        state.set_exception((type(error), error, error.__traceback__))
        assert isinstance(state.retry_object, tenacity.AsyncRetrying)
        wait = await state.retry_object.iter(state)  # raises the error if no attempt is left
        assert isinstance(wait, tenacity.DoSleep)
        self._on_retry(self._path, error, state.attempt_number, float(wait))  # events encode plain numbers
        state.prepare_for_next_attempt()
        await (pause(wait, self._path) if self._may_halt else asyncio.sleep(wait))

    def _controller(self) -> tenacity.AsyncRetrying:
        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            return self._policy.wait(error, state.attempt_number) if isinstance(error, TransientError) else 0.0

        controller = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(self._policy.attempts),
            wait=wait,
            reraise=True,
        )
        controller.begin()
        return controller


async def retrying(
    call: Callable[[], Awaitable[T]],
    path: str,
    policy: Policy,
    on_retry: OnRetry = ignore_retry,
    *,
    may_halt: bool = False,
) -> T:
    """Return what `call` returns, called again while it raises TransientError and attempts are left."""
    attempts = Attempts(policy, path, on_retry, may_halt=may_halt)
    while True:
        try:
            return await call()
        except TransientError as error:
            await attempts.failed(error)
