"""One Pass over one Mirror: survey, plan, transfer, publish, keep house.

Rules:
1. One failed file is a value: it is recorded, told, and the others go on. A bug is an exception and stops the pass.
2. An incomplete inventory removes nothing. Removals over the guard are parked, all of them, before the first one.
3. Asked to stop, a pass starts nothing new, ends or stages what is in flight, publishes what is proved, and says so.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from manifests.document import Reader
from manifests.mirror import Mirror, matcher
from manifests.stat import Stat
from manifests.stats import Stats, paths_of
from syncd.budget import Budget, Room
from syncd.catalogue import Catalogue, Failure, Row, Swap
from syncd.errors import Exists, NoSpace, Offline, PermanentError, SyncdError, TransientError, Unsafe
from syncd.events import (
    DocumentFailed,
    Listener,
    PassFinished,
    Planned,
    RemovalsParked,
    SurveyStarted,
    TransferFailed,
    TransferFinished,
    TransferStarted,
    nobody,
)
from syncd.folds import Folds, collisions
from syncd.keep import Housekeeping
from syncd.made import Spool, WithMade
from syncd.marks import Marks
from syncd.plan import Counts, OutOfOrder, Planner, Step
from syncd.ports import Page, Store, Transport
from syncd.publish import Publisher
from syncd.survey import Inventory, Survey, see
from syncd.transfer import Place, Proved, Quarantined, Transfers, error_name
from syncd.workers import SMALL, WORTH, Lost, Pool, Workers

T = TypeVar("T")

IN_FLIGHT = 256 << 20  # bytes under way at once: the window of operations' memory formula
FILES = 192  # files under way at once: three for each slot, so that storing one never starves fetching another
BATCH_FILES = 256  # proved files recorded in one transaction ...
BATCH_BYTES = 32 << 20  # ... or this many bytes of them: what a kill may cost again
SORTED_UP_TO = 200_000  # steps that are sorted, the largest first, so that the last ones are short
RESERVE = 0.02  # of the bytes to move, left free on a store: the room for the snapshot's own files


@dataclass(frozen=True, slots=True)
class Work:
    """All that a pass works with; composed in `syncd.registry`."""

    mirror: Mirror
    reader: Reader
    source: Transport
    store: Store
    catalogue: Catalogue
    hashing: Executor
    spool: Path
    listener: Listener = nobody
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ceiling: int = 64
    pool: Pool | None = None
    """Worker processes for small files, where there are very many."""
    budget: Room = field(default_factory=lambda: Budget(IN_FLIGHT, FILES))
    free: Callable[[], Awaitable[int | None]] | None = None
    """Bytes that this pass may fill; absent: all that the store has left."""


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


@dataclass(slots=True)
class Planning:
    """A Plan whose steps stand in the Catalogue."""

    counts: Counts
    inventory: Inventory
    parked: str = ""


async def make_plan(work: Work, row: Row) -> Planning:
    """Ask upstream, and write the steps down. Raises what makes the source unreachable."""
    survey = _begin(work, row)
    if getattr(work.reader, "native", False):
        try:
            planning = await _plan_listing(work, row, survey)
        except OutOfOrder:  # this server sorts otherwise: collect first
            work.catalogue.claims.forget(row.id)
            planning = await _plan_claims(work, row, survey, await _collect(work, survey))
    else:
        mark = _marks(work, row).trusted()
        inventory = await _read(work, row, survey, mark.value if mark is not None else "")
        planning = await _plan_claims(work, row, survey, inventory)
    counts = planning.counts
    planning.parked = _judge_removals(work, row, counts) if planning.inventory.complete else ""
    work.listener(
        Planned(
            work.mirror.name,
            counts.fetch,
            counts.replace,
            counts.keep,
            counts.remove,
            counts.refuse,
            counts.bytes,
            planning.inventory.complete,
        )
    )
    return planning


async def take_stock(work: Work, row: Row) -> tuple[Inventory, Iterator[Stat]]:
    """Ask upstream, and return what it has, sorted by path."""
    survey = _begin(work, row)
    native = getattr(work.reader, "native", False)
    inventory = await _collect(work, survey) if native else await _read(work, row, survey)
    return inventory, work.catalogue.claims.all(row.id)


def _begin(work: Work, row: Row) -> Survey:
    work.listener(SurveyStarted(work.mirror.name))
    if getattr(work.reader, "native", False):
        work.catalogue.claims.forget(row.id)
    else:
        work.catalogue.claims.drop_steps(row.id)  # the survey may go on with the claims of one that was killed
    return Survey(
        mirror=work.mirror.name,
        mirror_id=row.id,
        transport=work.source,
        claims=work.catalogue.claims,
        questions=work.catalogue.questions,
        wants=matcher(work.mirror.source.include, work.mirror.source.exclude),
        listener=work.listener,
        spool=work.spool,
        made=Spool(work.spool / f"{work.mirror.name}.made"),
        key=work.mirror.source.model_dump_json(by_alias=True),
        now=work.now,
    )


async def _read(work: Work, row: Row, survey: Survey, mark: str = "") -> Inventory:
    inventory = await survey.take(work.reader, mark)
    await see(survey, inventory, lambda after, limit: work.catalogue.claims.blind(row.id, after, limit))
    survey.end()
    return inventory


def _marks(work: Work, row: Row) -> Marks:
    return Marks(work.catalogue.history, row, work.mirror.source.model_dump_json(), work.now)


async def _plan_listing(work: Work, row: Row, survey: Survey) -> Planning:
    """Merge a listing that arrives sorted against what we hold, and write down only what differs."""
    inventory, planner, folds = Inventory(), _planner(work, row), Folds(work.catalogue.claims.folds(row.id))
    try:
        async with aclosing(survey.listed()) as pages:
            async for page in pages:
                inventory.files += len(page)
                inventory.documents += 1
                _merge(work, row, planner, page)
                folds.add(paths_of(page))
    except SyncdError as error:
        if inventory.documents == 0:
            raise
        _broke_off(work, inventory, error)
    return await _planned(work, row, planner, inventory, folds)


async def _collect(work: Work, survey: Survey) -> Inventory:
    """Collect a listing that arrives in no promised order."""
    inventory = Inventory()
    try:
        async with aclosing(survey.listed()) as pages:
            async for page in pages:
                survey.claims.add(survey.mirror_id, page)
                inventory.files += len(page)
                inventory.documents += 1
    except SyncdError as error:
        if inventory.documents == 0:
            raise
        _broke_off(work, inventory, error)
    return inventory


def _broke_off(work: Work, inventory: Inventory, error: SyncdError) -> None:
    inventory.failed.append((work.mirror.source.url, str(error)))
    work.listener(DocumentFailed(work.mirror.name, work.mirror.source.url, str(error)))


async def _plan_claims(work: Work, row: Row, survey: Survey, inventory: Inventory) -> Planning:
    """Merge the collected claims against what we hold."""
    planner, folds = _planner(work, row), Folds(work.catalogue.claims.folds(row.id))
    for page in _pages(survey.claims.all(row.id)):
        _merge(work, row, planner, page)
        folds.add(paths_of(page))
        await asyncio.sleep(0)
    return await _planned(work, row, planner, inventory, folds)


def _planner(work: Work, row: Row) -> Planner:
    return Planner(
        work.catalogue.holdings.known(row.id),
        published=work.mirror.verify.require == "published",
        pinned=work.catalogue.history.pinned(row.id),
    )


async def _planned(work: Work, row: Row, planner: Planner, inventory: Inventory, folds: Folds) -> Planning:
    if inventory.complete:
        for page in _pages(planner.finish()):
            _write(work, row, page)
    counts = planner.counts
    if suspects := folds.suspects():
        found = list(collisions(work.catalogue.claims.held_paths(row.id), suspects))
        refused = [(path, f"differs from {other!r} only in case or Unicode form") for path, other in found]
        work.catalogue.claims.refuse(row.id, refused)
        counts.fetch -= len(refused)
        counts.refuse += len(refused)
    return Planning(counts, inventory)


def _merge(work: Work, row: Row, planner: Planner, page: Page) -> None:
    """Let the planner decide on a page, and write down what differs."""
    if isinstance(page, Stats) and planner.takes_as_new(page):
        work.catalogue.claims.add_new(row.id, page)
    else:
        _write(work, row, planner.feed(page))


def _write(work: Work, row: Row, steps: list[Step]) -> None:
    if steps:
        work.catalogue.claims.add_steps(row.id, steps)


def _pages(rows: Iterator[T]) -> Iterator[list[T]]:
    while page := list(islice(rows, 5000)):
        yield page


def _judge_removals(work: Work, row: Row, counts: Counts) -> str:
    """Return why the removals must be parked, or "" if they may happen."""
    if counts.remove == 0:
        return ""
    files, size = work.catalogue.holdings.totals(row.id)
    approved = work.catalogue.history.approved(row.id)
    removals = [(s.path, s.bytes) for s in work.catalogue.claims.steps(row.id, "remove") if s.path not in approved]
    if not removals:
        return ""
    reason = work.mirror.guard.holds(len(removals), sum(count for _, count in removals), files, size)
    if reason is None:
        return ""
    work.catalogue.history.park(row.id, removals)
    work.listener(RemovalsParked(work.mirror.name, len(removals), sum(count for _, count in removals), reason))
    return reason


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
        planning = await make_plan(work, row)
        self._refuse(row)
        await self._fetch(await self._strays() if recovering else frozenset(), planning.inventory.made)
        stopped = work.stopping.is_set()
        if planning.inventory.complete and not stopped and self.no_space is None:
            self._remove(row, planning)
        snapshot = await publisher.publish()
        complete = planning.inventory.complete and not stopped and self.failed == 0 and self.no_space is None
        result = self._result(snapshot.id, complete=complete, kept=planning.counts.keep)
        if planning.inventory.complete and not stopped:
            work.catalogue.history.forget_failures(row.id, started)
        if complete and not self.parked:
            _marks(work, row).set(planning.inventory.mark, snapshot.id, is_part=planning.inventory.is_part)
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

    # -- transfers ------------------------------------------------------------------------------------------------

    async def _fetch(self, strays: frozenset[str], made: Spool | None) -> None:
        work, row = self.work, self.row
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
            snapshot=row.snapshot,
            by=work.mirror.source.url,
        )
        budget = work.budget
        await self._room()
        count = work.catalogue.claims.count(row.id, "fetch", "replace")
        steps = work.catalogue.claims.steps(row.id, "fetch", "replace", largest_first=count <= SORTED_UP_TO)
        try:
            async with self._workers(made) as workers, asyncio.TaskGroup() as group:
                for step in steps:
                    assert step.stat is not None
                    cost = transfers.cost(step.stat)
                    await budget.take(cost)
                    if work.stopping.is_set() or self.no_space is not None:
                        budget.give(cost)
                        break
                    group.create_task(self._one(transfers, workers, step, budget, cost))
        finally:
            self._write_down()
        if made is not None:
            await made.drop()

    @asynccontextmanager
    async def _workers(self, made: Spool | None) -> AsyncIterator[Workers | None]:
        """Start workers if there are small files enough for them; made files lie where only we can read."""
        pool = self.work.pool
        if (
            pool is None
            or made is not None
            or pool.count < 2
            or self.work.catalogue.claims.count_small(self.row.id, SMALL) < WORTH
        ):
            yield None
            return
        async with pool.at_work(self.place, self.work.mirror.source.url) as workers:
            yield workers

    async def _moved(self, transfers: Transfers, workers: Workers | None, step: Step) -> Proved:
        """Have a file moved by whoever it is for."""
        if workers is not None and workers.takes(step) and not transfers.knows(step.path):
            with suppress(Lost, Exists):  # it ended, or cannot tell what lies there: we can
                return await workers.transfer(step)
        return await transfers.transfer(step)

    async def _one(self, transfers: Transfers, workers: Workers | None, step: Step, budget: Room, cost: int) -> None:
        work = self.work
        assert step.stat is not None
        began = work.clock()
        work.listener(TransferStarted(work.mirror.name, step.path, step.stat.size, step.stat.modified))
        try:
            proved = await self._moved(transfers, workers, step)
        except (NoSpace, Offline) as error:
            self.no_space = error
        except (TransientError, PermanentError) as error:
            self._fail(step, error)
        else:
            entry = proved.entry
            self.moved += entry.size
            self.batch.append(proved)
            self.batch_bytes += entry.size
            if len(self.batch) >= BATCH_FILES or self.batch_bytes >= BATCH_BYTES:
                self._write_down()
            work.listener(
                TransferFinished(
                    work.mirror.name,
                    entry.path,
                    entry.size,
                    proved.origin.verdict,
                    proved.replaces,
                    work.clock() - began,
                    proved.origin.modified,
                )
            )
        finally:
            budget.give(cost)

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
