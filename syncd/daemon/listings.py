"""Records when the description of each published mirror changed, and which mirrors are gone, for harvesters."""

from collections.abc import Callable

from syncd.core import SyncdError
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.rounds import run_rounds
from syncd.session import Session, refresh_listed

EVERY = 30.0  # seconds from one look to the next


class Listings:
    """The record of listed mirrors, brought up to date while the daemon runs."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session]) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.session = session

    async def run(self) -> None:
        """Look every EVERY seconds while the store is online; returns at once where nothing is served."""
        if self.session().config.serve is None:
            return
        await run_rounds(self.registry, self.once, EVERY)

    async def once(self) -> None:
        """Look once. A failure of the store or of a manifest leaves the record as it is, until the next look."""
        try:
            await refresh_listed(self.session(), self.registry.now())
        except SyncdError:
            return
