"""Carries out the transfers of a plan: here, and in worker processes if many files are small."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from manifests.messages import message
from manifests.reading import Reader, installed
from manifests.stat import Stat
from syncd.catalogue import LocalCopy, Swap
from syncd.core import (
    CredentialRefused,
    Exists,
    NoSpace,
    NotFound,
    PermanentError,
    SeveralSources,
    Step,
    TransferStarted,
    TransientError,
    capability,
    in_slices,
    next_turn,
)
from syncd.engine.claim_changes import changed, known_of
from syncd.engine.inventory import Inventory
from syncd.engine.local_copies import LocalCopies
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_results import PassResults
from syncd.engine.quarantine import QuarantineRoom
from syncd.engine.quarantine_bounds import quarantine_limit
from syncd.engine.signed_links import SignedLinks
from syncd.engine.transfer import Transfers, own_targets
from syncd.engine.verified_file import VerifiedFile
from syncd.engine.worker_port import SMALL, WORTH, ActiveTransfer, WorkerLost, Workers
from syncd.streams import Spool
from syncd.wrappers import DerivedFileTransport

SORTED_UP_TO = 200_000  # steps that are taken by size, the largest first, so that the last ones are short
RESERVE = 0.02  # share of the bytes to move that must stay free for the snapshot's own files


class PassTransfers:
    """The transfers of one pass."""

    def __init__(self, results: PassResults) -> None:
        """Record the results of all transfers in `results`."""
        self.results = results
        self.context = results.context
        self.row = results.row
        self.place = results.place
        self.quarantine_room = QuarantineRoom(self._quarantine_limit)
        self.without_workers = False  # whose credential was rejected
        self.waiting: dict[str, Swap] = {}
        self.staged: dict[str, Swap] = {}

    async def run(self, strays: frozenset[str], inventory: Inventory) -> None:
        """Transfer what the plan fetches and replaces; `strays` are files that a killed pass has stored."""
        context, row, results, made = self.context, self.row, self.results, inventory.made
        several = capability(context.source, SeveralSources)
        links = self._signed_links(several)
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
            by=_promised_by(context, inventory),
            targets=several.targets if several is not None else own_targets,
            links=links,
        )
        copies = LocalCopies(transfers, context.catalogue)
        budget, held = context.budget, context.catalogue.held
        has_copies = held.count_planned(row.name) > 0
        await self._require_space()
        count = context.catalogue.claims.count(row.id, "fetch", "replace")
        self.waiting = {swap.path: swap for swap in context.catalogue.journal.failed_swaps(row.id)}
        self.staged = context.catalogue.staged.all(row.id) if context.catalogue.staged.any(row.id) else {}
        async with self._recorded_group() as group:

            def ourselves(moving: ActiveTransfer) -> None:
                group.create_task(self._transfer_one(transfers, moving))

            async with (
                self._workers(made, count, ourselves, links) as workers,
                aclosing(self._steps(count)) as steps,
            ):
                async for step in steps:
                    assert step.stat is not None
                    if self._waits(step) or (results.has_deferred and results.is_deferred(step, step.stat)):
                        continue
                    if self.staged and await self._is_staged(step, step.stat):
                        continue
                    copy = held.planned(row.name, step.path) if has_copies else None
                    needs_source = copy is None or copy.sampled
                    if (
                        needs_source
                        and results.expired is not None
                        and results.needs_expired(transfers.targets(step.stat))
                    ):
                        results.unasked += 1
                        continue
                    cost = transfers.cost(step.stat)
                    await budget.acquire(cost)
                    if context.stopping.is_set() or results.no_space is not None:
                        budget.release(cost)
                        break
                    moving = self._begin(links.refreshed(step), cost)
                    if copy is not None:
                        group.create_task(self._copy_one(copies, moving, copy))
                    elif (
                        workers is not None
                        and not self.without_workers
                        and workers.accepts(step)
                        and not transfers.has_leftovers(step.path)
                    ):
                        workers.submit(moving)
                    else:
                        ourselves(moving)
                if workers is not None:
                    await workers.join()
        await results.identical.discard()
        results.report_archived()
        if made is not None:
            await made.drop()

    @asynccontextmanager
    async def _recorded_group(self) -> AsyncIterator[asyncio.TaskGroup]:
        """Yield the group of the transfers, whose results are recorded meanwhile."""
        with ExitStack() as recording:
            async with asyncio.TaskGroup() as group:

                def schedule(work: Coroutine[Any, Any, None]) -> None:
                    try:
                        group.create_task(work)
                    except RuntimeError:  # the group is failing; the rest is recorded at its end
                        work.close()

                recording.enter_context(self.results.recording(schedule))
                yield group

    async def _steps(self, count: int) -> AsyncGenerator[Step, None]:
        """Yield the `count` steps that transfer a file; other passes go on between parts of them."""
        claims, number = self.context.catalogue.claims, self.row.id
        if count > SORTED_UP_TO:
            async with aclosing(in_slices(claims.steps(number, "fetch", "replace"))) as parts:
                async for part in parts:
                    for step in part:
                        yield step
            return
        for part in claims.by_size(number):
            for step in part:
                yield step
            await next_turn()

    @asynccontextmanager
    async def _workers(
        self, made: Spool | None, count: int, ourselves: Callable[[ActiveTransfer], None], links: SignedLinks
    ) -> AsyncIterator[Workers | None]:
        """Start workers if enough of `count` files are small; derived files are readable in this process only.

        `ourselves` transfers the files that a worker could not.
        """
        pool = self.context.pool
        if (
            pool is None
            or made is not None
            or (lanes := pool.concurrency) <= 1
            or (small := self._count_small()) < WORTH
        ):
            if pool is not None:
                await pool.aclose()  # started for a plan that does not need them
            yield None
            return

        def on_done(moving: ActiveTransfer, outcome: VerifiedFile | TransientError | PermanentError) -> None:
            stat = moving.step.stat
            has_ended = isinstance(outcome, PermanentError) and stat is not None and links.may_renew(stat, outcome)
            if isinstance(outcome, CredentialRefused):  # this process reads the secret again, a worker cannot
                self.without_workers = True
                ourselves(moving)
            elif has_ended or isinstance(outcome, WorkerLost | Exists):  # a link, the worker, or an unknown file
                ourselves(moving)
            else:
                self.results.end(moving, outcome)

        if small < count:
            lanes //= 2  # this process transfers the larger ones, at the same time
        url, room = self.context.mirror.source.url, self.quarantine_room
        async with pool.running(self.place, url, on_done, lanes, room) as workers:
            yield workers

    def _count_small(self) -> int:
        """Return the number of small files to download."""
        catalogue, row = self.context.catalogue, self.row
        return catalogue.claims.count_small(row.id, SMALL) - catalogue.held.count_planned(row.name, SMALL)

    def _signed_links(self, several: SeveralSources | None) -> SignedLinks:
        context, source = self.context, self.context.mirror.sources[several.active if several is not None else 0]

        def open_reader() -> Reader:
            return installed()[source.reader].opened(source, datetime.fromtimestamp(context.now(), UTC).date())

        return SignedLinks(context.catalogue.links, self.row.id, context.source, open_reader, context.spool)

    async def _quarantine_limit(self) -> int:
        return await quarantine_limit(self.context, self.row, self.results.moved)

    def _begin(self, step: Step, cost: int) -> ActiveTransfer:
        context, stat = self.context, step.stat
        assert stat is not None
        context.listener(TransferStarted(context.mirror.name, step.path, stat.size, stat.modified))
        return ActiveTransfer(step, cost, context.clock())

    async def _transfer_one(self, transfers: Transfers, moving: ActiveTransfer) -> None:
        try:
            proved = await transfers.transfer(moving.step)
        except (TransientError, PermanentError) as error:
            self.results.end(moving, error)
        else:
            self.results.end(moving, proved)

    async def _copy_one(self, copies: LocalCopies, moving: ActiveTransfer, copy: LocalCopy) -> None:
        """Copy held content, or download the file if that does not lead to it."""
        try:
            proved = await copies.copy(moving.step, copy)
        except (TransientError, PermanentError) as error:
            self.results.end(moving, error)
            return
        if proved is None:
            await self._transfer_one(copies.transfers, moving)
        else:
            self.results.end(moving, proved)

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
        held = self.context.catalogue.holdings.entry(self.row.id, step.path)
        swap = self.results.swap(proved, held[0] if held is not None else None)
        self.context.catalogue.staged.add(self.row.id, self.place.pass_id, [swap])
        return True

    def _waits(self, step: Step) -> bool:
        """Return True if what upstream has now is in the store already, and only its place cannot be taken."""
        if step.action != "replace" or not self.waiting:
            return False
        assert step.stat is not None
        swap = self.waiting.get(step.path)
        return swap is not None and changed(known_of(swap.entry, swap.origin), step.stat) is None

    async def _require_space(self) -> None:
        """Raise NoSpace before the first byte if the plan cannot fit."""
        context = self.context
        free = await (context.free or context.store.free)()
        claims = context.catalogue.claims
        wanted = claims.bytes_to_move(self.row.id)
        if free is not None and wanted * (1 + RESERVE) > free:
            wanted = claims.bytes_to_move(self.row.id, context.mirror.source.limits.max_file)  # larger ones fail alone
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


def _promised_by(context: PassContext, inventory: Inventory) -> str:
    """Return whose checksums are compared; "" if they prove nothing: a node whose head no trusted key signed."""
    listed_by = inventory.elsewhere or context.mirror.source.url
    head = inventory.head
    if head is None:
        return listed_by
    source = next((one for one in context.mirror.sources if one.url == listed_by), context.mirror.source)
    return f"node:{head.node} (head {head.seq})" if getattr(source.options, "keys", ()) else ""
