"""Carries out the actions of operators, and writes each to the audit log, refused or not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manifests.messages import count, message
from syncd.catalogue import MirrorRow
from syncd.control import actor_of
from syncd.core import Audited, AuditView, Busy, NotFound, SyncdError
from syncd.daemon.control_base import ControlBase
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.reasons import because
from syncd.engine import PassPaths, Publisher, Restoration, Tagging, approve_losses, find_snapshot, unknown_mirror


class OperatorActions(ControlBase):
    """The actions on one mirror."""

    async def sync(self, name: str, who: str) -> AuditView:
        """Request a pass; it starts as soon as there is room."""
        mirror_state = self._standing(name)
        state, why = self._registry.state(mirror_state)
        if state in {"paused", "offline", "rejected", "retired"}:
            raise self._refused(who, "sync", name, message("{name}: cannot be synced now: {why}", name=name, why=why))
        if mirror_state.run is not None:
            return self._written(who, "sync", name, message("a pass is under way already"))
        mirror_state.requested_by = str(who) or "somebody"
        self._registry.wake.set()
        return self._written(who, "sync", name, message("a pass begins as soon as there is room"))

    async def pause(self, name: str, who: str) -> AuditView:
        """Start no pass of this mirror until it is resumed."""
        mirror_state = self._standing(name)
        if mirror_state.declared is None:
            raise self._refused(who, "pause", name, message("{name}: no manifest of it is in force", name=name))
        if mirror_state.paused is not None:
            return self._written(
                who, "pause", name, message("was paused by {paused} already", paused=mirror_state.paused[0])
            )
        mirror, history = mirror_state.declared.mirror, self._registry.catalogue.history
        row = mirror_state.row or history.ensure_row(mirror)
        mirror_state.row, mirror_state.paused, mirror_state.requested_by = row, (str(who), self._registry.now()), ""
        self._registry.catalogue.pass_history.pause(row.id, str(who), self._registry.now())
        return self._written(who, "pause", name, message("paused"))

    async def resume(self, name: str, who: str) -> AuditView:
        """End a pause."""
        mirror_state = self._standing(name)
        if mirror_state.paused is None or mirror_state.row is None:
            return self._written(who, "resume", name, message("was not paused"))
        self._registry.catalogue.pass_history.resume(mirror_state.row.id)
        mirror_state.paused = None
        self._registry.wake.set()
        return self._written(who, "resume", name, message("resumed"))

    async def approve(self, name: str, who: str) -> AuditView:
        """Approve exactly the losses held now, and request a pass."""
        mirror_state, row = self._holding(name, who, "approve")
        needed = mirror_state.declared.mirror.guard.approvals if mirror_state.declared is not None else 1
        actor, now = actor_of(who), self._registry.now()
        try:
            found = approve_losses(self._registry.catalogue, row.id, needed, str(who), actor.marks, now)
        except Busy as error:
            raise self._refused(who, "approve", name, str(error)) from error
        self._registry.refresh(mirror_state)
        if found.missing:
            return self._written(who, "approve", name, found.outcome)
        if mirror_state.paused is None and mirror_state.declared is not None:
            mirror_state.requested_by = str(who) or "somebody"
        self._registry.wake.set()
        return self._written(who, "approve", name, found.outcome)

    async def reject(self, name: str, who: str) -> AuditView:
        """Reject exactly the losses held now: the copy keeps these files as they are."""
        mirror_state, row = self._holding(name, who, "reject")
        number = self._registry.catalogue.approvals.reject(row.id, str(who), self._registry.now())
        self._registry.refresh(mirror_state)
        self._registry.wake.set()
        return self._written(who, "reject", name, count(number, "{n} loss rejected", "{n:,} losses rejected"))

    def _holding(self, name: str, who: str, what: str) -> tuple[MirrorState, MirrorRow]:
        """Return a mirror whose losses can be decided on now. Raises Busy."""
        mirror_state = self._standing(name)
        if mirror_state.row is None or not mirror_state.parked:
            raise self._refused(who, what, name, message("{name}: nothing is held for approval", name=name))
        if mirror_state.run is not None:
            raise self._refused(
                who,
                what,
                name,
                message("{name}: a pass is running; decide after its end on the losses that it holds", name=name),
            )
        return mirror_state, mirror_state.row

    async def unpin(self, name: str, path: str, who: str) -> AuditView:
        """Release a restored file: the next pass follows upstream again."""
        row = self._standing(name).row
        approvals = self._registry.catalogue.approvals
        if row is None or path not in approvals.pinned(row.id):
            reason = message("{path}: is not pinned in {mirror}", path=path, mirror=name)
            self._written(who, "unpin", name, message("refused: {reason}", reason=reason))
            raise NotFound(reason)
        approvals.unpin(row.id, [path])
        self._registry.refresh(self._standing(name))
        return self._written(who, "unpin", name, message("{path} is unpinned", path=path))

    async def restore(self, name: str, path: str, snapshot: str, who: str) -> AuditView:
        """Restore a file as a kept snapshot has it, and pin it."""
        mirror_state, failed = self._standing(name), list[SyncdError]()
        row = mirror_state.row
        try:
            if row is None:
                raise unknown_mirror(name)
            with self._scheduler.reserve(mirror_state, because("waits.restore")):
                session = self._session()
                place = PassPaths(row.name, row.prefix, f"restore-{time.time_ns():x}")
                publisher = Publisher(
                    session.store,
                    session.catalogue,
                    row,
                    place,
                    self._registry.on_event,
                    session.retention(name),
                    self._registry.now,
                    lambda _path, error: failed.append(error),
                    await asyncio.to_thread(session.signer, name),
                )
                current = await Restoration(
                    session.store, session.catalogue, row, place, publisher, session.hashing, self._registry.now
                ).restore([path], snapshot)
                if failed:
                    raise failed[0]
        except SyncdError as error:
            self._written(who, "restore", name, message("failed: {error}", error=error))
            raise
        self._registry.refresh(mirror_state)
        outcome = message("{path} is restored; snapshot {snapshot}", path=path, snapshot=current.id[:12])
        return self._written(who, "restore", name, outcome)

    async def tag(self, name: str, snapshot: str, tag: str, who: str) -> AuditView:
        """Name a kept snapshot: it is kept with its bytes until the tag is removed."""
        async with self._tagging(name, who, "tag") as tagging:
            found = find_snapshot(tagging.catalogue, tagging.mirror, snapshot)
            made = await tagging.tag(found.id, tag, str(who))
        outcome = message("snapshot {snapshot} is {tag}", snapshot=made.snapshot[:12], tag=made.name)
        return self._written(who, "tag", name, outcome)

    async def untag(self, name: str, tag: str, who: str) -> AuditView:
        """Remove a tag."""
        async with self._tagging(name, who, "untag") as tagging:
            await tagging.untag(tag)
        return self._written(who, "untag", name, message("the tag {tag} is removed", tag=tag))

    @asynccontextmanager
    async def _tagging(self, name: str, who: str, what: str) -> AsyncIterator[Tagging]:
        """Keep passes of the mirror out of the block, and write to the audit log if it fails."""
        mirror_state = self._standing(name)
        try:
            if mirror_state.row is None:
                raise unknown_mirror(name)
            with self._scheduler.reserve(mirror_state, because("waits.restore")):
                session = self._session()
                yield Tagging(session.store, session.catalogue, mirror_state.row, self._registry.now)
        except SyncdError as error:
            self._written(who, what, name, message("failed: {error}", error=error))
            raise

    async def cancel(self, name: str, who: str) -> AuditView:
        """Stop the running pass."""
        mirror_state = self._standing(name)
        if mirror_state.run is None:
            raise self._refused(who, "cancel", name, message("{name}: no pass is under way", name=name))
        mirror_state.run.stop(because("stops.asked", who=str(who)), str(who) or "somebody")
        return self._written(who, "cancel", name, message("stops, and publishes its proved files"))

    def _written(self, who: str, what: str, name: str, outcome: str) -> AuditView:
        entry = self._registry.catalogue.pass_history.add_audit(
            at=self._registry.now(),
            who=str(who),
            door=actor_of(who).door,
            what=what,
            mirror=name,
            outcome=outcome,
            details=actor_of(who).details,
        )
        self._registry.on_event(Audited(name, str(who), what, outcome, entry.id, entry.hash))
        return entry

    def _refused(self, who: str, what: str, name: str, reason: str) -> SyncdError:
        self._written(who, what, name, message("refused: {reason}", reason=reason))
        return Busy(reason)
