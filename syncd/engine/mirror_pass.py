"""Runs one Pass over one Mirror: survey, plan, transfers, publish, retention.

Rules:
1. One failed file is a value: it is recorded and reported, and the others continue. A bug is an exception and stops
   the pass.
2. An incomplete Inventory deletes nothing. If the losses exceed the guard, all of them are held for approval.
3. A stopped pass starts no more transfers, completes or stages those in flight, publishes verified files, and reports
   that it was stopped.
"""

import secrets

import msgspec

from manifests.messages import message, plain
from syncd.catalogue import MirrorRow
from syncd.core import Event, PassFinished, PermanentError, SurveyAdvanced, Unsafe, in_slices, next_turn
from syncd.engine.agreed_plan import AgreedPlan
from syncd.engine.build_plan import PlanResult, cursor_of, make_plan
from syncd.engine.file_modes import apply_modes
from syncd.engine.head_states import note_survey
from syncd.engine.losses import AT_ONCE, approved_deletions, evaluate_losses
from syncd.engine.nothing_found import require_files
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.pass_results import PassResults
from syncd.engine.pass_transfers import PassTransfers
from syncd.engine.publish import Publisher
from syncd.engine.quarantine_bounds import bound_quarantine, quarantine_limit
from syncd.engine.retention import Housekeeping
from syncd.engine.snapshot_hold import require_no_hold
from syncd.engine.staging import drop_unjournaled
from syncd.engine.strays import find_strays, note_recovered, note_recovering, quarantine_strays
from syncd.engine.worker_port import LIKELY
from syncd.wrappers import stopping

REFUSED = 16  # refused files that are reported in one turn of the event loop: each is a transaction


