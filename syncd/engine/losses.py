"""Judges what a pass would lose, deletions and replacements together, before the first is carried out.

Rules:
1. A replacement is a loss if the file becomes empty, shrinks by more than half, or gets the same content as others.
2. What the listing shows is judged before the transfer: held replacements are not downloaded. All others are staged
   first, and judged again with everything else before the swap.
3. An approval or a rejection is one of a version upstream. Another version is judged again.
4. An incomplete Inventory shows no deletions, but it shows replacements.
5. Content that the next Snapshot has under another name is no loss: a renamed folder is moved, not deleted. After the
   transfers that is proved, by the checksums of the files that are stored; a plan can only expect it.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

from manifests.messages import plain
from manifests.stat import Stat
from syncd.catalogue import Decisions, MirrorRow, Swap
from syncd.core import Known, Loss, LossKind, RemovalsParked, Step, collected, in_slices, next_turn
from syncd.engine.claim_changes import changed, known_of
from syncd.engine.moved_content import expected_elsewhere, held_elsewhere
from syncd.engine.pass_context import PassContext
from syncd.engine.planner import Counts

AT_ONCE = 100  # losses that are read, recorded or held before other passes go on: a few milliseconds

_digests = msgspec.json.Decoder(dict[str, str]).decode


async def evaluate_plan(context: PassContext, row: MirrorRow, counts: Counts, *, complete: bool) -> str:
    """Judge the losses of a plan; change the steps that are held or rejected. Return the reason, or "".

    Deleted files whose content the plan copies to other names are not counted. Losses are held after the transfers
    only: by then more files may turn out to have moved.
    """
    await _keep_rejected(context, row, counts, complete=complete)
    claims = context.catalogue.claims
    shrinking = await collected(claims.shrinking(row.id))
    deleted = [one async for one in _losses(claims.steps(row.id, "remove"))] if complete and counts.remove else []
    losses = [*deleted, *(_planned_loss(step) for _, step in shrinking)]
    moving = await _expected_moves(context, row, losses)
    counts.moved = sum(loss.path in moving for loss in deleted)
    losses = _unapproved(context, row, [loss for loss in losses if loss.path not in moving])
    reason = _holds(context, row, losses)
    if reason:
        paths = {loss.path for loss in losses if loss.kind != "deleted"}
        held = [(number, step) for number, step in shrinking if step.path in paths]
        claims.change_action(row.id, [number for number, _ in held], "hold")
        counts.hold = len(held)
        counts.replace -= len(held)
        counts.replace_bytes -= sum(_size(step) for _, step in held)
    return reason


class Judgement(msgspec.Struct, frozen=True):
    """What the guard says after the transfers: why it holds the losses, or ""; `moved` are deletions that are none."""

    replaced: int
    reason: str
    moved: frozenset[str] = frozenset()


async def evaluate_losses(
    context: PassContext,
    row: MirrorRow,
    pass_id: str,
    planned_reason: str,
    *,
    complete: bool,
    over: bool,
    added: tuple[int, int],
) -> Judgement:
    """Let the staged replacements of a pass swap, unless the guard holds them, and judge the deletions with them.

    `over` is False for a pass that was stopped: what loses bytes then waits for a later pass, and what the plan held is
    held. `planned_reason` is why, or "". `added` are the files and bytes that the pass has added to the mirror.
    """
    catalogue = context.catalogue
    staged = {swap.path: (swap, kind) for swap, kind in catalogue.staged.losses(row.id, pass_id)}
    new = _unapproved(context, row, [_staged_loss(swap, kind) for swap, kind in staged.values()])
    waiting = {loss.path for loss in new}
    if not over:
        await hold_planned(context, row, planned_reason, complete=complete)
        return Judgement(catalogue.staged.release(row.id, pass_id, waiting), planned_reason)
    planned = await _planned_losses(context, row, complete=complete)
    losses = _unapproved(context, row, [*planned, *new])
    moved: set[str] = set()
    reason = _holds(context, row, losses, added)
    if reason:
        swaps = catalogue.staged.all(row.id)
        leaving = {*swaps, *(loss.path for loss in planned)}
        done = [loss for loss in losses if loss.claim is None or loss.path in staged]
        moved = await held_elsewhere(context, row, done, leaving, swaps.values())
        losses = [loss for loss in losses if loss.path not in moved]
        reason = _holds(context, row, losses, added)
    if not reason:
        waiting.clear()
        # they were not downloaded, as the plan alone looked worse; the next pass does
        losses = [loss for loss in losses if loss.claim is not None and loss.path not in staged]
        reason = planned_reason if losses else ""
    if reason:
        await _hold(context, row, losses, reason, deletions=complete)
    return Judgement(catalogue.staged.release(row.id, pass_id, waiting - moved), reason, frozenset(moved))


async def hold_planned(context: PassContext, row: MirrorRow, reason: str, *, complete: bool) -> None:
    """Hold what a plan would lose, if it has a `reason`, for a pass that does not come to its end."""
    if reason:
        known = await _planned_losses(context, row, complete=complete)
        moving = await _expected_moves(context, row, known)
        losses = _unapproved(context, row, [one for one in known if one.path not in moving])
        await _hold(context, row, losses, reason, deletions=complete)


async def _planned_losses(context: PassContext, row: MirrorRow, *, complete: bool) -> list[Loss]:
    actions = ("remove", "hold") if complete else ("hold",)
    return [one async for one in _losses(context.catalogue.claims.steps(row.id, *actions))]


async def _expected_moves(context: PassContext, row: MirrorRow, losses: list[Loss]) -> set[str]:
    """Return the paths of the losses that seem to be none: the plan copies their content, or a closer look tells so.

    A closer look is taken where the guard would hold the losses.
    """
    if not losses:
        return set()
    moving = set(context.catalogue.held.lent_by_itself(row.name))
    staying = [loss for loss in losses if loss.path not in moving]
    if _holds(context, row, staying):
        steps = context.catalogue.claims.steps(row.id, "remove", "replace", "hold")
        leaving = {step.path async for part in in_slices(steps) for step in part}
        moving |= await held_elsewhere(context, row, staying, leaving)
        moving |= await expected_elsewhere(context, row, [loss for loss in staying if loss.path not in moving])
    return moving


async def _keep_rejected(context: PassContext, row: MirrorRow, counts: Counts, *, complete: bool) -> None:
    """Drop the steps whose loss a steward rejected; forget rejections of what upstream no longer shows."""
    claims, approvals = context.catalogue.claims, context.catalogue.approvals
    rejected = approvals.rejected(row.id)
    if not rejected:
        return
    found: list[tuple[int, Step]] = []
    async for part in in_slices(claims.numbered(row.id, "remove", "replace")):
        for number, step in part:
            loss = _deletion(step) if step.action == "remove" else _planned_loss(step)
            if _is_decided(rejected, loss):
                found.append((number, step))
    claims.change_action(row.id, [number for number, _ in found], "keep")
    for _, step in found:
        if step.action == "remove":
            counts.remove -= 1
            counts.remove_bytes -= step.bytes
        else:
            counts.keep += 1
            counts.keep_bytes += step.bytes
            counts.replace -= 1
            counts.replace_bytes -= _size(step)
    if complete:
        approvals.forget_rejected(row.id, rejected.keys() - {step.path for _, step in found})


def _holds(context: PassContext, row: MirrorRow, losses: list[Loss], added: tuple[int, int] = (0, 0)) -> str:
    """Return why the guard demands approval of losses, or "" if they are allowed; `added` files are not lost."""
    lost, replaced = sum(loss.bytes for loss in losses), sum(loss.kind != "deleted" for loss in losses)
    files, size = context.catalogue.holdings.totals(row.id) if losses else (0, 0)
    more_files, more_bytes = added
    return context.mirror.guard.holds(len(losses), lost, files - more_files, size - more_bytes, replaced=replaced) or ""


async def _losses(steps: Iterator[Step]) -> AsyncIterator[Loss]:
    """Yield the losses of a plan, a part at a time, so that other passes go on."""
    async for part in in_slices(steps, AT_ONCE):
        for step in part:
            yield _deletion(step) if step.action == "remove" else _planned_loss(step)


async def _hold(context: PassContext, row: MirrorRow, losses: list[Loss], reason: str, *, deletions: bool) -> None:
    """Hold losses for approval."""
    lost, replaced = sum(loss.bytes for loss in losses), sum(loss.kind != "deleted" for loss in losses)
    approvals = context.catalogue.approvals
    approvals.park(row.id, losses[:AT_ONCE], deletions=deletions)
    for first in range(AT_ONCE, len(losses), AT_ONCE):
        await next_turn()
        approvals.park_more(row.id, losses[first : first + AT_ONCE])
    context.listener(RemovalsParked(context.mirror.name, len(losses), lost, reason, replaced))


def _unapproved(context: PassContext, row: MirrorRow, losses: list[Loss]) -> list[Loss]:
    approved = context.catalogue.approvals.approved(row.id) if losses else {}
    return [loss for loss in losses if not _is_decided(approved, loss)] if approved else losses


def _is_decided(decisions: Decisions, loss: Loss) -> bool:
    """Return True if a steward has decided on exactly this loss."""
    if loss.path not in decisions:
        return False
    decided = decisions[loss.path]
    if decided is None or loss.claim is None:
        return decided is None and loss.claim is None
    return changed(decided, _claimed(loss.claim)) is None


def approved_deletions(context: PassContext, row: MirrorRow) -> Callable[[Step], bool]:
    """Return the function that tells of a deletion if a steward has approved it."""
    approved = context.catalogue.approvals.approved(row.id)
    return lambda step: _is_decided(approved, _deletion(step))


def _deletion(step: Step) -> Loss:
    return Loss(step.path, step.bytes)


def _planned_loss(step: Step) -> Loss:
    stat = step.stat
    assert stat is not None
    digests = msgspec.json.encode(stat.digests, enc_hook=plain).decode() if stat.digests else None
    sha256 = bytes.fromhex(stat.digests.get("sha256", ""))
    claim = Known(step.path, -1 if stat.size is None else stat.size, stat.version, stat.modified, sha256, digests)
    return Loss(step.path, step.bytes, "shrunk" if stat.size else "emptied", stat.size, claim)


def _staged_loss(swap: Swap, kind: LossKind) -> Loss:
    return Loss(swap.path, swap.old_bytes, kind, swap.entry.size, known_of(swap.entry, swap.origin))


def _claimed(known: Known) -> Stat:
    """Return the claims upstream of which a Known was made."""
    size = None if known.length < 0 else known.length
    return Stat(known.path, size, known.modified, known.version, _digests(known.digests) if known.digests else {})


def _size(step: Step) -> int:
    return step.stat.size or 0 if step.stat is not None else 0
