"""`syncd diff`: the files that differ between two snapshots, from the store."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from manifests.snapshot import Entry
    from syncd.cli.context import CommandContext
    from syncd.control import ChangeView


@command("syncd diff physionet-mitdb 3f2a91 c0ffee")
async def diff(
    context: "CommandContext",
    mirror: MirrorName,
    before: Annotated[str, typer.Argument(metavar="A", help="A snapshot's id, the beginning of it, or a tag.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The snapshot to compare it with.")],
    content: Annotated[
        bool, typer.Option("--content", help="Show what changed inside small files of text, JSON, XML and tables.")
    ] = False,
) -> int:
    """Show which files differ between two kept snapshots."""
    from manifests.content_diff import ContentChange
    from syncd.daemon import queries
    from syncd.engine import ContentComparison, places_of
    from syncd.process import DONE

    async with context.read_mirror(mirror) as (session, row):
        kept = session.catalogue.history.snapshots(row.id)

        async def places(entry: "Entry") -> list[str]:
            return places_of(session.catalogue, row, entry)

        tags = session.catalogue.tags.all(row.id)
        comparison = ContentComparison(session.store, places) if content else None
        found = await queries.diff(session.store, mirror, kept, before, after, sys.maxsize, tags, comparison)
        if context.json:
            changes = [_as_json(change, content=content) for change in found.changes]
            output.print_json({"mirror": mirror, "before": found.before, "after": found.after, "changes": changes})
        else:
            for change in found.changes:
                output.print_line(f"{change.change:8} {change.path}")
                for one in change.content:
                    output.print_line(f"           {ContentChange(one.where, one.before, one.after)}")
                if change.content_note:
                    output.print_line(f"           ({change.content_note})")
            output.print_line(f"{found.before[:12]} to {found.after[:12]}: {output.files(found.count)} changed")
        return DONE


def _as_json(change: "ChangeView", *, content: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"path": change.path, "change": change.change}
    if content:
        shown["content"] = [{"where": one.where, "before": one.before, "after": one.after} for one in change.content]
        shown["content_note"] = change.content_note
    return shown
