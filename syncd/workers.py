"""What a pass asks of worker processes: to move small files where there are very many (`syncd.pool` has them).

One process cannot keep two processors busy with small files. A worker does what `Transfers` does, on the same store and
by the same rules, and reports; only the pass writes to the Catalogue.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from syncd.errors import TransientError
from syncd.plan import Step
from syncd.transfer import Place, Proved

WORTH = 4000  # small files from which on starting workers pays
SMALL = 1 << 20  # bytes of the largest file they are given: what takes longer is limited by other things


class Lost(TransientError):
    """A worker ended before it reported a file; whoever asked does it again."""


class Workers(Protocol):
    """Workers at work; `transfer` is as that of `Transfers`."""

    def takes(self, step: Step) -> bool:
        """Tell whether a file is one for workers, and there is still one of them."""
        ...

    async def transfer(self, step: Step) -> Proved:
        """Have a worker move a file. Raises what it raised; Lost if it ended; Exists for what it may not judge."""
        ...


class Pool(Protocol):
    """Where workers are to be had."""

    @property
    def count(self) -> int:
        """Return how many workers there would be."""
        ...

    def at_work(self, place: Place, by: str) -> AbstractAsyncContextManager[Workers]:
        """Start the workers, and end them with the block."""
        ...
