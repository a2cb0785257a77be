"""`syncd status`: every mirror, from the Catalogue."""

import time
from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd status --json")
async def status(context: "CommandContext") -> int:
    """Show every mirror: age, size, failures, held deletions."""
    import msgspec

    from syncd.process import DONE

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
