"""`syncd release`: a mirror that was rolled back and held follows upstream again."""

from typing import TYPE_CHECKING

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd release physionet-mitdb", asks_daemon=True)
async def release(context: "CommandContext", mirror: MirrorName) -> int:
    """End the hold of a rollback: the next pass follows upstream again."""
    from syncd.cli.acting import carry_out
    from syncd.control import ReleaseAct

    return await carry_out(context, ReleaseAct(mirror=mirror))
