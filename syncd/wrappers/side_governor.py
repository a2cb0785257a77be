"""The slot beside those of an origin, for requests that others wait for: the renewal of a token."""

import asyncio
import time
from collections.abc import Callable

from syncd.wrappers.governor import NAP, Governor


class SideGovernor(Governor):
    """One slot of its own. It waits as long as `main` must, and each of its refusals holds for `main`, too."""

    def __init__(self, main: Governor, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(main.origin, ceiling=1, clock=clock)
        self.main = main
        self.count = main.count

    async def enter(self) -> None:
        """Wait for the slot, and for the end of a pause that upstream asked for."""
        await super().enter()
        try:
            while (wait := min(NAP, self.main.closed_for)) > 0:
                self.count.asked_to_wait += wait
                await asyncio.sleep(wait)
        except BaseException:
            self.leave()
            raise

    def refused(self, retry_after: float | None = None, *, by_hearsay: bool = False) -> None:
        """Record a refusal, for `main`."""
        self.main.refused(retry_after, by_hearsay=by_hearsay)
