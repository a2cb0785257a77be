"""What the Catalogue and the store say of each mirror; changes nothing."""

import sys
import time

import msgspec

from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.daemon import queries
from syncd.process import DONE


async def status(context: CommandContext) -> int:
    """Show every mirror."""
    async with context.open_session(lambda _: None, writing=False) as session:
        rows = session.catalogue.history.mirrors()
        now = time.time()
        found = []
        for row in rows:
            count, size = session.catalogue.holdings.totals(row.id)
            found.append(
                {
                    "mirror": row.name,
                    "title": row.title,
                    "source": row.source,
                    "snapshot": row.snapshot,
                    "files": count,
                    "bytes": size,
                    "succeeded": output.instant(row.succeeded),
                    "attempted": output.instant(row.attempted),
                    "last": row.last,
                    "parked": len(session.catalogue.approvals.parked(row.id)),
                    "failures": msgspec.to_builtins(session.catalogue.failures.files(row.id)),
                }
            )
        if context.json:
            output.print_json(found)
        elif not rows:
            output.print_line(f"no mirrors in {context.config.state} yet; make the first with: syncd sync FILE")
        else:
            output.table(
                ("mirror", "last success", ">files", ">bytes", ">failed", ">held", "snapshot"),
                (
                    (
                        row.name,
                        output.ago(row.succeeded, now),
                        f"{one['files']:,}",
                        output.size(int(one["bytes"])),
                        str(len(one["failures"])),
                        str(one["parked"]),
                        row.snapshot[:12],
                    )
                    for row, one in zip(rows, found, strict=True)
                ),
            )
        return DONE


async def snapshots(context: CommandContext, name: str) -> int:
    """List kept snapshots."""
    async with context.open_session(lambda _: None, writing=False) as session:
        kept = session.catalogue.history.snapshots(session.mirror(name).id)
        if context.json:
            output.print_json(
                [
                    {
                        "id": snapshot.id,
                        "created": output.instant(snapshot.created),
                        "files": snapshot.files,
                        "bytes": snapshot.bytes,
                        "previous": snapshot.previous,
                        "current": at == 0,
                    }
                    for at, snapshot in enumerate(kept)
                ]
            )
        else:
            output.table(
                ("", "snapshot", "created", ">files", ">bytes"),
                (
                    (
                        "*" if at == 0 else "",
                        snapshot.id[:16],
                        output.instant(snapshot.created) or "",
                        f"{snapshot.files:,}",
                        output.size(snapshot.bytes),
                    )
                    for at, snapshot in enumerate(kept)
                ),
            )
        return DONE


async def diff(context: CommandContext, name: str, before: str, after: str) -> int:
    """Compare two kept snapshots; only shards that differ are read."""
    async with context.open_session(lambda _: None, writing=False) as session:
        kept = session.catalogue.history.snapshots(session.mirror(name).id)
        found = await queries.diff(session.store, name, kept, before, after, limit=sys.maxsize)
        if context.json:
            changes = [{"path": change.path, "change": change.change} for change in found.changes]
            output.print_json({"mirror": name, "before": found.before, "after": found.after, "changes": changes})
        else:
            for change in found.changes:
                output.print_line(f"{change.change:8} {change.path}")
            output.print_line(f"{found.before[:12]} to {found.after[:12]}: {output.files(found.count)} changed")
        return DONE
