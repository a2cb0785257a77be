"""Records when the description of each published mirror changed, and which mirrors are gone, also in the store."""

from collections.abc import Callable

from syncd.core import SyncdError
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.rounds import run_rounds
from syncd.session import Session, StoredPublications, refresh_listed

EVERY = 30.0  # seconds from one look to the next


class Listings:
    """The record of listed mirrors, brought up to date while the daemon runs."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session], note: Callable[[], None]) -> None:
        """`session` returns the Session of the configuration in force; `note` records which mirrors are published."""
        self.registry = registry
        self.session = session
        self._note = note
        self._record = StoredPublications()

    async def run(self) -> None:
        """Look every EVERY seconds while the store is online; ends when cancelled."""
        await run_rounds(self.registry, self.once, EVERY)

    async def once(self) -> None:
        """Look once. A failure of the store or of a manifest leaves the record as it is, until the next look."""
        session = self.session()  # a configuration that was reloaded may serve what was not served before
        try:
            if await self._record.restore(session):
                self._note()
            if session.config.serve is not None:
                await refresh_listed(session, self.registry.now())
            await self._record.write(session)
        except SyncdError:
            return
