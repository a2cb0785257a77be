"""The port of a pass to worker processes, which transfer small files in large numbers (`syncd.workers.pool`).

One process cannot keep two processors busy with small files. A worker runs `Transfers` on the same store by the same
rules, and reports the results; only the pass writes to the Catalogue.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from syncd.core import PermanentError, Step, TransientError
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import QuarantineRoom
from syncd.engine.verified_file import VerifiedFile

WORTH = 4000  # small files from which workers are worth starting
LIKELY = 1000  # files from which a first survey will probably find so many
SMALL = 1 << 20  # bytes of the largest file for workers: other limits apply to larger ones
GUESSED = 16  # files of unknown size for workers before one of them has turned out to be small
LARGE = 4  # for so many such files that are small, one more may be large: each costs a request


class WorkerLost(TransientError):
    """A worker did not transfer a file: it ended, or the file is not small. The pass transfers the file itself."""


class ActiveTransfer(msgspec.Struct, frozen=True):
    """A file in transfer: its share of the budget, and its start by the monotonic clock."""

    step: Step
    cost: int
    began: float


OnTransferDone = Callable[[ActiveTransfer, VerifiedFile | TransientError | PermanentError], None]
"""Called with the result of a file: the verified file, the failure from `Transfers`, WorkerLost, or Exists for an
unknown file in the store."""


class Workers(Protocol):
    """The workers of a pass. No task waits for a single file: that would double the costs of the pass."""

    def accepts(self, step: Step) -> bool:
        """Return True if a file is suitable for workers, and a worker is alive."""
        ...

    def submit(self, moving: ActiveTransfer) -> None:
        """Give a suitable file to a worker."""
        ...

    async def join(self) -> None:
        """Wait for the results of all files."""
        ...


class Pool(Protocol):
    """Starts the workers of a pass."""

    @property
    def concurrency(self) -> int:
        """Return the most requests of all workers together; fewer than two: there are no workers."""
        ...

    def prepare(self) -> None:
        """Start the workers early, so that they import their modules during the survey."""
        ...

    def running(
        self, place: PassPaths, by: str, on_done: OnTransferDone, concurrency: int, room: QuarantineRoom
    ) -> AbstractAsyncContextManager[Workers]:
        """Start the workers unless `prepare` did, and end them with the block; `on_done` is called within it.

        All workers together have at most `concurrency` requests, and each borrows a part of `room`.
        """
        ...

    async def aclose(self) -> None:
        """End workers that were prepared but not used. May be called twice."""
        ...
