"""The stall limit of a body, for protocols other than http: no deadline, but a least rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from manifests.messages import message
from syncd.core import Stalled


class StallDetector:
    """Counts the bytes of one body against the time spent waiting for them; `spent` is that time in seconds."""

    __slots__ = ("_came", "_clock", "_label", "_rate", "_waited", "_window", "spent")

    def __init__(self, label: str, floor: tuple[float, float], clock: Callable[[], float] = time.monotonic) -> None:
        """`floor` is bytes per second over a window of seconds."""
        self._label = label
        self._rate, self._window = floor
        self._clock = clock
        self._came = 0
        self._waited = 0.0
        self.spent = 0.0

    async def read(self, ask: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the result of `ask`, called again if it is slow but the body is not. Raises Stalled."""
        while True:
            began = self._clock()
            try:
                async with asyncio.timeout(max(0.0, self._window - self._waited)):
                    chunk = await ask()
            except TimeoutError as error:
                self.spent += self._clock() - began
                self._check(error)
                continue
            waited = self._clock() - began
            self.spent += waited
            self._waited += waited
            self._came += len(chunk)
            if self._waited >= self._window and chunk:
                self._check(None)
            return chunk

    def _check(self, error: TimeoutError | None) -> None:
        """Begin a new window, if the last one had enough bytes. Raises Stalled."""
        came, self._came, self._waited = self._came, 0, 0.0
        if came < self._rate * self._window:
            raise Stalled(
                message(
                    "{label}: stalled, {came} bytes in {window:g} s", label=self._label, came=came, window=self._window
                )
            ) from error
