"""Signs the heads of published mirrors again before they expire, though nothing changed.

A pass signs the head of its mirror itself. Between passes, one is due after a day, and when the head does not name the
current snapshot: a restoration or an interrupted publish was finished, or the mirror has just been published.
"""

import asyncio
import time
from collections.abc import Callable

from manifests.head import is_due
from syncd.core import Busy, HeadUnsigned, SyncdError
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.reasons import because
from syncd.daemon.rounds import run_rounds
from syncd.engine import PassPaths, Publisher, head_state
from syncd.session import Session

FIRST = 20.0  # seconds after the start
EVERY = 300.0


class HeadRenewal:
    """Renews the heads of a daemon's mirrors."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session], scheduler: PassScheduler) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.session = session
        self.scheduler = scheduler

    async def run(self) -> None:
        """Renew every EVERY seconds while the store is online; ends when cancelled."""
        await run_rounds(self.registry, self.once, EVERY, first=FIRST)

    async def once(self) -> None:
        """Sign each head that is due. A failure is reported, and the next round tries again."""
        serve = self.session().config.serve
        if serve is None or serve.key is None:
            return
        for mirror_state in list(self.registry.states.values()):
            try:
                await self._renew(mirror_state)
            except Busy:
                continue  # its pass signs the head
            except SyncdError as error:
                self.registry.on_event(HeadUnsigned(mirror_state.name, str(error)))

    async def _renew(self, mirror_state: MirrorState) -> None:
        row, session, now = mirror_state.row, self.session(), self.registry.now
        if row is None or not row.snapshot:
            return
        if not is_due(head_state(session.catalogue.settings, row.name), row.snapshot, now()):
            return
        with self.scheduler.reserve(mirror_state, because("waits.head")):
            signer = await asyncio.to_thread(session.signer, row.name)
            if signer is None:
                return
            place = PassPaths(row.name, row.prefix, f"head-{time.time_ns():x}")
            keep = session.retention(row.name)
            publisher = Publisher(
                session.store, session.catalogue, row, place, self.registry.on_event, keep, now, heads=signer
            )
            await publisher.renew_head()
