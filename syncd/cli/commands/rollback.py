"""`syncd rollback`: an earlier snapshot becomes the current one."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd rollback physionet-mitdb 3f2a91 --hold", asks_daemon=True)
async def rollback(
    context: "CommandContext",
    mirror: MirrorName,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")],
    hold: Annotated[bool, typer.Option("--hold", help="Start no pass until the mirror is released.")] = False,
) -> int:
    """Return to an earlier snapshot. The next pass follows upstream again, unless the mirror is held."""
    from syncd.cli.acting import carry_out
    from syncd.control import RollbackAct

    return await carry_out(context, RollbackAct(mirror=mirror, snapshot=snapshot, hold=hold))
