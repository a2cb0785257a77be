"""An origin that answers no request: the queue is held, and one request at a time finds out when it is back.

Rules:
1. An origin is away after SILENT requests in a row got no connection, or no answer at all. Only an origin that has
   answered in this pass is waited for: a wrong address fails at once.
2. While it is away, requests wait without a slot. One of them tries after each pause; any answer lets all go on.
3. After LONGEST_ABSENCE seconds, the waiting requests fail, and so do later ones until the origin answers.
"""

import asyncio
import time
from collections.abc import Callable

from manifests.messages import message
from syncd.core import Unreachable

SILENT = 3
FIRST = 1.0  # seconds until the first attempt
LONGEST = 15.0  # seconds between two attempts
LONGEST_ABSENCE = 900.0  # seconds for which an origin is waited for
STUCK = 120.0  # seconds after which an attempt without result no longer keeps others from trying


class Absence:
    """Whether one origin is away."""

    def __init__(self, origin: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._silent = 0
        self._since: float | None = None
        self._next = 0.0
        self._pause = FIRST
        self._trying_until = 0.0
        self._changed = asyncio.Event()

    @property
    def is_away(self) -> bool:
        """Return True if no request is answered."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Return for how long the origin has been away."""
        return 0.0 if self._since is None else self._clock() - self._since

    @property
    def is_over(self) -> bool:
        """Return True if the origin is not waited for any longer."""
        return self._since is not None and self.seconds >= LONGEST_ABSENCE

    def answered(self) -> None:
        """Note an answer of any kind."""
        self._silent = 0
        if self._since is not None:
            self._since, self._pause, self._trying_until = None, FIRST, 0.0
            self._wake()

    def lost(self, *, is_known: bool) -> bool:
        """Note a request without an answer; `is_known` is True if the origin has answered before.

        Return True if the origin is away now, and is waited for.
        """
        self._silent += 1
        now = self._clock()
        if self._since is None:
            if not is_known or self._silent < SILENT:
                return False
            self._since = now
        else:
            self._pause = min(self._pause * 2, LONGEST)
        self._next, self._trying_until = now + self._pause, 0.0
        self._wake()
        return not self.is_over

    def gave_up(self) -> None:
        """Note a request that ended without a result: another one may try."""
        if self._since is not None:
            self._trying_until = 0.0
            self._wake()

    async def wait(self) -> None:
        """Return when the origin is back, or when it is the caller's turn to try. Raises Unreachable."""
        while self._since is not None:
            now = self._clock()
            if now >= self._next and now >= self._trying_until:
                self._trying_until = now + STUCK
                return
            if self.is_over:
                error = Unreachable(
                    message(
                        "{origin} has not answered for {minutes:.0f} minutes",
                        origin=self._origin,
                        minutes=self.seconds / 60,
                    )
                )
                error.is_final = True
                raise error
            until = max(self._next, self._trying_until) - now
            try:
                async with asyncio.timeout(max(0.01, min(until, self._since + LONGEST_ABSENCE - now))):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _wake(self) -> None:
        """Let all waiting requests look again."""
        self._changed.set()
        self._changed = asyncio.Event()
