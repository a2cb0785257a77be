"""`syncd diff`: the files that differ between two snapshots, from the store."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd diff physionet-mitdb 3f2a91 c0ffee")
async def diff(
    context: "CommandContext",
    mirror: MirrorName,
    before: Annotated[str, typer.Argument(metavar="A", help="A snapshot's id, the beginning of it, or a tag.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The snapshot to compare it with.")],
) -> int:
    """Show which files differ between two kept snapshots."""
    from syncd.daemon import queries
    from syncd.process import DONE

    async with context.read_mirror(mirror) as (session, row):
        kept = session.catalogue.history.snapshots(row.id)
        tags = session.catalogue.tags.all(row.id)
        found = await queries.diff(session.store, mirror, kept, before, after, sys.maxsize, tags)
        if context.json:
            changes = [{"path": change.path, "change": change.change} for change in found.changes]
            output.print_json({"mirror": mirror, "before": found.before, "after": found.after, "changes": changes})
        else:
            for change in found.changes:
                output.print_line(f"{change.change:8} {change.path}")
            output.print_line(f"{found.before[:12]} to {found.after[:12]}: {output.files(found.count)} changed")
        return DONE
