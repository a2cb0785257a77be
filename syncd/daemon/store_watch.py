"""Watches the store: its identity, its free space, the free space of the state's disk, the size of the Catalogue."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from manifests.messages import message
from syncd.catalogue import file_sizes
from syncd.core import Denied, NoSpace, TransientError
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.session import Session

ANSWER = 30.0  # seconds within which a store must return its identity
LOW = 64 << 20  # free bytes of the state's disk below which no pass starts; `keep_free` if that is less
ROOMIER = 1.1  # times `keep_free`: the free space from which on passes start again


class StoreWatch:
    """Sets the state of the store in the registry."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session]) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.session = session
        self._identity: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def run(self, every: float) -> None:
        """Check the store every so many seconds, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(every)

    async def aclose(self) -> None:
        """End a check that waits for a reply."""
        if self._identity is not None:
            self._identity.cancel()
            await asyncio.wait({self._identity}, timeout=1.0)

    async def check(self) -> None:
        """Check the identity and the free space of the store; a store without a reply is offline."""
        async with self._lock:
            await self._measure_state()
            if self._identity is None:
                asking = self.session().identify_store()
                self._identity = asyncio.create_task(asking)  # owned by this: the next check, or `aclose`
            await asyncio.wait({self._identity}, timeout=ANSWER)
            if not self._identity.done():
                self.registry.set_store(
                    "offline",
                    message(
                        "{url}: no reply within {answer:.0f} s", url=self.session().config.store.url, answer=ANSWER
                    ),
                )
                return
            asked, self._identity = self._identity, None
            try:
                asked.result()
                self.registry.store.free = await self.session().adapter.free()
            except (TransientError, Denied) as error:
                self.registry.set_store("offline", str(error))
                return
            except NoSpace as error:
                self.registry.set_store("full", str(error))
                return
            self._update()

    async def _measure_state(self) -> None:
        """Measure the state folder: the free space of its disk, and the files of the Catalogue."""
        store, folder, states = self.registry.store, self.session().config.state, self.registry.states
        store.state_free = await asyncio.to_thread(_free_bytes, folder)
        sizes = await asyncio.to_thread(file_sizes, folder, list(states))
        store.catalogue_bytes, store.index_bytes = sizes.daemon, sizes.held
        for name, size in sizes.mirrors.items():
            if name in states:
                states[name].catalogue_bytes = size

    def _update(self) -> None:
        keep, store = self.session().config.budget.keep_free, self.registry.store
        state_free = store.state_free or 0
        factor = 1.0 if store.state == "online" else ROOMIER
        if store.free is not None and store.free < keep * factor:
            self.registry.set_store(
                "full", message("{free:,} bytes left, {keep:,} are kept free: make room", free=store.free, keep=keep)
            )
        elif state_free < min(keep, LOW) * factor:
            self.registry.set_store(
                "full",
                message(
                    "{state}: {state_free:,} bytes left for the Catalogue: make room",
                    state=self.session().config.state,
                    state_free=state_free,
                ),
            )
        else:
            self.registry.set_store("online")


def _free_bytes(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
