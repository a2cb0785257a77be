"""Makes a Plan: asks upstream, merges what it says with what we hold, and writes the steps into the Catalogue."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from itertools import islice
from typing import TypeVar

import msgspec

from manifests.model.mirror import matcher
from manifests.reading.stat_page import Stats, paths_of
from manifests.stat import Stat
from syncd.catalogue import Row
from syncd.core.errors import Damaged, NoSpace, Offline, PermanentError, SyncdError, TransientError
from syncd.core.events import (
    DocumentFailed,
    Planned,
    RemovalsParked,
    SurveyAdvanced,
    SurveyStarted,
)
from syncd.core.ports import Page, SeveralSources
from syncd.core.steps import Step
from syncd.engine.pass_context import Work
from syncd.engine.path_collisions import Folds, collisions
from syncd.engine.planner import Counts, OutOfOrder, Planner
from syncd.engine.survey import Inventory, Survey, see
from syncd.engine.survey_cursor import Marks
from syncd.streams.derived_files import Spool

T = TypeVar("T")


class Planning(msgspec.Struct):
    """A Plan whose steps stand in the Catalogue."""

    counts: Counts
    inventory: Inventory
    parked: str = ""


async def make_plan(work: Work, row: Row) -> Planning:
    """Ask upstream, and write the steps down. Raises what makes the source unreachable.

    Where the mirror has several sources and the first does not answer, the next one is asked. It may be behind, so what
    it has is only added: nothing is replaced or removed by its word.
    """
    sources = work.source
    if not isinstance(sources, SeveralSources):
        return await _make_plan(work, row)
    for number, reader in enumerate((work.reader, *work.others)):
        sources.lead = number
        mirror = work.mirror.model_copy(update={"sources": (work.mirror.sources[number],)})
        try:
            return await _make_plan(
                msgspec.structs.replace(work, mirror=mirror, reader=reader), row, elsewhere=number > 0
            )
        except (TransientError, PermanentError) as error:
            if number == len(work.others) or isinstance(error, NoSpace | Offline | Damaged):
                raise
            sources.failed(number)
            after = f"{error}: asking {work.mirror.sources[number + 1].url} instead"
            work.listener(DocumentFailed(work.mirror.name, work.mirror.sources[number].url, after))
    raise AssertionError  # a mirror has a source


async def _make_plan(work: Work, row: Row, *, elsewhere: bool = False) -> Planning:
    survey = _begin(work, row)
    if getattr(work.reader, "native", False):
        try:
            planning = await _plan_listing(work, row, survey, elsewhere=elsewhere)
        except OutOfOrder:  # this server sorts otherwise: collect first
            work.catalogue.claims.forget(row.id)
            planning = await _plan_claims(work, row, survey, await _collect(work, survey), elsewhere=elsewhere)
    else:
        mark = marks_of(work, row).trusted() if not elsewhere else None
        inventory = await _read(work, row, survey, mark.value if mark is not None else "")
        planning = await _plan_claims(work, row, survey, inventory, elsewhere=elsewhere)
    counts = planning.counts
    if elsewhere:
        planning.inventory.elsewhere = work.mirror.source.url
        counts.remove = counts.remove_bytes = 0
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


def marks_of(work: Work, row: Row) -> Marks:
    """Return how far the mirror's source was read, for readers that can go on from there."""
    return Marks(work.catalogue.history, row, work.mirror.source.model_dump_json(), work.now)


async def _plan_listing(work: Work, row: Row, survey: Survey, *, elsewhere: bool = False) -> Planning:
    """Merge a listing that arrives sorted against what we hold, and write down only what differs."""
    inventory, planner, folds = (
        Inventory(),
        _planner(work, row, adding=elsewhere),
        Folds(work.catalogue.claims.folds(row.id)),
    )
    try:
        async with aclosing(survey.listed()) as pages:
            async for page in pages:
                _count(work, inventory, page)
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
                _count(work, inventory, page)
    except SyncdError as error:
        if inventory.documents == 0:
            raise
        _broke_off(work, inventory, error)
    return inventory


def _count(work: Work, inventory: Inventory, page: Page) -> None:
    """Take note of a page of a listing, and tell how far it has come; how many there will be nobody knows."""
    inventory.files += len(page)
    inventory.documents += 1
    work.listener(SurveyAdvanced(work.mirror.name, inventory.documents, inventory.documents, inventory.files))


def _broke_off(work: Work, inventory: Inventory, error: SyncdError) -> None:
    inventory.failed.append((work.mirror.source.url, str(error)))
    work.listener(DocumentFailed(work.mirror.name, work.mirror.source.url, str(error)))


async def _plan_claims(
    work: Work, row: Row, survey: Survey, inventory: Inventory, *, elsewhere: bool = False
) -> Planning:
    """Merge the collected claims against what we hold."""
    planner, folds = _planner(work, row, adding=elsewhere), Folds(work.catalogue.claims.folds(row.id))
    for page in survey.claims.pages(row.id):
        _merge(work, row, planner, page)
        folds.add(paths_of(page))
        await asyncio.sleep(0)
    return await _planned(work, row, planner, inventory, folds)


def _planner(work: Work, row: Row, *, adding: bool) -> Planner:
    return Planner(
        work.catalogue.holdings.known(row.id),
        adding=adding,
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
