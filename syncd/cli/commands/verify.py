"""`syncd verify`: compares the store with the Catalogue, and repairs it on request."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd verify physionet-mitdb --read-data --repair", asks_upstream=True, asks_daemon=True)
async def verify(
    context: "CommandContext",
    mirror: MirrorName,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every stored byte.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair from kept versions or from upstream; deletes nothing.")
    ] = False,
) -> int:
    """Compare the stored files with their records. Checks presence and size; with --read-data, every byte."""
    from syncd.cli.acting import carry_out
    from syncd.control import VerifyAct

    return await carry_out(context, VerifyAct(mirror=mirror, read_data=read_data, repair=repair))
