"""Asks the peers in syncd.yaml for the heads of our published mirrors, so that the page shows how fresh each copy is.

Only names of published mirrors are asked for. A peer that does not answer keeps what it said last, with the reason.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from manifests.access import access_of
from syncd.config import PeerSettings
from syncd.core import NoSpace
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.session import PeerCopy, Session, ask_peer, peer_copies, save_peer_copies

TICK = 1.0  # seconds between two looks for a peer that is due
IDLE = 30.0  # the same while there is none


class PeerWatch:
    """Watches the peers of a daemon."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session]) -> None:
        """`session` returns the Session of the configuration in force."""
        self._registry = registry
        self._session = session
        self._asked: dict[str, float] = {}
        self._running: set[str] = set()

    async def run(self) -> None:
        """Ask each peer when it is due; ends when cancelled. A slow peer delays no other one."""
        async with asyncio.TaskGroup() as group:
            while True:
                peers = self._session().config.peers
                for peer in peers:
                    if self._is_due(peer):
                        self._running.add(peer.url)
                        group.create_task(self._ask(peer), name="peer")
                await asyncio.sleep(TICK if peers else IDLE)

    def _is_due(self, peer: PeerSettings) -> bool:
        last = self._asked.get(peer.url, -math.inf)
        return peer.url not in self._running and not 0 <= self._registry.clock() - last < peer.every

    async def _ask(self, peer: PeerSettings) -> None:
        try:
            await self.ask(peer)
        finally:
            self._asked[peer.url] = self._registry.clock()
            self._running.discard(peer.url)

    async def ask(self, peer: PeerSettings) -> None:
        """Ask one peer for the heads of the mirrors that it copies, and record what it said."""
        session = self._session()
        names = self._names(peer)
        before = peer_copies(session.catalogue.settings, peer)
        found = {name: await ask_peer(session, peer, name, before.get(name, PeerCopy())) for name in names}
        if found == before:
            return
        try:
            save_peer_copies(session.catalogue.settings, peer, found)
        except NoSpace as error:
            self._registry.set_store("full", str(error))

    def _names(self, peer: PeerSettings) -> list[str]:
        now = datetime.fromtimestamp(self._registry.now(), UTC)
        return [
            name
            for name, mirror_state in sorted(self._registry.states.items())
            if mirror_state.declared is not None
            and mirror_state.row is not None
            and mirror_state.row.snapshot
            and access_of(mirror_state.declared.mirror, now) != "private"
            and any(fnmatchcase(name, one) for one in peer.mirrors)
        ]
