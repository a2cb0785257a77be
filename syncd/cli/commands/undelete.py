"""`syncd undelete`: restores deleted files."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd undelete physionet-mitdb 100.dat 100.hea", asks_daemon=True)
async def undelete(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files that were deleted.")],
) -> int:
    """Restore deleted files, and keep them although upstream deleted them."""
    from syncd.cli.acting import carry_out
    from syncd.control import UndeleteAct

    return await carry_out(context, UndeleteAct(mirror=mirror, paths=tuple(paths)))
