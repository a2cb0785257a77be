"""Makes a Plan: surveys upstream, compares the Inventory with the Entries, and records the steps in the Catalogue."""

from collections.abc import Iterator
from contextlib import aclosing

import msgspec

from manifests.messages import message
from manifests.reading import FollowsNode, Stats, installed, is_native, paths_of
from manifests.stat import Stat
from syncd.catalogue import MirrorRow
from syncd.core import (
    LOCAL_FAILURES,
    Damaged,
    DocumentFailed,
    NoSpace,
    Offline,
    Page,
    PermanentError,
    Planned,
    SeveralSources,
    Step,
    SurveyAdvanced,
    SurveyNoted,
    SurveyStarted,
    SyncdError,
    TransientError,
    collected,
    in_slices,
    next_turn,
)
from syncd.engine.asking import ask_upstream
from syncd.engine.followed_node import FollowedNode
from syncd.engine.found_files import count_lists
from syncd.engine.held_content import plan_copies
from syncd.engine.inventory import Inventory
from syncd.engine.losses import evaluate_plan
from syncd.engine.pass_context import PassContext
from syncd.engine.path_collisions import CaseFoldIndex, collisions, folds_case
from syncd.engine.planner import Counts, OutOfOrder, Planner
from syncd.engine.probe import probe_missing_metadata
from syncd.engine.selection import SourceSelection, explain
from syncd.engine.settled_plan import settle_plan
from syncd.engine.settling import SettleRule
from syncd.engine.survey import Survey
from syncd.engine.survey_cursor import SurveyCursor
from syncd.engine.vacated_paths import VacatedPaths
from syncd.streams import Spool


class PlanResult(msgspec.Struct):
    """A Plan whose steps are recorded in the Catalogue."""

    counts: Counts
    inventory: Inventory
    settling: SettleRule
    parked: str = ""


async def make_plan(context: PassContext, row: MirrorRow) -> PlanResult:
    """Survey upstream, and record the steps. Raises if the source is unavailable.

    If the first of several sources does not respond, the next one is surveyed. It may be outdated, so the plan only
    adds files: it neither replaces nor deletes any.
    """
    sources = context.source
    if not isinstance(sources, SeveralSources):
        return await _make_plan(context, row)
    for number, reader in enumerate((context.reader, *context.others)):
        sources.active = number
        mirror = context.mirror.model_copy(update={"sources": (context.mirror.sources[number],)})
        try:
            return await _make_plan(
                msgspec.structs.replace(context, mirror=mirror, reader=reader), row, elsewhere=number > 0
            )
        except (TransientError, PermanentError) as error:
            if number == len(context.others) or isinstance(error, NoSpace | Offline | Damaged):
                raise
            sources.failed(number)
            after = message("{cause}: asking {url} instead", cause=error, url=context.mirror.sources[number + 1].url)
            context.listener(DocumentFailed(context.mirror.name, context.mirror.sources[number].url, after))
    raise AssertionError  # a mirror has a source


