"""`syncd tag`: names a snapshot, which is kept with its bytes until the tag is removed."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from manifests.snapshot import Tag
    from syncd.cli.context import CommandContext

USE = "write syncd tag MIRROR SNAPSHOT NAME, syncd tag list MIRROR or syncd tag remove MIRROR NAME"


@command("syncd tag physionet-mitdb 3f2a91 v1.0.0", asks_daemon=True)
async def tag(
    context: "CommandContext",
    mirror: Annotated[str, typer.Argument(metavar="MIRROR", help="A mirror; or list MIRROR, or remove MIRROR NAME.")],
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")
    ] = "",
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name: letters, digits, ., _ and -.")] = "",
) -> int:
    """Name a snapshot: it and its bytes are kept until the tag is removed. Or list the tags, or remove one."""
    from syncd.cli.acting import carry_out
    from syncd.control import TagAct, UntagAct
    from syncd.core import ConfigError
    from syncd.process import DONE

    if mirror == "list" and snapshot and not name:
        async with context.read_mirror(snapshot) as (session, row):
            _print(context, snapshot, session.catalogue.tags.all(row.id))
            return DONE
    if mirror == "remove" and snapshot and name:
        return await carry_out(context, UntagAct(mirror=snapshot, tag=name))
    if not snapshot or not name:
        raise ConfigError(USE)
    return await carry_out(context, TagAct(mirror=mirror, snapshot=snapshot, tag=name))


def _print(context: "CommandContext", mirror: str, tags: "list[Tag]") -> None:
    if context.json:
        output.print_json(
            [{"name": one.name, "snapshot": one.snapshot, "at": output.instant(one.at), "by": one.by} for one in tags]
        )
    elif not tags:
        output.print_line(f"{mirror}: no tags")
    else:
        output.table(
            ("tag", "snapshot", "since", "by"),
            ((one.name, one.snapshot[:16], output.instant(one.at) or "", one.by) for one in tags),
        )