class Pass:
    """One pass over one mirror."""

    def __init__(self, context: PassContext, agreed: AgreedPlan | None = None) -> None:
        """Prepare; `run` makes the first request. With an agreed plan, it does exactly that, or nothing."""
        self.context = context
        self.agreed = agreed
        mirror = context.mirror
        self.row = context.catalogue.history.ensure_declared(mirror)
        self.place = PassPaths(mirror.name, mirror.prefix, secrets.token_hex(8))
        self.began = context.clock()
        self.results = PassResults(context, self.row, self.place)
        self.replaced = self.removed = self.parked = 0

    async def run(self) -> PassFinished:
        """Run the pass, and return its result. Raises if source or store are unavailable, or there is no space."""
        token = stopping.set(self.context.stopping)
        try:
            return await self._run()
        finally:
            stopping.reset(token)
            self.context.catalogue.end_plan(self.row.id)

    async def _run(self) -> PassFinished:
        context, row, results = self.context, self.row, self.results
        require_no_hold(context.catalogue.settings, row.name)
        started = context.now()
        is_recovering = note_recovering(context.catalogue, row)
        context.catalogue.history.attempt(row.id, started)
        context.catalogue.history.finish(row.id, succeeded=None, last={"state": "running", "began": started})
        publisher = Publisher(
            context.store,
            context.catalogue,
            row,
            self.place,
            context.listener,
            context.mirror.keep,
            context.now,
            self._on_unmoved,
            context.heads,
        )
        if await publisher.finish() is not None:  # what a crash left half done
            self.row = row = self._current_row()
            results.failed = 0  # the files that could not be moved are tried again, and counted, at the end
        await drop_unjournaled(context.store, context.catalogue, row, self.place)
        await apply_modes(context.store, context.catalogue, context.mirror, started, context.stopping.is_set)
        planning = await make_plan(msgspec.structs.replace(context, listener=self._on_survey_event), row)
        if planning.inventory.complete:
            await require_files(context, row, planning)
        if self.agreed is not None:
            await self._require_agreed(row, planning)
        await self._refuse(row)
        self._drop_unwanted_swaps(planning)
        strays = await find_strays(context, row, self.place) if is_recovering else frozenset()
        await PassTransfers(results).run(strays, planning.inventory)
        stopped = context.stopping.is_set()
        inventory = planning.inventory
        is_over = not stopped and results.no_space is None and results.expired is None
        # another source leads to no deletion: held and approved deletions wait for the first one
        shows_all = inventory.complete and not inventory.elsewhere
        moved = await self._evaluate(planning, complete=shows_all, over=is_over)
        if shows_all and is_over:
            await self._remove(row, planning, moved)
            await self._drop_outdated()
            if is_recovering and await quarantine_strays(context, row, self.place, strays):
                note_recovered(context.catalogue, row)
        note_survey(context.catalogue.settings, row.name, inventory, started)
        snapshot = await publisher.publish()
        complete = planning.inventory.complete and is_over and results.failed == 0
        result = self._result(snapshot.id, complete=complete, planning=planning)
        if planning.inventory.complete and not stopped and results.expired is None:
            context.catalogue.failures.forget_before(row.id, started)
            if results.has_deferred:
                context.catalogue.deferred.forget_unclaimed(row.id)
            if results.has_doubts:
                for _ in context.catalogue.doubts.forgetting_unheld(row.id):
                    await next_turn()
        if complete and not self.parked and not result.waiting and not planning.inventory.elsewhere:
            cursor_of(context, row).save(planning.inventory.mark, snapshot.id, is_part=planning.inventory.is_part)
        context.catalogue.history.finish(
            row.id,
            succeeded=context.now() if complete else None,
            last={"state": "done", **msgspec.to_builtins(result, enc_hook=plain)},
        )
        await Housekeeping(
            context.store, context.catalogue, self._current_row(), self.place, context.mirror.keep, context.now
        ).run()
        if results.quarantined:
            await bound_quarantine(context.store, context.catalogue, await quarantine_limit(context, row))
        context.listener(result)
        if results.no_space is not None:
            raise results.no_space
        if results.expired is not None:
            raise results.waits_for(results.expired)
        return result

    async def _require_agreed(self, row: MirrorRow, planning: PlanResult) -> None:
        assert self.agreed is not None
        try:
            await self.agreed.require(self.context, row, planning)
        except PermanentError as error:
            last = {"state": "plan_outdated", "reason": str(error)}
            self.context.catalogue.history.finish(row.id, succeeded=None, last=last)
            raise

    def _current_row(self) -> MirrorRow:
        row = self.context.catalogue.history.mirror(self.row.name)
        assert row is not None
        return row

    def _on_survey_event(self, event: Event) -> None:
        """Start workers during the survey, if a mirror's first survey will probably find enough files for them."""
        pool, is_first = self.context.pool, not self.row.snapshot
        if isinstance(event, SurveyAdvanced) and event.files >= LIKELY and pool is not None and is_first:
            pool.prepare()
        self.context.listener(event)

    def _on_unmoved(self, path: str, error: PermanentError) -> None:
        """Report a file whose place in the store could not be taken or left; all others are moved."""
        if self.context.catalogue.journal.swap(self.row.id, path) is not None:
            self.replaced = max(0, self.replaced - 1)
        self.results.fail(path, error)

    def _drop_unwanted_swaps(self, planning: PlanResult) -> None:
        """Forget replacements that waited in vain, and that upstream no longer has."""
        catalogue, row = self.context.catalogue, self.row
        waiting = {swap.path for swap in catalogue.journal.failed_swaps(row.id)}
        if waiting and planning.inventory.complete:
            waiting.difference_update(step.path for step in catalogue.claims.steps(row.id, "replace"))
            catalogue.journal.end_swaps(row.id, waiting)

    async def _refuse(self, row: MirrorRow) -> None:
        """Report refused files as failed, with the reason."""
        async for part in in_slices(self.context.catalogue.claims.steps(row.id, "refuse"), REFUSED):
            for step in part:
                error = Unsafe(message("{path}: {reason}", path=step.path, reason=step.reason))
                self.results.fail(step.path, error, step.stat)

    async def _drop_outdated(self) -> None:
        """Delete staged replacements that upstream no longer has, or that were rejected."""
        staged, store = self.context.catalogue.staged, self.context.store
        for swap in staged.outdated(self.row.id, self.place.pass_id):
            await store.delete(swap.staged)
            staged.forget(self.row.id, [swap.path])

    async def _evaluate(self, planning: PlanResult, *, complete: bool, over: bool) -> frozenset[str]:
        """Let the staged replacements swap, unless the guard holds what the pass would lose.

        Return the deleted files whose content stays under other names: they are removed even if others are held.
        """
        context, row, approvals = self.context, self.row, self.context.catalogue.approvals
        judged = await evaluate_losses(
            context,
            row,
            self.place.pass_id,
            planning.parked,
            complete=complete,
            over=over,
            added=(self.results.fetched, self.results.fetched_bytes),
        )
        self.replaced, planning.parked = judged.replaced, judged.reason
        if planning.parked:
            parked, replacements = approvals.count_parked(row.id)
            self.parked = parked if complete else replacements
        elif over:
            approvals.park(row.id, [], deletions=complete)
        return judged.moved

    async def _remove(self, row: MirrorRow, planning: PlanResult, moved: frozenset[str]) -> None:
        """Remove files that upstream no longer lists from the next snapshot, unless the guard holds their deletion.

        They were judged as a whole. They are recorded in parts, between which other passes go on; if the process ends
        before the last part, those that were recorded are published, and the next pass removes the others.
        """
        catalogue, at, self.removed = self.context.catalogue, self.context.now(), 0
        steps = catalogue.claims.steps(row.id, "remove")
        if planning.parked:
            is_approved = approved_deletions(self.context, row)
            steps = (step for step in steps if step.path in moved or is_approved(step))
        async for part in in_slices(steps, AT_ONCE):
            catalogue.holdings.remove(row.id, [step.path for step in part], at)
            self.removed += len(part)
        catalogue.approvals.spend_approval(row.id)

    def _result(self, snapshot: str, *, complete: bool, planning: PlanResult) -> PassFinished:
        return PassFinished(
            mirror=self.context.mirror.name,
            snapshot=snapshot,
            complete=complete,
            fetched=self.results.fetched,
            replaced=self.replaced,
            kept=planning.counts.keep + self.results.identical.count,
            removed=self.removed,
            parked=self.parked,
            failed=self.results.failed,
            bytes=self.results.moved,
            seconds=round(self.context.clock() - self.began, 3),
            unmatched=planning.inventory.unmatched,
            waiting=planning.counts.wait,
            copied=self.results.copied,
            copied_bytes=self.results.copied_bytes,
        )
