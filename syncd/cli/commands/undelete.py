"""`syncd undelete`: restores deleted files."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd undelete physionet-mitdb 100.dat 100.hea")
async def undelete(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files that were deleted.")],
) -> int:
    """Restore deleted files, and keep them although upstream deleted them."""
    from syncd.cli.audit import audited
    from syncd.cli.restoring import RestoredFiles

    async with context.open_mirror(mirror) as (session, _):
        files = RestoredFiles(session, mirror)
        with audited(session, mirror, "undelete") as act:
            current = await files.restoration.undelete(paths)
            act.outcome = files.outcome(current)
        return files.print_current(context, current)
