"""`syncd reject`: files whose loss is held for approval stay as they are."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd reject physionet-mitdb", asks_daemon=True)
async def reject(
    context: "CommandContext",
    mirror: MirrorName,
    undo: Annotated[
        bool, typer.Option("--undo", help="Forget what was rejected: the next pass judges it again.")
    ] = False,
) -> int:
    """Reject the held losses of a mirror: these files stay as they are.

    That holds as long as upstream shows the same. What upstream changes later is judged again.
    """
    from syncd.cli.acting import carry_out
    from syncd.control import RejectAct

    return await carry_out(context, RejectAct(mirror=mirror, undo=undo))
