"""`syncd forget`: a mirror's records are deleted, and its files on request."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.messages import message
from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd forget old-name --bytes --yes old-name", asks_daemon=True)
async def forget(
    context: "CommandContext",
    mirror: MirrorName,
    with_bytes: Annotated[
        bool,
        typer.Option("--bytes", "--files", help="Delete its files too, and its earlier versions and deleted files."),
    ] = False,
    yes: Annotated[
        str | None, typer.Option("--yes", metavar="NAME", help="The mirror's name once more, instead of the question.")
    ] = None,
) -> int:
    """Forget a mirror whose manifest was withdrawn: its records are deleted, and another mirror may use its folder.

    Asks for the name of the mirror. Without --bytes, every file stays under its name, and earlier versions stay under
    .syncd/ in the store.
    """
    from asyncio import to_thread

    from syncd.cli.acting import carry_out
    from syncd.control import ForgetAct
    from syncd.core import ConfigError
    from syncd.process import INTERRUPTED

    if yes is None:
        if context.json or not sys.stdin.isatty():
            raise ConfigError(
                message("{mirror}: forgetting cannot be undone: add --yes {mirror} to confirm it", mirror=mirror)
            )
        for line in await _preview(context, mirror, with_bytes=with_bytes):
            output.print_line(line)
        yes = await to_thread(typer.prompt, f"Type the name of the mirror to forget {mirror}", default="")
        if not yes:
            return INTERRUPTED
    return await carry_out(context, ForgetAct(mirror=mirror, confirm=yes, bytes=with_bytes))


async def _preview(context: "CommandContext", mirror: str, *, with_bytes: bool) -> list[str]:
    """Return lines for people: the deletions, and the files that stay; none if only the daemon knows."""
    from syncd.acts import explained
    from syncd.engine import holding_of, unknown_mirror

    if context.url is not None:
        return []
    async with context.read_all() as session:
        row = session.catalogue.history.mirror(mirror)
        holding = await holding_of(session.store, session.catalogue, mirror, row)
    if row is None and not holding.kept:
        raise unknown_mirror(mirror)
    return explained(mirror, row, holding, with_files=with_bytes)
