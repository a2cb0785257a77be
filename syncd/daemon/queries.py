"""Queries of the Catalogue and the store: pages of files, passes and snapshots, as views of Control."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, Snapshot, Tag
from syncd.catalogue import Catalogue, MirrorRow
from syncd.control import (
    ChangeView,
    ContentChangeView,
    DiffView,
    EntryView,
    ParkedView,
    QuarantineView,
    RejectionView,
    SnapshotView,
    StepView,
    TombstoneView,
)
from syncd.core import FailureView, NotFound, PassEvent, PassView, Store, ignore_event, message_view
from syncd.engine import ContentComparison, FileContent, PassContext, differences, unknown_snapshot

LAST = "\U0010ffff"  # sorts behind every character that a path may hold


@asynccontextmanager
async def open_scratch_catalogue(spool: Path) -> AsyncIterator[Catalogue]:
    """Open a temporary Catalogue, deleted when the block ends."""
    folder = Path(await asyncio.to_thread(mkdtemp, dir=spool))
    try:
        with await asyncio.to_thread(Catalogue, folder) as catalogue:
            yield catalogue
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


ShownAction = Literal["fetch", "replace", "remove", "refuse", "hold", "wait"]


def plan_context(context: PassContext, catalogue: Catalogue) -> PassContext:
    """Return a context that reports no events and uses `catalogue`, for a plan that no pass carries out."""
    return msgspec.structs.replace(context, listener=ignore_event, catalogue=catalogue)


def steps(catalogue: Catalogue, row: MirrorRow, actions: Sequence[ShownAction], limit: int) -> list[StepView]:
    """Return the first steps of each action."""
    found: list[StepView] = []
    for action in actions:
        for step in islice(catalogue.claims.steps(row.id, action), limit):
            copy = catalogue.held.planned(row.name, step.path)
            found.append(
                StepView(
                    action=action,
                    path=step.path,
                    reason=step.reason,
                    bytes=step.stat.size if step.stat is not None else step.bytes,
                    message=message_view(step.reason),
                    copy_of=f"{copy.lender}: {copy.held_path}" if copy is not None else "",
                )
            )
    return found


def passes(
    catalogue: Catalogue, row: MirrorRow | None, before: int | None, limit: int, *, all_of: bool
) -> list[PassView]:
    """Return passes of one mirror, or of all, the newest first."""
    if row is None and not all_of:
        return []
    return catalogue.pass_history.passes(row.id if row is not None else None, before, limit)


def pass_events(
    catalogue: Catalogue, row: MirrorRow | None, name: str, pass_id: int, after: int, limit: int
) -> list[PassEvent]:
    """Return the events of one pass, the oldest first. Raises NotFound."""
    if row is None or not catalogue.pass_history.has_pass(row.id, pass_id):
        raise NotFound(message("{name}: no pass {pass_id}, or its record has expired", name=name, pass_id=pass_id))
    return catalogue.pass_history.events(pass_id, after, limit)


def entries(catalogue: Catalogue, row: MirrorRow | None, prefix: str, after: str, limit: int) -> list[EntryView]:
    """Return Entries whose path begins with `prefix` and sorts after `after`, sorted."""
    if row is None:
        return []
    first = max(prefix, after + "\0") if after else prefix
    found = catalogue.holdings.entry_rows(row.id, first, prefix + LAST if prefix else None)
    return [EntryView(**one) for one in islice(found, limit)]


def entry(catalogue: Catalogue, row: MirrorRow | None, name: str, path: str) -> EntryView:
    """Return one Entry. Raises NotFound."""
    one = next(catalogue.holdings.entry_rows(row.id, path, path + "\0"), None) if row is not None else None
    if one is None:
        raise NotFound(message("{path}: not in {name}", path=path, name=name))
    return EntryView(**one)


def snapshots(catalogue: Catalogue, row: MirrorRow | None) -> list[SnapshotView]:
    """Return the kept snapshots, the current one first."""
    tags = catalogue.tags.all(row.id) if row is not None else []
    return [
        SnapshotView(
            id=one.id,
            created=one.created,
            files=one.files,
            bytes=one.bytes,
            previous=one.previous,
            source=one.source,
            current=place == 0,
            tags=tuple(tag.name for tag in tags if tag.snapshot == one.id),
        )
        for place, one in enumerate(catalogue.history.snapshots(row.id) if row is not None else ())
    ]


def tombstones(catalogue: Catalogue) -> list[TombstoneView]:
    """Return the mirrors that were published, in the order in which that ended."""
    return [
        TombstoneView(mirror=one.mirror, published=one.since, ended=one.ended, reason=one.reason)
        for one in catalogue.publications.tombstones()
    ]


async def diff(
    store: Store,
    name: str,
    kept: Sequence[Snapshot],
    before: str,
    after: str,
    limit: int,
    tags: Sequence[Tag] = (),
    comparison: ContentComparison | None = None,
) -> DiffView:
    """Compare two kept snapshots; reads only the shards that differ, and with a `comparison` small files."""
    one, other = find_snapshot(kept, name, before, tags), find_snapshot(kept, name, after, tags)
    count = 0
    changes: list[ChangeView] = []
    async for path, old, new in differences(store, name, one, other):
        count += 1
        if count <= limit:
            inside = await comparison.of(path, old, new) if comparison is not None else FileContent()
            changes.append(_change(path, old, new, inside))
    return DiffView(mirror=name, before=one.id, after=other.id, count=count, changes=tuple(changes))


def find_snapshot(kept: Sequence[Snapshot], name: str, wanted: str, tags: Sequence[Tag] = ()) -> Snapshot:
    """Return the kept snapshot that has the tag `wanted`, or whose id begins with it. Raises NotFound."""
    tagged = {tag.snapshot for tag in tags if tag.name == wanted}
    for one in kept:
        if one.id in tagged:
            return one
    fitting = [one for one in kept if one.id.startswith(wanted)]
    if len(fitting) != 1 or len(wanted) < 4:
        raise unknown_snapshot(wanted, name, [one.id for one in kept])
    return fitting[0]


def _change(path: str, old: Entry | None, new: Entry | None, inside: FileContent) -> ChangeView:
    return ChangeView(
        path=path,
        change="added" if old is None else "removed" if new is None else "changed",
        size_before=old.size if old is not None else None,
        size_after=new.size if new is not None else None,
        sha256_before=old.sha256 if old is not None else None,
        sha256_after=new.sha256 if new is not None else None,
        content=tuple(ContentChangeView(where=one.where, before=one.before, after=one.after) for one in inside.changes),
        content_note=inside.note,
    )


def quarantine(catalogue: Catalogue, row: MirrorRow | None, name: str, limit: int) -> list[QuarantineView]:
    """Return the quarantined files, the newest first."""
    return [
        QuarantineView(
            mirror=name,
            path=one.path,
            place=one.place,
            error=one.error,
            reason=one.reason,
            at=one.at,
            message=message_view(one.reason),
        )
        for one in (catalogue.pass_history.quarantined(row.id, limit) if row is not None else ())
    ]


def parked(catalogue: Catalogue, row: MirrorRow | None, after: str, limit: int) -> list[ParkedView]:
    """Return the losses held for approval, sorted."""
    found = catalogue.approvals.parked(row.id, after, limit) if row is not None else []
    return [ParkedView(path=one.path, bytes=one.bytes, kind=one.kind, new_bytes=one.new_bytes) for one in found]


def rejections(catalogue: Catalogue, row: MirrorRow | None, after: str, limit: int) -> list[RejectionView]:
    """Return the files that differ from upstream by decision, sorted."""
    found = catalogue.approvals.rejections(row.id, after, limit) if row is not None else []
    return [RejectionView(path=one.path, kind=one.kind, bytes=one.bytes, who=one.who, at=one.at) for one in found]


def failures(catalogue: Catalogue, row: MirrorRow | None, after: str, limit: int) -> list[FailureView]:
    """Return the files that failed to download, sorted."""
    return catalogue.failures.files(row.id, after, limit) if row is not None else []
