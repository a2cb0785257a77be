"""`syncd restore`: single files come back as an earlier snapshot has them."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd restore physionet-mitdb 100.dat --from 3f2a91", asks_daemon=True)
async def restore(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files of the snapshot.")],
    snapshot: Annotated[
        str, typer.Option("--from", metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")
    ],
) -> int:
    """Restore files as an earlier snapshot has them, and keep them so until they are unpinned."""
    from syncd.cli.acting import carry_out
    from syncd.control import RestoreAct

    return await carry_out(context, RestoreAct(mirror=mirror, paths=tuple(paths), snapshot=snapshot))
