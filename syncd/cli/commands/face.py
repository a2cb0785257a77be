"""`syncd face`: serves the published mirrors from a process of its own, until it is told to end."""

from typing import TYPE_CHECKING

from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd face --config /etc/syncd/syncd.yaml", is_daemon=True)
async def face(context: "CommandContext") -> int:
    """Serve the published mirrors to everybody, beside `syncd run` or without it. SIGTERM stops it."""
    from syncd.daemon import service

    assert context.load is not None
    return await service.run_face(
        context.config,
        context.load,
        context.file,
        context.environ,
        json=context.json,
        secrets=context.secrets,
        stopping=context.stopping,
    )
