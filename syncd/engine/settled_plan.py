"""Applies the rules of complete files to a plan as a whole: markers, their checksums, a second look, and the record."""

import asyncio

import msgspec

from manifests.digest import KNOWN
from manifests.messages import message
from manifests.readers import sidecar_digests
from manifests.reading import DocumentError
from manifests.stat import Stat
from syncd.catalogue import MirrorRow, fingerprint
from syncd.core import FilesWaiting, PermanentError, Step, TransientError, in_lanes
from syncd.engine.pass_context import PassContext
from syncd.engine.planner import Counts
from syncd.engine.settling import SettleRule

BATCH = 2000
AT_ONCE = 32
MAX_SIDECAR = 64 << 10  # bytes of a checksum file for one file
MOST_LOOKS = 10_000  # files that a patient pass looks at a second time


async def settle_plan(context: PassContext, row: MirrorRow, rule: SettleRule, counts: Counts) -> None:
    """Let files without their markers wait, look again if the pass is patient, and record what waits."""
    if rule.marker:
        await _require_markers(context, row, rule, counts)
    if context.is_patient and rule.waiting and not context.stopping.is_set():
        await _look_again(context, row, rule, counts)
    unsettled = context.catalogue.unsettled
    if rule.waiting or unsettled.waiting(row.id)[0]:
        unsettled.replace(row.id, rule.waiting)
    if rule.waiting:
        dues = [one.due for one in rule.waiting if one.due is not None]
        first = rule.waiting[0]
        context.listener(
            FilesWaiting(context.mirror.name, len(rule.waiting), min(dues) if dues else None, first.path, first.reason)
        )


async def _require_markers(context: PassContext, row: MirrorRow, rule: SettleRule, counts: Counts) -> None:
    """Let files wait whose marker is missing or old; take the checksums that the others' sidecars hold."""
    claims, after = context.catalogue.claims, 0
    assert rule.complete is not None
    while found := claims.marked(row.id, rule.marker, after, BATCH):
        after = found[-1][0]
        waiting: list[tuple[int, str]] = []
        marked: list[tuple[int, Step]] = []
        for number, step, is_listed, modified in found:
            reason = rule.unmarked(step, is_listed=is_listed, modified=modified)
            if reason is None:
                marked.append((number, step))
            else:
                waiting.append((number, reason))
                rule.hold(step, reason, counts)
        if rule.complete.sidecar is not None:
            taken, refused = await _with_digests(context, marked, rule.marker)
            claims.resolve(row.id, taken)
            for number, step, reason in refused:
                waiting.append((number, reason))
                rule.hold(step, reason, counts)
        claims.wait(row.id, waiting)


async def _with_digests(
    context: PassContext, steps: list[tuple[int, Step]], marker: str
) -> tuple[list[tuple[int, Step]], list[tuple[int, Step, str]]]:
    """Return the steps with the checksums of their sidecars, and those with an unreadable sidecar, with reasons."""
    taken: list[tuple[int, Step]] = []
    refused: list[tuple[int, Step, str]] = []

    async def read(numbered: tuple[int, Step]) -> None:
        number, step = numbered
        stat = step.stat
        assert stat is not None
        target = f"{stat.urls[0]}{marker}" if stat.urls else f"{stat.path}{marker}"
        try:
            digests = sidecar_digests(await _read(context, target), step.path, marker)
        except (TransientError, PermanentError, DocumentError) as error:
            why = message("{marker} could not be read: {cause}", marker=step.path + marker, cause=error)
            refused.append((number, step, why))
            return
        wanted = {name: value for name, value in digests.items() if name in KNOWN}
        promised = msgspec.structs.replace(stat, digests={**wanted, **stat.digests})
        taken.append((number, msgspec.structs.replace(step, stat=promised)))

    await in_lanes(AT_ONCE, steps, read)
    return taken, refused


async def _read(context: PassContext, target: str) -> bytes:
    async with context.source.open(target) as body:
        read = bytearray()
        async for chunk in body:
            read += chunk
            if len(read) > MAX_SIDECAR:
                break
        return bytes(read[:MAX_SIDECAR])


async def _look_again(context: PassContext, row: MirrorRow, rule: SettleRule, counts: Counts) -> None:
    """Wait until the files can be settled, and let those be transferred that are unchanged."""
    due = [one for one in rule.waiting if one.due is not None and one.due <= rule.now + rule.settle]
    if not due or len(due) > MOST_LOOKS:
        return
    wait = max(one.due for one in due if one.due is not None) - context.now()
    if wait > 0:
        try:
            await asyncio.wait_for(context.stopping.wait(), wait)
        except TimeoutError:
            pass
        else:
            return
    claims = context.catalogue.claims
    waiting = {one.path: one for one in due}
    steps = [(number, step) for number, step in claims.numbered(row.id, "wait") if step.path in waiting]
    settled: list[tuple[int, Step]] = []

    async def look(numbered: tuple[int, Step]) -> None:
        stat = numbered[1].stat
        assert stat is not None
        try:
            found = await context.source.stat(stat.urls[0] if stat.urls else stat.path)
        except (TransientError, PermanentError):
            return
        if fingerprint(_as_listed(stat, found)) == waiting[numbered[1].path].claim:
            settled.append(numbered)

    await in_lanes(AT_ONCE, steps, look)
    released = []
    for number, step in settled:
        held = context.catalogue.holdings.entry(row.id, step.path)
        counts.add(step, -1)
        again = msgspec.structs.replace(step, action="fetch" if held is None else "replace")
        counts.add(again)
        released.append((number, again))
    claims.resolve(row.id, released)
    gone = {step.path for _, step in settled}
    rule.waiting = [one for one in rule.waiting if one.path not in gone]


def _as_listed(stat: Stat, found: Stat) -> Stat:
    """Return what upstream says of a file now, as far as its listing said something of it."""
    return Stat(
        stat.path,
        found.size if stat.size is not None else None,
        found.modified if stat.modified is not None else None,
        found.version if stat.version is not None else None,
        stat.digests,
    )
