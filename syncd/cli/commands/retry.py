"""`syncd retry`: single failed files are requested again."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd retry physionet-mitdb 100.dat", asks_daemon=True)
async def retry(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files that failed.")],
) -> int:
    """Request files again that keep failing. A running daemon does so at once, otherwise the next pass does."""
    from syncd.cli.acting import carry_out
    from syncd.control import RetryAct

    return await carry_out(context, RetryAct(mirror=mirror, paths=tuple(paths)))
