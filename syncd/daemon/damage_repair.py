"""Repairs the files that the fixity check found damaged.

A repair stores proved bytes and quarantines the damaged ones; the last copy is never deleted.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import msgspec

from manifests.messages import chained
from syncd.catalogue import DamagedFile
from syncd.core import ConfigError, DamageMended, DamageStays, Offline, PermanentError, TransientError, Transport
from syncd.daemon.fixity_check import DIFFER, FixityCheck
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState, contain_damage
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.reasons import because
from syncd.daemon.schedule import opens_in
from syncd.engine import Fault, Finding, PassPaths, Report, Verification
from syncd.session import Session

MEND_AGAIN = 3_600.0  # seconds between two attempts at a repair


class DamageRepair:
    """Repairs damaged files while no pass of their mirror runs."""

    def __init__(
        self, registry: MirrorRegistry, scheduler: PassScheduler, session: Callable[[], Session], check: FixityCheck
    ) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.scheduler = scheduler
        self.session = session
        self.check = check

    async def repair(self) -> None:
        """Repair damaged files, mirror by mirror."""
        if not self.session().config.scrub.mend:
            return
        for mirror_state in [one for one in self.registry.states.values() if one.faults]:
            if self.registry.store.state != "online" or self.scheduler.draining or mirror_state.row is None:
                return
            with contain_damage(mirror_state):
                await self._repair_mirror(mirror_state, mirror_state.row.id)

    async def _repair_mirror(self, mirror_state: MirrorState, mirror: int) -> None:
        """Repair the damaged files of one mirror."""
        now = self.registry.now()
        faults = [
            fault
            for fault in self.registry.catalogue.pass_history.damaged(mirror)
            if fault.tried is None or abs(now - fault.tried) >= MEND_AGAIN
        ]
        if not faults or mirror_state.run is not None or mirror_state.busy:
            return
        with self.scheduler.reserve(mirror_state, because("waits.repair")):
            left = [fault for fault in faults if await self._is_repairable(mirror_state, fault)]
            if left:
                await self._repair(mirror_state, left)
            self.registry.refresh(mirror_state)

    async def _is_repairable(self, mirror_state: MirrorState, fault: DamagedFile) -> bool:
        try:
            return not await self._needs_no_repair(mirror_state, fault)
        except Offline:
            raise
        except TransientError:  # unreadable now: the file stays recorded as damaged
            assert mirror_state.row is not None
            tried = msgspec.structs.replace(fault, tried=self.registry.now())
            self.registry.catalogue.pass_history.add_damage(mirror_state.row.id, tried)
            return False

    async def _needs_no_repair(self, mirror_state: MirrorState, fault: DamagedFile) -> bool:
        """Return True if a damaged file is intact now, no longer exists, or must not be repaired."""
        pass_history, row = self.registry.catalogue.pass_history, mirror_state.row
        assert row is not None
        entry = self.check.entry(mirror_state, fault.path)
        if entry is None:
            return True
        place = row.prefix + fault.path
        if await self.check.inspect(place, entry) is None and await self.check.inspect(place, entry) is None:
            pass_history.forget_damage(row.id, fault.path)
            self.registry.catalogue.holdings.check(row.id, [fault.path], self.registry.now())
            self.registry.on_event(DamageMended(mirror_state.name, fault.path))
            return True
        if fault.reason.endswith(DIFFER):
            pass_history.add_damage(row.id, msgspec.structs.replace(fault, tried=self.registry.now()))
            return True
        return False

    async def _repair(self, mirror_state: MirrorState, faults: list[DamagedFile]) -> None:
        registry, session, row = self.registry, self.session(), mirror_state.row
        assert row is not None
        place = PassPaths(row.name, row.prefix, f"scrub-{secrets.token_hex(6)}")
        report = Report(
            row.name, row.snapshot, faults=[Fault(one.path, cast("Finding", one.finding), one.reason) for one in faults]
        )
        try:
            async with self._source(mirror_state) as source:
                await Verification(
                    session.store,
                    registry.catalogue,
                    row,
                    place,
                    session.hashing,
                    lambda *_: None,
                    source,
                    registry.now,
                ).repair(report)
        except (ConfigError, PermanentError, TransientError) as error:  # its source cannot be opened
            report.faults = [
                msgspec.structs.replace(one, reason=chained((one.reason, str(error)))) for one in report.faults
            ]
        for damage, fault in zip(faults, report.faults, strict=True):
            if fault.repaired:
                registry.catalogue.pass_history.forget_damage(row.id, fault.path)
                registry.catalogue.holdings.check(row.id, [fault.path], registry.now())
                mirror_state.mended += 1
                registry.on_event(DamageMended(mirror_state.name, fault.path))
            else:
                registry.catalogue.pass_history.add_damage(
                    row.id, msgspec.structs.replace(damage, tried=registry.now())
                )
                registry.on_event(DamageStays(mirror_state.name, fault.path, fault.reason))

    @asynccontextmanager
    async def _source(self, mirror_state: MirrorState) -> AsyncIterator[Transport | None]:
        """Open the source of a mirror; yields None if it has no manifest in force or its window is closed."""
        declared = mirror_state.declared
        if declared is None or opens_in(declared.mirror, self.registry.now()) > 0:
            yield None
            return
        async with self.session().source(declared.mirror) as source:
            yield source
