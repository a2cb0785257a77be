"""`syncd run`: the daemon, until it is told to end."""

from typing import TYPE_CHECKING

from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd run --config /etc/syncd/syncd.yaml", asks_upstream=True, is_daemon=True)
async def run(context: "CommandContext") -> int:
    """Run the daemon, its status page and its API. SIGHUP reloads all files, SIGTERM stops it."""
    from syncd.daemon import service

    assert context.load is not None
    return await service.run(
        context.config,
        context.load,
        context.file,
        context.environ,
        json=context.json,
        secrets=context.secrets,
        stopping=context.stopping,
    )
