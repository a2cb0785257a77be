"""Runs maintenance: deletes expired records and quarantined files, shrinks the Catalogue, backs it up to the store."""

import asyncio
from collections.abc import Callable

from manifests.stat import Stat
from syncd.catalogue import BackgroundReader, suppress_damage
from syncd.core import BackupFailed, BackupWritten, NotFound, SyncdError, next_turn
from syncd.daemon.backup import back_up, backups, prune
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.rounds import run_rounds
from syncd.engine import REASON, anchor_audit
from syncd.session import Session
from syncd.usage import day_of, destroy_old_key

FIRST = 60.0  # seconds after the start
EVERY = 600.0
ANCHOR_EVERY = 30.0  # seconds between two looks at whether the audit log grew
QUARANTINE = ".syncd/quarantine/"
BITES = 1_000  # most pieces of free space returned to the disk in one round
KEPT_PASSES = 10  # kept of each mirror, whatever their age
BACKUP_AGAIN = 3_600.0  # seconds until a failed backup is tried again


class Maintenance:
    """The periodic maintenance of a daemon."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session], background: BackgroundReader) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.session = session
        self.reader = background
        self._emptied = float("-inf")
        self._failed = float("-inf")

    async def run(self) -> None:
        """Run a round every EVERY seconds while the store is online; ends when cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(run_rounds(self.registry, self.anchor, ANCHOR_EVERY, first=ANCHOR_EVERY))
            group.create_task(run_rounds(self.registry, self.once, EVERY, first=FIRST))

    async def once(self) -> None:
        """Run one round; a failure is reported, and the next round tries again."""
        try:
            await asyncio.to_thread(destroy_old_key, self.session().config.state, day_of(self.registry.now()))
            self.forget()
            for _ in range(BITES):
                if not self.registry.catalogue.tidy():
                    break
                await asyncio.sleep(0.02)
            await self._empty_quarantine()
        except SyncdError as error:
            self.registry.on_event(BackupFailed("", f"maintenance: {error}"))
        await self.back_up()

    def forget(self) -> None:
        """Delete passes, pass events, jobs and audit entries past their retention."""
        pass_history, now, retention = (
            self.registry.catalogue.pass_history,
            self.registry.now(),
            self.session().config.retention,
        )
        pass_history.forget_events(now - retention.events)
        pass_history.forget_passes(now - retention.passes, KEPT_PASSES)
        pass_history.forget_audit(now - retention.audit, now)
        self.registry.catalogue.jobs.forget(now - retention.passes)

    async def anchor(self) -> None:
        """Write the end of the audit log to the store, where a cut of the log is found."""
        try:
            await anchor_audit(self.session().store, self.registry.catalogue, self.registry.now())
        except SyncdError as error:
            self.registry.on_event(BackupFailed("", f"audit: {error}"))

    async def _empty_quarantine(self) -> None:
        """Delete quarantined files past their retention, once a day."""
        registry, store = self.registry, self.session().store
        if registry.clock() - self._emptied < 86_400.0:
            return
        before = registry.now() - self.session().config.retention.quarantine
        async for stat in store.list(QUARANTINE):
            at = await self._quarantined_at(stat)
            if at is not None and at < before:
                await store.delete(stat.path)
        for row in registry.catalogue.history.mirrors():
            await self._forget_quarantined(row.id, before)
        for mirror_state in registry.states.values():
            registry.refresh(mirror_state)
        self._emptied = registry.clock()

    async def _forget_quarantined(self, mirror: int, before: float) -> None:
        """Delete the records of files that were quarantined earlier, a part at a time."""
        pass_history = self.registry.catalogue.pass_history
        with suppress_damage():
            while old := pass_history.quarantined_before(mirror, before):
                for place in old:
                    pass_history.forget_quarantined(mirror, place)
                await next_turn()
        await next_turn()

    async def _quarantined_at(self, stat: Stat) -> float | None:
        """Return when a file was quarantined, or None if unknown.

        A copy keeps the modification time of its original, so the file of its reason dates it if that is newer.
        """
        place = stat.path.removesuffix(REASON)
        catalogue, written = self.registry.catalogue, None
        row = catalogue.history.mirror(place.removeprefix(QUARANTINE).partition("/")[0])
        if row is not None:
            with suppress_damage():
                written = catalogue.pass_history.quarantined_at(row.id, place)
        if written is not None or stat.modified is None or place != stat.path:
            return written if written is not None else stat.modified
        try:
            reason = await self.session().store.stat(place + REASON)
        except NotFound:
            return stat.modified
        return max(stat.modified, reason.modified or stat.modified)

    async def back_up(self) -> None:
        """Back the Catalogue up to the store, if a backup is due."""
        registry, session = self.registry, self.session()
        settings = session.config.backup
        if settings.keep == 0 or registry.clock() - self._failed < BACKUP_AGAIN:
            return
        began = registry.clock()
        try:
            if registry.store.backup is None:
                known = await backups(session.store)
                registry.store.backup = known[0].at if known else None
            last = registry.store.backup
            if last is not None and 0 <= registry.now() - last < settings.every:
                return
            backup, size = await back_up(session.store, self.reader, session.spool, registry.now)
            await prune(session.store, settings.keep)
        except SyncdError as error:
            self._failed = registry.clock()
            registry.on_event(BackupFailed("", str(error)))
        except OSError as error:
            self._failed = registry.clock()
            registry.on_event(BackupFailed("", f"{session.spool}: {error.strerror}"))
        else:
            registry.store.backup = backup.at
            registry.on_event(BackupWritten("", backup.place, size, round(registry.clock() - began, 3)))
