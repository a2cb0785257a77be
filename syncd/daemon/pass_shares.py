"""What all passes share: memory and files in flight, connections, and the worker processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.config import BudgetSettings
from syncd.core import Step
from syncd.engine import ActiveTransfer, OnTransferDone, PassPaths, Pool, QuarantineRoom, Workers
from syncd.wrappers import FairShares


class PassShares:
    """The budgets that the running passes divide among them; `workers_taken` while one of them uses the workers."""

    def __init__(self, budget: BudgetSettings) -> None:
        """`budget` is that of the configuration."""
        self.budget = FairShares(budget.memory, budget.files)
        self.connections = FairShares(1 << 40, budget.connections)
        self.workers_taken = False

    def adjust(self, budget: BudgetSettings) -> None:
        """Apply a new budget."""
        self.budget.max_bytes, self.budget.max_files = budget.memory, budget.files
        self.connections.max_files = budget.connections
        self.budget.admit()
        self.connections.admit()


class ExclusivePool:
    """The worker processes, for one pass at a time: their number is that of the processors.

    While they run they hold their share of the connections of all passes.
    """

    def __init__(self, pool: Pool, shares: PassShares, origin: str) -> None:
        """`origin` is that of the pass."""
        self._pool = pool
        self._shares = shares
        self._origin = origin

    @property
    def concurrency(self) -> int:
        """The number of transfers at once."""
        return self._pool.concurrency

    def prepare(self) -> None:
        """Start the processes, unless another pass uses them."""
        if not self._shares.workers_taken:
            self._pool.prepare()

    async def aclose(self) -> None:
        """End the processes."""
        await self._pool.aclose()

    @asynccontextmanager
    async def running(
        self, place: PassPaths, by: str, on_done: OnTransferDone, concurrency: int, room: QuarantineRoom
    ) -> AsyncIterator[Workers]:
        """Yield the workers, or none if another pass uses them or the connections."""
        # a separate share: the requests of the pass itself must not wait until the workers end
        with self._shares.connections.share(self._origin) as lines:
            held = 0 if self._shares.workers_taken else lines.acquire_now(concurrency)
            if held > 1:
                self._shares.workers_taken = True
                try:
                    async with self._pool.running(place, by, on_done, held, room) as workers:
                        yield workers
                finally:
                    self._shares.workers_taken = False
                return
        await self._pool.aclose()  # prepared before another pass took the workers or the connections
        yield _NoWorkers()


class _NoWorkers:
    """No workers: another pass uses them."""

    def accepts(self, step: Step) -> bool:  # noqa: ARG002  part of the port
        return False

    def submit(self, moving: ActiveTransfer) -> None:
        raise AssertionError(moving)

    async def join(self) -> None:
        return
