"""Ends a pass that found no file upstream, or too few, before it changes anything."""

from manifests.messages import count, message
from manifests.model import Mirror
from syncd.catalogue import MirrorRow
from syncd.core import NothingFound, collected
from syncd.engine.build_plan import PlanResult
from syncd.engine.losses import approved_deletions, hold_planned
from syncd.engine.pass_context import PassContext
from syncd.engine.selection import explain

SHOWN = 5  # globs and collections without a match that are named


async def require_files(context: PassContext, row: MirrorRow, planning: PlanResult) -> None:
    """Raise NothingFound if the complete Inventory of a plan has no file, or fewer than the guard demands."""
    guard, found = context.mirror.guard, planning.counts.found
    reason = guard.refuses(found)
    if not guard.min_files and await _is_accepted(context, row, found):
        return
    if reason is None:
        return
    await hold_planned(context, row, planning.parked, complete=True)
    held, _ = context.catalogue.approvals.count_parked(row.id) if planning.parked else (0, 0)
    if planning.inventory.unmatched:
        shown = [explain(one) for one in planning.inventory.unmatched[:SHOWN]]
        reason = message("{reason} ({shown})", reason=reason, shown=shown)
    error = NothingFound(_explained(context.mirror, reason, held))
    context.catalogue.history.finish(row.id, succeeded=None, last={"state": "nothing_found", "reason": str(error)})
    raise error


async def _is_accepted(context: PassContext, row: MirrorRow, found: int) -> bool:
    """Return True if a steward approved the deletion of every file: until upstream has files, the mirror is empty."""
    settings, name = context.catalogue.settings, f"empty:{row.name}"
    was_accepted = bool(settings.get(name))
    if found:
        if was_accepted:
            settings.set(name, "")
        return False
    removed = await collected(context.catalogue.claims.steps(row.id, "remove"))
    if not was_accepted and removed and all(map(approved_deletions(context, row), removed)):
        settings.set(name, "approved")
        return True
    return was_accepted


def _explained(mirror: Mirror, reason: str, held: int) -> str:
    if held:
        return message(
            "{name}: {reason}, so nothing was changed, and {held} held for approval: check source.url and include; "
            "if upstream is right: syncd approve {name}",
            name=mirror.name,
            reason=reason,
            held=count(held, "{n} loss is", "{n:,} losses are"),
        )
    if mirror.guard.min_files:
        return message(
            "{name}: {reason}, so nothing was changed: check source.url and include, or lower guard.min_files",
            name=mirror.name,
            reason=reason,
        )
    return message(
        "{name}: {reason}, so nothing was changed: check source.url and include; if upstream is right, write guard: "
        "{{empty: allowed}}",
        name=mirror.name,
        reason=reason,
    )
