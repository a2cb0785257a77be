"""One Pass over one Mirror: survey, plan, transfer, publish, keep house.

Rules:
1. One failed file is a value: it is recorded, told, and the others go on. A bug is an exception and stops the pass.
2. An incomplete inventory removes nothing. Removals over the guard are parked, all of them, before the first one.
3. Asked to stop, a pass starts nothing new, ends or stages what is in flight, publishes what is proved, and says so.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from manifests.snapshot import Entry
from syncd.catalogue import Failure, Row, Swap
from syncd.core.errors import Exists, NoSpace, Offline, PermanentError, SyncdError, TransientError, Unsafe
from syncd.core.events import (
    Event,
    PassFinished,
    SurveyAdvanced,
    TransferFailed,
    TransferFinished,
    TransferStarted,
)
from syncd.core.steps import Step
from syncd.engine.build_plan import Planning, make_plan, marks_of
from syncd.engine.pass_context import Work
from syncd.engine.publish import Publisher
from syncd.engine.retention import Housekeeping, Kept, put_aside
from syncd.engine.survey import Inventory
from syncd.engine.transfer import Place, Proved, Quarantined, Transfers, error_name, own_targets
from syncd.engine.worker_port import LIKELY, SMALL, WORTH, Lost, Moving, Workers
from syncd.streams.derived_files import Spool, WithMade

T = TypeVar("T")

BATCH_FILES = 256  # proved files recorded in one transaction ...
BATCH_BYTES = 32 << 20  # ... or this many bytes of them: what a kill may cost again
SORTED_UP_TO = 200_000  # steps that are sorted, the largest first, so that the last ones are short
RESERVE = 0.02  # of the bytes to move, left free on a store: the room for the snapshot's own files


class Result(msgspec.Struct, frozen=True):
    """How a pass ended; the object that `syncd sync --json` prints last."""

    mirror: str
    snapshot: str
    complete: bool
    fetched: int
    replaced: int
    kept: int
    removed: int
    parked: int
    failed: int
    bytes: int
    seconds: float


class Pass:
    """One run over one mirror."""

    def __init__(self, work: Work) -> None:
        """Prepare; nothing is asked or written before `run`."""
        self.work = work
        mirror = work.mirror
        self.row = work.catalogue.history.enrol(
            mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
        )
        self.place = Place(mirror.name, mirror.prefix, secrets.token_hex(8))
        self.began = work.clock()
        self.fetched = self.replaced = self.failed = self.removed = self.parked = self.moved = 0
        self.batch: list[Proved] = []
        self.batch_bytes = 0
        self.no_space: NoSpace | Offline | None = None

    async def run(self) -> Result:
        """Return how it went. Raises what keeps a pass from being one: source or store away, no space, a bug."""
        work, row = self.work, self.row
        started = work.now()
        recovering = row.last.get("state") == "running"
        work.catalogue.history.attempt(row.id, started)
        work.catalogue.history.finish(row.id, succeeded=None, last={"state": "running", "began": started})
        publisher = Publisher(
            work.store, work.catalogue, row, self.place, work.listener, work.mirror.keep.versions, work.now
        )
        await publisher.swap()  # what a crash left half done
        if recovering:
            await self._drop_staged()
        planning = await make_plan(msgspec.structs.replace(work, listener=self._hear_survey), row)
        self._refuse(row)
        await self._fetch(await self._strays() if recovering else frozenset(), planning.inventory)
        stopped = work.stopping.is_set()
        inventory = planning.inventory
        # of what another source lists nothing is removed: parked removals and their approval wait for the first one
        if inventory.complete and not inventory.elsewhere and not stopped and self.no_space is None:
            self._remove(row, planning)
        snapshot = await publisher.publish()
        complete = planning.inventory.complete and not stopped and self.failed == 0 and self.no_space is None
        result = self._result(snapshot.id, complete=complete, kept=planning.counts.keep)
        if planning.inventory.complete and not stopped:
            work.catalogue.history.forget_failures(row.id, started)
        if complete and not self.parked and not planning.inventory.elsewhere:
            marks_of(work, row).set(planning.inventory.mark, snapshot.id, is_part=planning.inventory.is_part)
        work.catalogue.history.finish(
            row.id, succeeded=work.now() if complete else None, last={"state": "done", **msgspec.to_builtins(result)}
        )
        await Housekeeping(
            work.store,
            work.catalogue,
            self.work.catalogue.history.enrol(row.name, prefix=row.prefix, title=row.title, source=row.source),
            self.place,
            work.mirror.keep.versions,
            work.mirror.keep.removed,
            work.now,
        ).run()
        self._tell(result)
        if self.no_space is not None:
            raise self.no_space
        return result

    def _hear_survey(self, event: Event) -> None:
        """Let workers start while the rest is read, where a mirror's first survey will find files enough for them."""
        pool, is_first = self.work.pool, not self.row.snapshot
        if isinstance(event, SurveyAdvanced) and event.files >= LIKELY and pool is not None and is_first:
            pool.prepare()
        self.work.listener(event)

    # -- transfers ------------------------------------------------------------------------------------------------

    async def _fetch(self, strays: frozenset[str], inventory: Inventory) -> None:
        work, row, made = self.work, self.row, inventory.made
        transfers = Transfers(
            source=WithMade(work.source, made.path) if made is not None else work.source,
            store=work.store,
            place=self.place,
            holdings=work.catalogue.holdings,
            journal=work.catalogue.history,
            mirror_id=row.id,
            listener=work.listener,
            hashing=work.hashing,
            now=work.now,
            strays=strays,
            begun=work.catalogue.history.all_inflight(row.id),
            ceiling=work.ceiling,
            put_aside=self._put_aside(),
            by=inventory.elsewhere or work.mirror.source.url,
            targets=getattr(work.source, "targets", own_targets),
        )
        budget = work.budget
        await self._room()
        count = work.catalogue.claims.count(row.id, "fetch", "replace")
        steps = work.catalogue.claims.steps(row.id, "fetch", "replace", largest_first=count <= SORTED_UP_TO)
        try:
            async with asyncio.TaskGroup() as group:

                def ourselves(moving: Moving) -> None:
                    group.create_task(self._one(transfers, moving))

                async with self._workers(made, count, ourselves) as workers:
                    for step in steps:
                        assert step.stat is not None
                        cost = transfers.cost(step.stat)
                        await budget.take(cost)
                        if work.stopping.is_set() or self.no_space is not None:
                            budget.give(cost)
                            break
                        moving = self._begin(step, cost)
                        if workers is not None and workers.takes(step) and not transfers.knows(step.path):
                            workers.hand(moving)
                        else:
                            ourselves(moving)
                    if workers is not None:
                        await workers.drained()
        finally:
            self._write_down()
        if made is not None:
            await made.drop()

    def _put_aside(self) -> Callable[[Entry], Awaitable[None]]:
        """Return what keeps the bytes of a removed file that comes back with others."""
        work, mirror, place = self.work, self.row.id, self.place
        named = Kept(work.store, self.row.name, work.catalogue.history.snapshots(mirror))
        holdings = work.catalogue.holdings
        return lambda entry: put_aside(named, holdings, mirror, place, entry.path, entry.size, entry.sha256, work.now())

    @asynccontextmanager
    async def _workers(
        self, made: Spool | None, count: int, ourselves: Callable[[Moving], None]
    ) -> AsyncIterator[Workers | None]:
        """Start workers if there are small files enough for them among `count`; made files lie where only we can read.

        `ourselves` moves what a worker could not.
        """
        pool = self.work.pool
        if (
            pool is None
            or made is not None
            or (lanes := pool.lanes) <= 1
            or (small := self.work.catalogue.claims.count_small(self.row.id, SMALL)) < WORTH
        ):
            if pool is not None:
                await pool.aclose()  # prepared for a plan that has no use for them
            yield None
            return

        def told(moving: Moving, outcome: Proved | TransientError | PermanentError) -> None:
            if isinstance(outcome, Lost | Exists):  # it ended, or cannot tell what lies there: we can
                ourselves(moving)
            else:
                self._end(moving, outcome)

        if small < count:
            lanes //= 2  # the larger ones are ours to move, at the same time
        async with pool.at_work(self.place, self.work.mirror.source.url, told, lanes) as workers:
            yield workers

    def _begin(self, step: Step, cost: int) -> Moving:
        work, stat = self.work, step.stat
        assert stat is not None
        work.listener(TransferStarted(work.mirror.name, step.path, stat.size, stat.modified))
        return Moving(step, cost, work.clock())

    async def _one(self, transfers: Transfers, moving: Moving) -> None:
        try:
            proved = await transfers.transfer(moving.step)
        except (TransientError, PermanentError) as error:
            self._end(moving, error)
        else:
            self._end(moving, proved)

    def _end(self, moving: Moving, outcome: Proved | TransientError | PermanentError) -> None:
        """Take note of what became of a file."""
        work = self.work
        work.budget.give(moving.cost)
        if isinstance(outcome, NoSpace | Offline):
            self.no_space = outcome
        elif isinstance(outcome, SyncdError):
            self._fail(moving.step, outcome)
        else:
            self._arrived(outcome, work.clock() - moving.began)

    def _arrived(self, proved: Proved, seconds: float) -> None:
        entry = proved.entry
        self.moved += entry.size
        self.batch.append(proved)
        self.batch_bytes += entry.size
        if len(self.batch) >= BATCH_FILES or self.batch_bytes >= BATCH_BYTES:
            self._write_down()
        self.work.listener(
            TransferFinished(
                self.work.mirror.name,
                entry.path,
                entry.size,
                proved.origin.verdict,
                proved.replaces,
                seconds,
                proved.origin.modified,
            )
        )

    def _write_down(self) -> None:
        """Write down what is durable: never before it is."""
        batch, self.batch, self.batch_bytes = self.batch, [], 0
        if not batch:
            return
        catalogue, row = self.work.catalogue, self.row
        fetched = [(proved.entry, proved.origin) for proved in batch if not proved.replaces]
        replaced = [proved for proved in batch if proved.replaces]
        if fetched:
            catalogue.holdings.enter(row.id, fetched)
            self.fetched += len(fetched)
        for proved in replaced:
            self._replace(proved)
        catalogue.history.end_all(row.id, [proved.entry.path for proved in batch])

    def _replace(self, proved: Proved) -> None:
        catalogue, row, entry = self.work.catalogue, self.row, proved.entry
        held = catalogue.holdings.entry(row.id, entry.path)
        old = held[0] if held is not None else entry
        catalogue.history.add_swap(row.id, Swap(entry.path, proved.place, entry, proved.origin, old.size, old.sha256))
        self.replaced += 1

    def _fail(self, step: Step, error: SyncdError) -> None:
        work = self.work
        self.failed += 1
        quarantined = error.place if isinstance(error, Quarantined) else ""
        kind = error_name(error)
        work.catalogue.history.fail(self.row.id, Failure(step.path, kind, str(error), work.now(), quarantined))
        work.listener(TransferFailed(work.mirror.name, step.path, str(error), kind, bool(quarantined)))

    def _refuse(self, row: Row) -> None:
        """Say of each refused file why, as of any that fails."""
        for step in self.work.catalogue.claims.steps(row.id, "refuse"):
            self._fail(step, Unsafe(f"{step.path}: {step.reason}"))

    async def _room(self) -> None:
        """Raise NoSpace before the first byte if the plan cannot fit."""
        work = self.work
        free = await (work.free or work.store.free)()
        wanted = work.catalogue.claims.bytes_to_move(self.row.id)
        if free is not None and wanted * (1 + RESERVE) > free:
            raise NoSpace(
                f"{work.mirror.name}: no room: {wanted} bytes to move, {free} free in the store: "
                "make room, or mirror less (source.include, source.exclude)"
            )

    async def _strays(self) -> frozenset[str]:
        """Return what lies under our prefix unrecorded: a pass that was killed had stored it."""
        prefix, holdings = self.place.prefix, self.work.catalogue.holdings
        strays = set()
        async for stat in self.work.store.list(prefix):
            path = stat.path.removeprefix(prefix)
            if holdings.entry(self.row.id, path) is None:
                strays.add(path)
        return frozenset(strays)

    async def _drop_staged(self) -> None:
        """Drop replacements that were stored but not journaled when a pass was killed."""
        async for stat in self.work.store.list(f".syncd/staged/{self.work.mirror.name}/"):
            await self.work.store.delete(stat.path)

    # -- the end --------------------------------------------------------------------------------------------------

    def _remove(self, row: Row, planning: Planning) -> None:
        """Take what upstream no longer lists out of the next snapshot, unless the guard holds it back."""
        catalogue = self.work.catalogue
        approved = catalogue.history.approved(row.id)
        steps = list(catalogue.claims.steps(row.id, "remove"))
        if planning.parked:
            self.parked = sum(step.path not in approved for step in steps)
            steps = [step for step in steps if step.path in approved]
        else:
            catalogue.history.park(row.id, [])
        catalogue.holdings.remove(row.id, [step.path for step in steps], self.work.now())
        catalogue.history.spend_approval(row.id)
        self.removed = len(steps)

    def _result(self, snapshot: str, *, complete: bool, kept: int) -> Result:
        return Result(
            mirror=self.work.mirror.name,
            snapshot=snapshot,
            complete=complete,
            fetched=self.fetched,
            replaced=self.replaced,
            kept=kept,
            removed=self.removed,
            parked=self.parked,
            failed=self.failed,
            bytes=self.moved,
            seconds=round(self.work.clock() - self.began, 3),
        )

    def _tell(self, result: Result) -> None:
        values = msgspec.structs.asdict(result)
        del values["snapshot"]
        self.work.listener(PassFinished(**values))
