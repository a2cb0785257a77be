"""`syncd reset`: the next pass reads the whole listing of upstream."""

from typing import TYPE_CHECKING

from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd reset physionet-mitdb", asks_daemon=True)
async def reset(context: "CommandContext", mirror: MirrorName) -> int:
    """Forget how far upstream's changes were read. The next pass reads the whole listing; no file is fetched again."""
    from syncd.cli.acting import carry_out
    from syncd.control import ResetAct

    return await carry_out(context, ResetAct(mirror=mirror))
