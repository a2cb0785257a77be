"""Judges what a pass would lose, deletions and replacements together, before the first is carried out.

Rules:
1. A replacement is a loss if the file becomes empty, shrinks by more than half, or gets the same content as others.
2. What the listing shows is judged before the transfer: held replacements are not downloaded. All others are staged
   first, and judged again with everything else before the swap.
3. An approval or a rejection is one of a version upstream. Another version is judged again.
4. An incomplete Inventory shows no deletions, but it shows replacements.
"""

from collections.abc import Iterable

import msgspec

from manifests.messages import plain
from manifests.stat import Stat
from syncd.catalogue import Decisions, MirrorRow, Swap
from syncd.core import Known, Loss, LossKind, RemovalsParked, Step
from syncd.engine.claim_changes import changed, known_of
from syncd.engine.pass_context import PassContext
from syncd.engine.planner import Counts

_digests = msgspec.json.Decoder(dict[str, str]).decode


def evaluate_plan(context: PassContext, row: MirrorRow, counts: Counts, *, complete: bool) -> str:
    """Judge the losses of a plan; change the steps that are held or rejected. Return the reason, or ""."""
    _keep_rejected(context, row, counts, complete=complete)
    claims = context.catalogue.claims
    shrinking = list(claims.shrinking(row.id))
    deleted = [_deletion(step) for step in claims.steps(row.id, "remove")] if complete and counts.remove else []
    losses = _unapproved(context, row, [*deleted, *(_planned_loss(step) for _, step in shrinking)])
    reason = _evaluate(context, row, losses, deletions=complete)
    if reason:
        paths = {loss.path for loss in losses if loss.kind != "deleted"}
        held = [(number, step) for number, step in shrinking if step.path in paths]
        claims.change_action(row.id, [number for number, _ in held], "hold")
        counts.hold = len(held)
        counts.replace -= len(held)
        counts.replace_bytes -= sum(_size(step) for _, step in held)
    return reason


def evaluate_staged(
    context: PassContext, row: MirrorRow, pass_id: str, *, complete: bool, over: bool
) -> tuple[int, str]:
    """Let the staged replacements of a pass swap, unless the guard holds them. Return their number, and the reason.

    `over` is False for a pass that was stopped: what loses bytes then waits for a later pass, unjudged.
    """
    catalogue = context.catalogue
    staged = {swap.path: _staged_loss(swap, kind) for swap, kind in catalogue.staged.losses(row.id, pass_id)}
    waiting = {loss.path for loss in _unapproved(context, row, list(staged.values()))}
    reason = ""
    if over and waiting:
        steps = catalogue.claims.steps(row.id, "remove", "hold") if complete else catalogue.claims.steps(row.id, "hold")
        planned = [_deletion(step) if step.action == "remove" else _planned_loss(step) for step in steps]
        reason = _evaluate(context, row, _unapproved(context, row, [*planned, *staged.values()]), deletions=complete)
        if not reason:
            waiting.clear()
    return catalogue.staged.release(row.id, pass_id, waiting), reason


def _keep_rejected(context: PassContext, row: MirrorRow, counts: Counts, *, complete: bool) -> None:
    """Drop the steps whose loss a steward rejected; forget rejections of what upstream no longer shows."""
    claims, approvals = context.catalogue.claims, context.catalogue.approvals
    rejected = approvals.rejected(row.id)
    if not rejected:
        return
    found: list[tuple[int, Step]] = []
    for number, step in claims.numbered(row.id, "remove", "replace"):
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


def _evaluate(context: PassContext, row: MirrorRow, losses: list[Loss], *, deletions: bool) -> str:
    """Hold losses for approval if the guard demands it. Return the reason, or "" if they are allowed."""
    approvals = context.catalogue.approvals
    lost, replaced = sum(loss.bytes for loss in losses), sum(loss.kind != "deleted" for loss in losses)
    files, size = context.catalogue.holdings.totals(row.id) if losses else (0, 0)
    reason = context.mirror.guard.holds(len(losses), lost, files, size, replaced=replaced)
    if reason is None:
        return ""
    approvals.park(row.id, losses, deletions=deletions)
    context.listener(RemovalsParked(context.mirror.name, len(losses), lost, reason, replaced))
    return reason


def _unapproved(context: PassContext, row: MirrorRow, losses: list[Loss]) -> list[Loss]:
    approved = context.catalogue.approvals.approved(row.id) if losses else {}
    return [loss for loss in losses if not _is_decided(approved, loss)]


def _is_decided(decisions: Decisions, loss: Loss) -> bool:
    """Return True if a steward has decided on exactly this loss."""
    if loss.path not in decisions:
        return False
    decided = decisions[loss.path]
    if decided is None or loss.claim is None:
        return decided is None and loss.claim is None
    return changed(decided, _claimed(loss.claim)) is None


def approved_deletions(context: PassContext, row: MirrorRow, steps: Iterable[Step]) -> list[Step]:
    """Return the deletions that a steward has approved."""
    approved = context.catalogue.approvals.approved(row.id)
    return [step for step in steps if _is_decided(approved, _deletion(step))]


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
