"""What the Catalogue and the store say of each mirror; changes nothing."""

import sys
import time

import msgspec

from syncd import looking, show
from syncd.commands.context import Context
from syncd.running import DONE


async def status(context: Context) -> int:
    """Show every mirror."""
    async with context.bench(lambda _: None, writing=False) as bench:
        rows = bench.catalogue.history.mirrors()
        now = time.time()
        found = []
        for row in rows:
            count, size = bench.catalogue.holdings.totals(row.id)
            found.append(
                {
                    "mirror": row.name,
                    "title": row.title,
                    "source": row.source,
                    "snapshot": row.snapshot,
                    "files": count,
                    "bytes": size,
                    "succeeded": show.instant(row.succeeded),
                    "attempted": show.instant(row.attempted),
                    "last": row.last,
                    "parked": len(bench.catalogue.history.parked(row.id)),
                    "failures": msgspec.to_builtins(bench.catalogue.history.failures(row.id)),
                }
            )
        if context.json:
            show.print_json(found)
        elif not rows:
            show.say(f"no mirrors in {context.config.state} yet; the first: syncd sync FILE")
        else:
            show.table(
                ("mirror", "last success", ">files", ">bytes", ">failed", ">parked", "snapshot"),
                (
                    (
                        row.name,
                        show.ago(row.succeeded, now),
                        f"{one['files']:,}",
                        show.size(int(one["bytes"])),
                        str(len(one["failures"])),
                        str(one["parked"]),
                        row.snapshot[:12],
                    )
                    for row, one in zip(rows, found, strict=True)
                ),
            )
        return DONE


async def snapshots(context: Context, name: str) -> int:
    """List kept snapshots."""
    async with context.bench(lambda _: None, writing=False) as bench:
        kept = bench.catalogue.history.snapshots(bench.mirror(name).id)
        if context.json:
            show.print_json(
                [
                    {
                        "id": snapshot.id,
                        "created": show.instant(snapshot.created),
                        "files": snapshot.files,
                        "bytes": snapshot.bytes,
                        "previous": snapshot.previous,
                        "current": at == 0,
                    }
                    for at, snapshot in enumerate(kept)
                ]
            )
        else:
            show.table(
                ("", "snapshot", "created", ">files", ">bytes"),
                (
                    (
                        "*" if at == 0 else "",
                        snapshot.id[:16],
                        show.instant(snapshot.created) or "",
                        f"{snapshot.files:,}",
                        show.size(snapshot.bytes),
                    )
                    for at, snapshot in enumerate(kept)
                ),
            )
        return DONE


async def diff(context: Context, name: str, before: str, after: str) -> int:
    """Compare two kept snapshots; only shards that differ are read."""
    async with context.bench(lambda _: None, writing=False) as bench:
        kept = bench.catalogue.history.snapshots(bench.mirror(name).id)
        found = await looking.diff(bench.store, name, kept, before, after, limit=sys.maxsize)
        if context.json:
            changes = [{"path": change.path, "change": change.change} for change in found.changes]
            show.print_json({"mirror": name, "before": found.before, "after": found.after, "changes": changes})
        else:
            for change in found.changes:
                show.say(f"{change.change:8} {change.path}")
            show.say(f"{show.files(found.count)} differ between {found.before[:12]} and {found.after[:12]}")
        return DONE
