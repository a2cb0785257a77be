"""`syncd rollback`: an earlier snapshot becomes the current one."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd rollback physionet-mitdb 3f2a91")
async def rollback(
    context: "CommandContext",
    mirror: MirrorName,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")],
) -> int:
    """Return to an earlier snapshot. The next pass follows upstream again."""
    from syncd.cli.audit import audited
    from syncd.cli.restoring import RestoredFiles

    async with context.open_mirror(mirror) as (session, _):
        files = RestoredFiles(session, mirror)
        with audited(session, mirror, "rollback") as act:
            current = await files.restoration.rollback(snapshot)
            act.outcome = files.outcome(current)
        return files.print_current(context, current)
