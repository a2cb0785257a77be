"""An origin that answers no request: the queue is held, and one request at a time finds out when it is back.

Rules:
1. An origin is away after SILENT requests in a row got no connection, or no answer at all, or after requests for MANY
   different files in a row got 502, 503 or 504: it is a proxy's, and the server behind it is away. Only an origin that
   has answered in this pass is waited for: a wrong address fails at once.
2. While it is away, requests wait without a slot. One of them tries after each pause; any answer lets all go on.
3. After LONGEST_ABSENCE seconds, the waiting requests fail, and so do later ones until the origin answers. Refusals
   may concern only the files that are left: LONGEST_REFUSAL.
"""

import asyncio
import time
from collections.abc import Callable

from manifests.messages import message
from syncd.core import Unreachable
from syncd.wrappers.halting import until

SILENT = 3
MANY = 12
FIRST = 1.0  # seconds until the first attempt
LONGEST = 15.0  # seconds between two attempts
LONGEST_ABSENCE = 900.0  # seconds for which an origin is waited for
LONGEST_REFUSAL = 300.0  # seconds, if a server in front of it answers
STUCK = 120.0  # seconds after which an attempt without result no longer keeps others from trying


class Absence:
    """Whether one origin is away."""

    def __init__(self, origin: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._silent = 0
        self._refused: set[str] = set()  # files, since the last other answer; at most MANY
        self._longest = LONGEST_ABSENCE
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
        return self._since is not None and self.seconds >= self._longest

    def answered(self) -> None:
        """Note an answer of any other kind."""
        self._silent = 0
        if self._refused:
            self._refused.clear()
        if self._since is not None:
            self._since, self._pause, self._trying_until = None, FIRST, 0.0
            self._wake()

    def lost(self, *, is_known: bool) -> bool:
        """Note a request without an answer; `is_known` is True if the origin has answered before.

        Return True if the origin is away now, and is waited for.
        """
        self._silent += 1
        return self._missed(LONGEST_ABSENCE, is_enough=is_known and self._silent >= SILENT)

    def refused(self, what: str, *, is_known: bool) -> bool:
        """As `lost`, for a request for `what` to which a proxy says that the server behind it is away, or busy."""
        if len(self._refused) < MANY:
            self._refused.add(what)
        return self._missed(LONGEST_REFUSAL, is_enough=is_known and len(self._refused) >= MANY)

    def _missed(self, longest: float, *, is_enough: bool) -> bool:
        now = self._clock()
        if self._since is None:
            if not is_enough:
                return False
            self._since, self._longest = now, longest
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
        """Return when the origin is back, or when it is the caller's turn to try. Raises Unreachable, Halted."""
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
            left = min(max(self._next, self._trying_until), self._since + self._longest) - now
            await until(self._changed, max(0.01, left), self._origin)

    def _wake(self) -> None:
        """Let all waiting requests look again."""
        self._changed.set()
        self._changed = asyncio.Event()
