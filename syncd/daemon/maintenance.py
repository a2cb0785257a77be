"""Keeps the daemon's own house: forgets what is old, gives room back, copies the Catalogue into the store."""

import asyncio
from collections.abc import Callable

from manifests.stat import Stat
from syncd.catalogue.background_reader import Beside
from syncd.core.errors import NotFound, SyncdError
from syncd.core.events import BackupFailed, BackupWritten
from syncd.daemon.backup import back_up, backups, prune
from syncd.daemon.mirror_registry import Fleet
from syncd.engine.transfer import REASON
from syncd.session.session import Workbench

FIRST = 60.0  # seconds after the start
EVERY = 600.0
QUARANTINE = ".syncd/quarantine/"
BITES = 1_000  # of room given back to the disk at a time
KEPT_PASSES = 10  # of each mirror, however old
BACKUP_AGAIN = 3_600.0  # seconds after a backup that failed


class Upkeep:
    """What is done now and then."""

    def __init__(self, fleet: Fleet, bench: Callable[[], Workbench], beside: Beside) -> None:
        """`bench` is the workbench of the configuration in force."""
        self.fleet = fleet
        self.bench = bench
        self.beside = beside
        self._emptied = float("-inf")
        self._failed = float("-inf")

    async def run(self) -> None:
        """Look after the house, as long as the daemon runs."""
        await asyncio.sleep(FIRST)
        while True:
            if self.fleet.store.state == "online":
                await self.once()
            await asyncio.sleep(EVERY)

    async def once(self) -> None:
        """Forget, tidy, back up; what cannot be done now is done the next time."""
        try:
            self.forget()
            for _ in range(BITES):
                if not self.fleet.catalogue.database.tidy():
                    break
                await asyncio.sleep(0.02)
            await self._empty_quarantine()
        except SyncdError as error:
            self.fleet.hear(BackupFailed("", f"house-keeping: {error}"))
        await self.back_up()

    def forget(self) -> None:
        """Let go of passes, what happened in them, and the audit log past their time."""
        chronicle, now, retention = self.fleet.catalogue.chronicle, self.fleet.now(), self.bench().config.retention
        chronicle.forget_happenings(now - retention.events)
        chronicle.forget_passes(now - retention.passes, KEPT_PASSES)
        chronicle.forget_audit(now - retention.audit)

    async def _empty_quarantine(self) -> None:
        """Let go of what lies in the quarantine for longer than it should, once a day."""
        fleet, store = self.fleet, self.bench().store
        if fleet.clock() - self._emptied < 86_400.0:
            return
        before = fleet.now() - self.bench().config.retention.quarantine
        async for stat in store.list(QUARANTINE):
            at = await self._aside_at(stat)
            if at is not None and at < before:
                await store.delete(stat.path)
        while old := fleet.catalogue.chronicle.aside_before(before):
            for mirror, place in old:
                fleet.catalogue.chronicle.forget_aside(mirror, place)
            await asyncio.sleep(0)
        for standing in fleet.standings.values():
            fleet.look_up(standing)
        self._emptied = fleet.clock()

    async def _aside_at(self, stat: Stat) -> float | None:
        """Return when a file came into the quarantine: what is copied there is as old as it was where it lay."""
        place = stat.path.removesuffix(REASON)
        written = self.fleet.catalogue.chronicle.aside_at(place.removeprefix(QUARANTINE).partition("/")[0], place)
        if written is not None or stat.modified is None or place != stat.path:
            return written if written is not None else stat.modified
        try:
            reason = await self.bench().store.stat(place + REASON)
        except NotFound:
            return stat.modified
        return max(stat.modified, reason.modified or stat.modified)

    async def back_up(self) -> None:
        """Copy the Catalogue into the store, if it is time."""
        fleet, bench = self.fleet, self.bench()
        settings = bench.config.backup
        if settings.keep == 0 or fleet.clock() - self._failed < BACKUP_AGAIN:
            return
        began = fleet.clock()
        try:
            if fleet.store.backup is None:
                known = await backups(bench.store)
                fleet.store.backup = known[0].at if known else None
            last = fleet.store.backup
            if last is not None and 0 <= fleet.now() - last < settings.every:
                return
            backup, size = await back_up(bench.store, self.beside, bench.spool, fleet.now)
            await prune(bench.store, settings.keep)
        except SyncdError as error:
            self._failed = fleet.clock()
            fleet.hear(BackupFailed("", str(error)))
        except OSError as error:
            self._failed = fleet.clock()
            fleet.hear(BackupFailed("", f"{bench.spool}: {error.strerror}"))
        else:
            fleet.store.backup = backup.at
            fleet.hear(BackupWritten("", backup.place, size, round(fleet.clock() - began, 3)))
