"""Runs the daemon until it is told to end."""

from syncd.cli.context import CommandContext
from syncd.daemon import service


async def run(context: CommandContext) -> int:
    """Run the daemon."""
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
