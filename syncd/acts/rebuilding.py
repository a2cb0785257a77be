"""Rebuilds the records of one mirror from the store."""

from manifests.messages import message
from syncd.acts.act_context import ActContext, files_text, size_text
from syncd.control import ActResult, RebuildAct
from syncd.core import UnknownName
from syncd.engine import rebuild as rebuild_catalogue


async def rebuild(act: RebuildAct, context: ActContext) -> ActResult:
    """Read the mirror's snapshots from the store, in place of its records. Raises UnknownName, Damaged."""
    session = context.session
    rows = await rebuild_catalogue(
        session.store, session.catalogue, session.now, only=lambda pointer, _row: pointer.mirror == act.mirror
    )
    if not rows:
        raise UnknownName(message("{mirror}: the store has no such mirror", mirror=act.mirror))
    await session.finish_publishes()
    found = [(row.name, *session.catalogue.holdings.totals(row.id)) for row in rows]
    return ActResult(
        outcome=message("rebuilt from the store"),
        data=[{"mirror": name, "files": number, "bytes": size} for name, number, size in found],
        lines=tuple(
            message("{name}: {files}, {size}", name=name, files=files_text(number), size=size_text(size))
            for name, number, size in found
        ),
    )
