"""What a pass asks of worker processes: to move small files where there are very many (`syncd.workers.pool` has them).

One process cannot keep two processors busy with small files. A worker does what `Transfers` does, on the same store and
by the same rules, and reports; only the pass writes to the Catalogue.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from syncd.core import PermanentError, Step, TransientError
from syncd.engine.pass_paths import PassPaths
from syncd.engine.verified_file import VerifiedFile

WORTH = 4000  # small files from which on starting workers pays
LIKELY = 1000  # files from which on a first survey will probably find so many
SMALL = 1 << 20  # bytes of the largest file they are given: what takes longer is limited by other things
GUESSED = 16  # files of unknown size that they are given before one of them turned out to be small
LARGE = 4  # of so many such files that turned out to be small, one more may be large: each costs a request


class WorkerLost(TransientError):
    """A worker did not move a file, for it ended or the file is not small; whoever asked does it again."""


class ActiveTransfer(msgspec.Struct, frozen=True):
    """A file that a pass has under way: what it takes of the budget, and when it began by the monotonic clock."""

    step: Step
    cost: int
    began: float


OnTransferDone = Callable[[ActiveTransfer, VerifiedFile | TransientError | PermanentError], None]
"""Hears what became of a file: its proof, what `Transfers` raised for it, Lost, or Exists for what a worker may not
judge."""


class Workers(Protocol):
    """Workers at work. Nobody waits for a single file: a task for each would cost the pass as much as all else."""

    def accepts(self, step: Step) -> bool:
        """Tell whether a file is one for workers, and there is still one of them."""
        ...

    def submit(self, moving: ActiveTransfer) -> None:
        """Have a worker move a file that they take."""
        ...

    async def join(self) -> None:
        """Wait until it was told of every file what became of it."""
        ...


class Pool(Protocol):
    """Where workers are to be had."""

    @property
    def concurrency(self) -> int:
        """Return how many requests the workers may have under way, all together; fewer than two: there are none."""
        ...

    def prepare(self) -> None:
        """Let the workers start, for they will probably be wanted: they import what they need while others think."""
        ...

    def running(
        self, place: PassPaths, by: str, on_done: OnTransferDone, concurrency: int
    ) -> AbstractAsyncContextManager[Workers]:
        """Start the workers unless they were prepared, and end them with the block; `on_done` is called within it.

        All together have no more than `concurrency` requests under way.
        """
        ...

    async def aclose(self) -> None:
        """End workers that were prepared and not wanted. May be called twice."""
        ...