async def _make_plan(context: PassContext, row: MirrorRow, *, elsewhere: bool = False) -> PlanResult:
    survey = begin_survey(context, row)
    if is_native(context.reader):
        try:
            planning = await _plan_listing(context, row, survey, elsewhere=elsewhere)
        except OutOfOrder:  # this server sorts differently: collect first
            context.catalogue.claims.forget(row.id)
            planning = await _plan_claims(
                context, row, survey, await collect_listing(context, survey), elsewhere=elsewhere
            )
    else:
        cursor = cursor_of(context, row).resumable() if not elsewhere else None
        inventory = await _read(context, row, survey, cursor.value if cursor is not None else "")
        planning = await _plan_claims(context, row, survey, inventory, elsewhere=elsewhere)
        planning.counts.lists = count_lists(context, row, planning.counts.found)
    counts = planning.counts
    _report_unmatched(context, survey, planning.inventory)
    if elsewhere:
        planning.inventory.elsewhere = context.mirror.source.url
        counts.remove = counts.remove_bytes = 0
    await ask_upstream(context, row, counts, planning.inventory)
    await settle_plan(context, row, planning.settling, counts)
    await plan_copies(context, row, counts, elsewhere=elsewhere)
    planning.parked = await evaluate_plan(context, row, counts, complete=planning.inventory.complete and not elsewhere)
    context.listener(
        Planned(
            context.mirror.name,
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


def _report_unmatched(context: PassContext, survey: Survey, inventory: Inventory) -> None:
    """Report what the manifest selects by and that matches nothing; a part of the Inventory cannot tell."""
    if inventory.complete and not inventory.is_part:
        inventory.unmatched = survey.selection.unmatched()
        for one in inventory.unmatched:
            context.listener(SurveyNoted(context.mirror.name, explain(one), 1))


async def list_upstream(context: PassContext, row: MirrorRow) -> tuple[Inventory, Iterator[Stat]]:
    """Survey upstream, and return its files, sorted by path."""
    survey = begin_survey(context, row)
    native = is_native(context.reader)
    inventory = await collect_listing(context, survey) if native else await _read(context, row, survey)
    return inventory, context.catalogue.claims.all(row.id)


def begin_survey(context: PassContext, row: MirrorRow) -> Survey:
    """Return the survey of the mirror's source, and report that it begins."""
    context.listener(SurveyStarted(context.mirror.name))
    name = context.mirror.source.reader
    if not row.snapshot and installed()[name].proof.unseen == "any":  # said once, in the first pass
        text = message(
            "lists of reader {reader} do not prove that they are complete: a cut is not noticed", reader=name
        )
        context.listener(SurveyNoted(context.mirror.name, text, 1))
    if is_native(context.reader):
        context.catalogue.claims.forget(row.id)
    else:
        context.catalogue.claims.drop_steps(row.id)  # the survey may resume a killed one, with its claims
    node = _followed_node(context, row)
    return Survey(
        mirror=context.mirror.name,
        mirror_id=row.id,
        transport=context.source,
        claims=context.catalogue.claims,
        frontier=context.catalogue.frontier,
        links=context.catalogue.links,
        selection=SourceSelection(context.mirror.source, context.reader),
        listener=context.listener,
        spool=context.spool,
        made=Spool(context.spool / f"{context.mirror.name}.made"),
        # what a head led to is of its moment, so the survey of a node begins with the head again
        key="" if node is not None else context.mirror.source.model_dump_json(by_alias=True),
        now=context.now,
        node=node,
        reading=context.reading,
        max_files=context.mirror.source.limits.max_files,
    )


def _followed_node(context: PassContext, row: MirrorRow) -> FollowedNode | None:
    if not isinstance(context.reader, FollowsNode):
        return None
    source = context.mirror.source.model_dump_json(by_alias=True)
    context.catalogue.firsts.forget(row.id)
    return FollowedNode(context.store, context.catalogue, row, source, context.node, context.now)


async def _read(context: PassContext, row: MirrorRow, survey: Survey, cursor: str = "") -> Inventory:
    inventory = await survey.read_changes(context.reader, cursor)
    await probe_missing_metadata(
        survey,
        inventory,
        lambda after, limit: context.catalogue.claims.without_validator(row.id, after, limit),
        lambda path: held[1] if (held := context.catalogue.holdings.entry(row.id, path)) is not None else None,
        context.reader,
    )
    survey.end()
    return inventory


def cursor_of(context: PassContext, row: MirrorRow) -> SurveyCursor:
    """Return the cursor of the mirror's source, for readers that can list changes only."""
    return SurveyCursor(context.catalogue.settings, row, context.mirror.source.model_dump_json(), context.now)


async def _plan_listing(context: PassContext, row: MirrorRow, survey: Survey, *, elsewhere: bool = False) -> PlanResult:
    """Compare a sorted listing with the Entries, and record only differences."""
    inventory, planner, settling, folds = (
        Inventory(),
        await _planner(context, row, adding=elsewhere, native=True),
        _settling(context, row),
        CaseFoldIndex(context.catalogue.claims.spill(row.id)),
    )
    try:
        async with aclosing(survey.listed()) as pages:
            async for page in pages:
                _count(context, inventory, page)
                await _merge(context, row, planner, settling, page)
                folds.add(paths_of(page))
    except LOCAL_FAILURES:
        raise
    except SyncdError as error:
        if inventory.documents == 0:
            raise
        _note_interruption(context, inventory, error)
    return await _planned(context, row, planner, settling, inventory, folds)


async def collect_listing(context: PassContext, survey: Survey) -> Inventory:
    """Collect a listing of unknown order."""
    inventory = Inventory()
    try:
        async with aclosing(survey.listed()) as pages:
            async for page in pages:
                survey.claims.add(survey.mirror_id, page)
                _count(context, inventory, page)
    except LOCAL_FAILURES:
        raise
    except SyncdError as error:
        if inventory.documents == 0:
            raise
        _note_interruption(context, inventory, error)
    return inventory


def _count(context: PassContext, inventory: Inventory, page: Page) -> None:
    """Count a page of a listing, and report progress; the total is unknown."""
    inventory.files += len(page)
    inventory.documents += 1
    context.listener(SurveyAdvanced(context.mirror.name, inventory.documents, inventory.documents, inventory.files))


def _note_interruption(context: PassContext, inventory: Inventory, error: SyncdError) -> None:
    inventory.failed.append((context.mirror.source.url, str(error)))
    context.listener(DocumentFailed(context.mirror.name, context.mirror.source.url, str(error)))


async def _plan_claims(
    context: PassContext, row: MirrorRow, survey: Survey, inventory: Inventory, *, elsewhere: bool = False
) -> PlanResult:
    """Compare the collected claims with the Entries."""
    planner = await _planner(context, row, adding=elsewhere, native=is_native(context.reader))
    settling, folds = _settling(context, row), CaseFoldIndex(context.catalogue.claims.spill(row.id))
    await next_turn()
    for page in survey.claims.pages(row.id):
        await _merge(context, row, planner, settling, page)
        folds.add(paths_of(page))
    return await _planned(context, row, planner, settling, inventory, folds)


def _settling(context: PassContext, row: MirrorRow) -> SettleRule:
    return SettleRule(context.mirror.source, context.catalogue.unsettled, row, context.now())


async def _planner(context: PassContext, row: MirrorRow, *, adding: bool, native: bool) -> Planner:
    return Planner(
        context.catalogue.holdings.known_files(row.id),
        adding=adding,
        published=context.mirror.verify.require == "published",
        pinned=dict(context.catalogue.approvals.pins(row.id)),
        doubts=dict(await collected(context.catalogue.doubts.all(row.id))),
        native=native,
    )


async def _planned(
    context: PassContext,
    row: MirrorRow,
    planner: Planner,
    settling: SettleRule,
    inventory: Inventory,
    folds: CaseFoldIndex,
) -> PlanResult:
    if inventory.complete:
        async for page in in_slices(planner.finish()):
            _write(context, row, page)
    counts = planner.counts
    if suspects := folds.suspects():
        is_folding = await folds_case(context.store)
        found = list(collisions(context.catalogue.claims.held_paths(row.id), suspects, folds=is_folding))
        refused = [
            (path, message("differs from {other!r} only in case or Unicode form", other=other)) for path, other in found
        ]
        context.catalogue.claims.refuse(row.id, refused)
        counts.fetch -= len(refused)
        counts.refuse += len(refused)
    await _await_vacancy(context, row, counts)
    return PlanResult(counts, inventory, settling)


async def _await_vacancy(context: PassContext, row: MirrorRow, counts: Counts) -> None:
    """Let new files wait until publication whose paths others still take: a file becomes a folder, or the reverse."""
    claims = context.catalogue.claims
    steps = claims.steps(row.id, "remove") if counts.remove else ()
    leaving = [step.path async for part in in_slices(steps) for step in part]
    leaving += [path for path, _ in context.catalogue.approvals.pins(row.id)]
    if not leaving or not counts.fetch:
        return
    vacated = VacatedPaths(leaving, folds=await folds_case(context.store))
    waiting: dict[str, str] = {}
    async for page in in_slices(claims.fetched_paths(row.id)):
        waiting.update(vacated.waiting(page))
    if waiting:
        size = claims.replace_others(row.id, waiting)
        counts.fetch -= len(waiting)
        counts.replace += len(waiting)
        counts.fetch_bytes -= size
        counts.replace_bytes += size


async def _merge(context: PassContext, row: MirrorRow, planner: Planner, settling: SettleRule, page: Page) -> None:
    """Plan a page, and record the steps."""
    is_needed = settling.is_needed
    if isinstance(page, Stats) and (not is_needed or settling.passes(page)) and planner.fetch_page(page):
        context.catalogue.claims.add_new(row.id, page)
        await next_turn()
        return
    if is_needed and settling.marker and (markers := settling.markers(page)):
        context.catalogue.claims.add_markers(row.id, markers)
    for steps in planner.feed(page):
        _write(context, row, settling.hold_back(steps, planner.counts) if is_needed else steps)
        await next_turn()


def _write(context: PassContext, row: MirrorRow, steps: list[Step]) -> None:
    if steps:
        context.catalogue.claims.add_steps(row.id, steps)
