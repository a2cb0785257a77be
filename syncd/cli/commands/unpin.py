"""`syncd unpin`: restored files follow upstream again."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd unpin physionet-mitdb 100.dat", asks_daemon=True)
async def unpin(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="Pinned files; without it, they are listed.")
    ] = None,
) -> int:
    """Release restored files: the next pass follows upstream again. Without a path, list the pinned files."""
    from syncd.cli.acting import carry_out
    from syncd.control import UnpinAct
    from syncd.process import DONE

    if not paths:
        async with context.read_mirror(mirror) as (session, row):
            pins = session.catalogue.approvals.pins(row.id)
            if context.json:
                output.print_json([{"path": path, "frozen": frozen} for path, frozen in pins])
            elif not pins:
                output.print_line(f"{mirror}: nothing is pinned")
            else:
                output.table(
                    ("file", "pinned against"),
                    ((path, "deletion and replacement" if frozen else "deletion") for path, frozen in pins),
                )
            return DONE
    return await carry_out(context, UnpinAct(mirror=mirror, paths=tuple(paths)))
