"""Runs one Pass over one Mirror: survey, plan, transfers, publish, retention.

Rules:
1. One failed file is a value: it is recorded and reported, and the others continue. A bug is an exception and stops
   the pass.
2. An incomplete Inventory deletes nothing. If the losses exceed the guard, all of them are held for approval.
3. A stopped pass starts no more transfers, completes or stages those in flight, publishes verified files, and reports
   that it was stopped.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from manifests.messages import message, plain
from manifests.stat import Stat
from syncd.catalogue import FailedFile, MirrorRow, Swap
from syncd.core import (
    Event,
    Exists,
    LeaseLost,
    Mismatch,
    NoSpace,
    NotFound,
    Offline,
    PassFinished,
    PermanentError,
    SeveralSources,
    Step,
    SurveyAdvanced,
    SyncdError,
    TooLarge,
    TransferFailed,
    TransferFinished,
    TransferStarted,
    TransientError,
    Unsafe,
    capability,
)
from syncd.engine.build_plan import PlanResult, cursor_of, make_plan
from syncd.engine.inventory import Inventory
from syncd.engine.losses import approved_deletions, evaluate_staged
from syncd.engine.nothing_found import require_files
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.planner import changed, known_of
from syncd.engine.publish import Publisher
from syncd.engine.quarantine import Quarantined, QuarantineRoom
from syncd.engine.quarantine_bounds import bound_quarantine, quarantine_limit
from syncd.engine.retention import Housekeeping
from syncd.engine.staging import drop_unjournaled
from syncd.engine.transfer import Transfers, error_name, own_targets
from syncd.engine.verified_file import VerifiedFile
from syncd.engine.worker_port import LIKELY, SMALL, WORTH, ActiveTransfer, WorkerLost, Workers
from syncd.streams import Spool
from syncd.wrappers import DerivedFileTransport

T = TypeVar("T")

BATCH_FILES = 256  # verified files recorded in one transaction ...
BATCH_BYTES = 32 << 20  # ... or this many of their bytes: the most that a kill can lose
SORTED_UP_TO = 200_000  # steps that are sorted, the largest first, so that the last ones are short
RESERVE = 0.02  # share of the bytes to move that must stay free for the snapshot's own files


class Pass:
    """One pass over one mirror."""

    def __init__(self, context: PassContext) -> None:
        """Prepare; `run` makes the first request."""
        self.context = context
        mirror = context.mirror
        self.row = context.catalogue.history.ensure_declared(mirror)
        self.place = PassPaths(mirror.name, mirror.prefix, secrets.token_hex(8))
        self.began = context.clock()
        self.fetched = self.replaced = self.failed = self.removed = self.parked = self.moved = 0
        self.batch: list[VerifiedFile] = []
        self.batch_bytes = 0
        self.no_space: NoSpace | Offline | LeaseLost | None = None
        self.quarantine_room = QuarantineRoom()
        self.quarantined = 0
        self.has_deferred = context.catalogue.deferred.any(self.row.id)
        self.waiting: dict[str, Swap] = {}
        self.staged: dict[str, Swap] = {}

    async def run(self) -> PassFinished:
        """Run the pass, and return its result. Raises if source or store are unavailable, or there is no space."""
        context, row = self.context, self.row
        started = context.now()
        recovering = row.last.get("state") == "running"
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
        )
        if await publisher.finish() is not None:  # what a crash left half done
            self.row = row = self._current_row()
            self.failed = 0  # the files that could not be moved are tried again, and counted, at the end
        await drop_unjournaled(context.store, context.catalogue, row, self.place)
        planning = await make_plan(msgspec.structs.replace(context, listener=self._on_survey_event), row)
        if planning.inventory.complete:
            require_files(context, row, planning)
        self._refuse(row)
        self._drop_unwanted_swaps(planning)
        await self._fetch(await self._strays() if recovering else frozenset(), planning.inventory)
        stopped = context.stopping.is_set()
        inventory = planning.inventory
        is_over = not stopped and self.no_space is None
        # another source leads to no deletion: held and approved deletions wait for the first one
        shows_all = inventory.complete and not inventory.elsewhere
        self._evaluate(planning, complete=shows_all, over=is_over)
        if shows_all and is_over:
            self._remove(row, planning)
            await self._drop_outdated()
        snapshot = await publisher.publish()
        complete = planning.inventory.complete and not stopped and self.failed == 0 and self.no_space is None
        result = self._result(snapshot.id, complete=complete, kept=planning.counts.keep)
        if planning.inventory.complete and not stopped:
            context.catalogue.failures.forget_before(row.id, started)
            if self.has_deferred:
                context.catalogue.deferred.forget_unclaimed(row.id)
        if complete and not self.parked and not planning.inventory.elsewhere:
            cursor_of(context, row).save(planning.inventory.mark, snapshot.id, is_part=planning.inventory.is_part)
        context.catalogue.history.finish(
            row.id,
            succeeded=context.now() if complete else None,
            last={"state": "done", **msgspec.to_builtins(result, enc_hook=plain)},
        )
        await Housekeeping(
            context.store, context.catalogue, self._current_row(), self.place, context.mirror.keep, context.now
        ).run()
        if self.quarantined:
            await bound_quarantine(context.store, context.catalogue, await self._quarantine_limit())
        context.listener(result)
        if self.no_space is not None:
            raise self.no_space
        return result

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

    # -- transfers ------------------------------------------------------------------------------------------------

    async def _fetch(self, strays: frozenset[str], inventory: Inventory) -> None:
        context, row, made = self.context, self.row, inventory.made
        several = capability(context.source, SeveralSources)
        transfers = Transfers(
            source=DerivedFileTransport(context.source, made.path) if made is not None else context.source,
            store=context.store,
            place=self.place,
            journal=context.catalogue.journal,
            mirror_id=row.id,
            listener=context.listener,
            hashing=context.hashing,
            now=context.now,
            strays=strays,
            begun=context.catalogue.journal.all_inflight(row.id),
            ceiling=context.ceiling,
            most=context.mirror.source.limits.max_file,
            quarantine_room=self.quarantine_room,
            by=inventory.elsewhere or context.mirror.source.url,
            targets=several.targets if several is not None else own_targets,
        )
        budget = context.budget
        await self._require_space()
        self.quarantine_room.left = await self._quarantine_limit()
        count = context.catalogue.claims.count(row.id, "fetch", "replace")
        self.waiting = {swap.path: swap for swap in context.catalogue.journal.failed_swaps(row.id)}
        self.staged = context.catalogue.staged.all(row.id) if context.catalogue.staged.any(row.id) else {}
        steps = context.catalogue.claims.steps(row.id, "fetch", "replace", largest_first=count <= SORTED_UP_TO)
        try:
            async with asyncio.TaskGroup() as group:

                def ourselves(moving: ActiveTransfer) -> None:
                    group.create_task(self._transfer_one(transfers, moving))

                async with self._workers(made, count, ourselves) as workers:
                    for step in steps:
                        assert step.stat is not None
                        if self._waits(step) or (self.has_deferred and self._is_deferred(step, step.stat)):
                            continue
                        if self.staged and await self._is_staged(step, step.stat):
                            continue
                        cost = transfers.cost(step.stat)
                        await budget.acquire(cost)
                        if context.stopping.is_set() or self.no_space is not None:
                            budget.release(cost)
                            break
                        moving = self._begin(step, cost)
                        if workers is not None and workers.accepts(step) and not transfers.has_leftovers(step.path):
                            workers.submit(moving)
                        else:
                            ourselves(moving)
                    if workers is not None:
                        await workers.join()
        finally:
            self._flush_batch()
        if made is not None:
            await made.drop()

    @asynccontextmanager
    async def _workers(
        self, made: Spool | None, count: int, ourselves: Callable[[ActiveTransfer], None]
    ) -> AsyncIterator[Workers | None]:
        """Start workers if enough of `count` files are small; derived files are readable in this process only.

        `ourselves` transfers the files that a worker could not.
        """
        pool = self.context.pool
        if (
            pool is None
            or made is not None
            or (lanes := pool.concurrency) <= 1
            or (small := self.context.catalogue.claims.count_small(self.row.id, SMALL)) < WORTH
        ):
            if pool is not None:
                await pool.aclose()  # started for a plan that does not need them
            yield None
            return

        def on_done(moving: ActiveTransfer, outcome: VerifiedFile | TransientError | PermanentError) -> None:
            if isinstance(outcome, WorkerLost | Exists):  # the worker ended, or found an unknown file: transfer it here
                ourselves(moving)
            else:
                self._end(moving, outcome)

        if small < count:
            lanes //= 2  # this process transfers the larger ones, at the same time
        async with pool.running(self.place, self.context.mirror.source.url, on_done, lanes) as workers:
            yield workers

    def _begin(self, step: Step, cost: int) -> ActiveTransfer:
        context, stat = self.context, step.stat
        assert stat is not None
        context.listener(TransferStarted(context.mirror.name, step.path, stat.size, stat.modified))
        return ActiveTransfer(step, cost, context.clock())

    async def _transfer_one(self, transfers: Transfers, moving: ActiveTransfer) -> None:
        try:
            proved = await transfers.transfer(moving.step)
        except (TransientError, PermanentError) as error:
            self._end(moving, error)
        else:
            self._end(moving, proved)

    def _end(self, moving: ActiveTransfer, outcome: VerifiedFile | TransientError | PermanentError) -> None:
        """Record the result of a transfer."""
        context = self.context
        context.budget.release(moving.cost)
        if isinstance(outcome, NoSpace | Offline | LeaseLost):
            self.no_space = outcome
        elif isinstance(outcome, SyncdError):
            self._fail(moving.step.path, outcome, moving.step.stat)
        else:
            self._arrived(outcome, context.clock() - moving.began)

    def _arrived(self, proved: VerifiedFile, seconds: float) -> None:
        entry = proved.entry
        self.moved += entry.size
        self.batch.append(proved)
        self.batch_bytes += entry.size
        if len(self.batch) >= BATCH_FILES or self.batch_bytes >= BATCH_BYTES:
            self._flush_batch()
        self.context.listener(
            TransferFinished(
                self.context.mirror.name,
                entry.path,
                entry.size,
                proved.origin.verdict,
                proved.replaces,
                seconds,
                proved.origin.modified,
            )
        )

    def _flush_batch(self) -> None:
        """Record durable files, never earlier."""
        batch, self.batch, self.batch_bytes = self.batch, [], 0
        if not batch:
            return
        catalogue, row = self.context.catalogue, self.row
        fetched = [(proved.entry, proved.origin) for proved in batch if not proved.replaces]
        replaced = [proved for proved in batch if proved.replaces]
        if fetched:
            catalogue.holdings.add(row.id, fetched)
            self.fetched += len(fetched)
        if replaced:
            catalogue.staged.add(row.id, self.place.pass_id, [self._swap(proved) for proved in replaced])
        if self.has_deferred:
            for proved in batch:
                catalogue.deferred.forget(row.id, proved.entry.path)
        catalogue.journal.end_all(row.id, [proved.entry.path for proved in batch])

    def _swap(self, proved: VerifiedFile) -> Swap:
        entry = proved.entry
        held = self.context.catalogue.holdings.entry(self.row.id, entry.path)
        old_bytes, old_sha256 = (held[0].size, held[0].sha256) if held is not None else (0, "")
        return Swap(entry.path, proved.place, entry, proved.origin, old_bytes, old_sha256)

    async def _is_staged(self, step: Step, stat: Stat) -> bool:
        """Return True if an earlier pass has staged this version; the guard held it, or the pass was killed."""
        swap = self.staged.get(step.path)
        if step.action != "replace" or swap is None or changed(known_of(swap.entry, swap.origin), stat) is not None:
            return False
        try:
            await self.context.store.stat(swap.staged)
        except NotFound:
            return False
        proved = VerifiedFile(swap.entry, swap.origin, swap.staged, replaces=True)
        self.context.catalogue.staged.add(self.row.id, self.place.pass_id, [self._swap(proved)])
        return True

    def _fail(self, path: str, error: SyncdError, stat: Stat | None = None) -> None:
        context = self.context
        self.failed += 1
        quarantined = error.place if isinstance(error, Quarantined) else ""
        self.quarantined += bool(quarantined)
        kind = error_name(error)
        if isinstance(error, Mismatch | TooLarge) and stat is not None:
            context.catalogue.deferred.failed(self.row.id, stat, kind, str(error), quarantined, context.now())
        context.catalogue.failures.add(self.row.id, FailedFile(path, kind, str(error), context.now(), quarantined))
        context.listener(TransferFailed(context.mirror.name, path, str(error), kind, bool(quarantined)))

    def _on_unmoved(self, path: str, error: PermanentError) -> None:
        """Report a file whose place in the store could not be taken or left; all others are moved."""
        if self.context.catalogue.journal.swap(self.row.id, path) is not None:
            self.replaced = max(0, self.replaced - 1)
        self._fail(path, error)

    # -- replacements that wait for a place that cannot be taken --------------------------------------------------

    def _drop_unwanted_swaps(self, planning: PlanResult) -> None:
        """Forget replacements that waited in vain, and that upstream no longer has."""
        catalogue, row = self.context.catalogue, self.row
        waiting = {swap.path for swap in catalogue.journal.failed_swaps(row.id)}
        if waiting and planning.inventory.complete:
            waiting.difference_update(step.path for step in catalogue.claims.steps(row.id, "replace"))
            catalogue.journal.end_swaps(row.id, waiting)

    def _waits(self, step: Step) -> bool:
        """Return True if what upstream has now is in the store already, and only its place cannot be taken."""
        if step.action != "replace" or not self.waiting:
            return False
        assert step.stat is not None
        swap = self.waiting.get(step.path)
        return swap is not None and changed(known_of(swap.entry, swap.origin), step.stat) is None

    async def _quarantine_limit(self) -> int:
        snapshot = self.context.catalogue.history.current(self.row.id)
        held = snapshot.bytes if snapshot is not None else 0
        return await quarantine_limit(self.context.store, held, self.context.quarantine_share)

    def _is_deferred(self, step: Step, stat: Stat) -> bool:
        """Return True for a file that keeps failing verification and is not due yet; it is reported as failed."""
        context = self.context
        known = context.catalogue.deferred.get(self.row.id, stat)
        if known is None or known.due <= context.now() or context.retry_failed:
            return False
        self.failed += 1
        reason = message(
            "{reason}; failed {tries} times, requested again after {due} (at once: syncd sync --retry-failed)",
            reason=known.reason,
            tries=known.tries,
            due=datetime.fromtimestamp(known.due, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        failed = FailedFile(step.path, known.error, reason, context.now(), known.quarantined)
        context.catalogue.failures.add(self.row.id, failed)
        context.listener(TransferFailed(context.mirror.name, step.path, reason, known.error, bool(known.quarantined)))
        return True

    def _refuse(self, row: MirrorRow) -> None:
        """Report refused files as failed, with the reason."""
        for step in self.context.catalogue.claims.steps(row.id, "refuse"):
            self._fail(step.path, Unsafe(message("{path}: {reason}", path=step.path, reason=step.reason)), step.stat)

    async def _require_space(self) -> None:
        """Raise NoSpace before the first byte if the plan cannot fit."""
        context = self.context
        free = await (context.free or context.store.free)()
        wanted = context.catalogue.claims.bytes_to_move(self.row.id)
        if free is not None and wanted * (1 + RESERVE) > free:
            raise NoSpace(
                message(
                    "{name}: no room: {wanted} bytes to move, {free} free in the store: make room, or "
                    "mirror less (source.include, source.exclude)",
                    name=context.mirror.name,
                    wanted=wanted,
                    free=free,
                )
            )

    async def _strays(self) -> frozenset[str]:
        """Return the unrecorded files under the mirror's prefix, which a killed pass has stored."""
        prefix, holdings = self.place.prefix, self.context.catalogue.holdings
        strays = set()
        async for stat in self.context.store.list(prefix):
            path = stat.path.removeprefix(prefix)
            if holdings.entry(self.row.id, path) is None:
                strays.add(path)
        return frozenset(strays)

    async def _drop_outdated(self) -> None:
        """Delete staged replacements that upstream no longer has, or that were rejected."""
        staged, store = self.context.catalogue.staged, self.context.store
        for swap in staged.outdated(self.row.id, self.place.pass_id):
            await store.delete(swap.staged)
            staged.forget(self.row.id, [swap.path])

    # -- the end --------------------------------------------------------------------------------------------------

    def _evaluate(self, planning: PlanResult, *, complete: bool, over: bool) -> None:
        """Let the staged replacements swap, unless the guard holds what the pass would lose."""
        context, row, approvals = self.context, self.row, self.context.catalogue.approvals
        self.replaced, reason = evaluate_staged(context, row, self.place.pass_id, complete=complete, over=over)
        planning.parked = planning.parked or reason
        if planning.parked:
            parked, replacements = approvals.count_parked(row.id)
            self.parked = parked if complete else replacements
        elif over:
            approvals.park(row.id, [], deletions=complete)

    def _remove(self, row: MirrorRow, planning: PlanResult) -> None:
        """Remove files that upstream no longer lists from the next snapshot, unless the guard holds their deletion."""
        catalogue = self.context.catalogue
        steps = list(catalogue.claims.steps(row.id, "remove"))
        if planning.parked:
            steps = approved_deletions(self.context, row, steps)
        catalogue.holdings.remove(row.id, [step.path for step in steps], self.context.now())
        catalogue.approvals.spend_approval(row.id)
        self.removed = len(steps)

    def _result(self, snapshot: str, *, complete: bool, kept: int) -> PassFinished:
        return PassFinished(
            mirror=self.context.mirror.name,
            snapshot=snapshot,
            complete=complete,
            fetched=self.fetched,
            replaced=self.replaced,
            kept=kept,
            removed=self.removed,
            parked=self.parked,
            failed=self.failed,
            bytes=self.moved,
            seconds=round(self.context.clock() - self.began, 3),
        )
