"""`syncd tag`: names a snapshot, which is kept with its bytes until the tag is removed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from manifests.snapshot import Tag
    from syncd.cli.context import CommandContext

USE = "write syncd tag MIRROR SNAPSHOT NAME, syncd tag list MIRROR or syncd tag remove MIRROR NAME"


@command("syncd tag physionet-mitdb 3f2a91 v1.0.0")
async def tag(
    context: "CommandContext",
    mirror: Annotated[str, typer.Argument(metavar="MIRROR", help="A mirror; or list MIRROR, or remove MIRROR NAME.")],
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")
    ] = "",
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name: letters, digits, ., _ and -.")] = "",
) -> int:
    """Name a snapshot: it and its bytes are kept until the tag is removed. Or list the tags, or remove one."""
    from syncd.cli.audit import audited, person
    from syncd.core import ConfigError
    from syncd.engine import Tagging, find_snapshot
    from syncd.process import DONE

    if mirror == "list" and snapshot and not name:
        async with context.read_mirror(snapshot) as (session, row):
            _print(context, snapshot, session.catalogue.tags.all(row.id))
            return DONE
    if mirror == "remove" and snapshot and name:
        async with context.open_mirror(snapshot) as (session, row):
            with audited(session, snapshot, "untag"):
                removed = await Tagging(session.store, session.catalogue, row).untag(name)
            line = f"{snapshot}: {name} removed; snapshot {removed.snapshot[:16]} is kept as long as any other"
            _say(context, {"mirror": snapshot, "removed": name, "snapshot": removed.snapshot}, line)
            return DONE
    if not snapshot or not name:
        raise ConfigError(USE)
    async with context.open_mirror(mirror) as (session, row):
        with audited(session, mirror, "tag"):
            found = find_snapshot(session.catalogue, row, snapshot)
            made = await Tagging(session.store, session.catalogue, row).tag(found.id, name, str(person()))
        line = f"{mirror}: snapshot {made.snapshot[:16]} is {made.name}: it is kept until the tag is removed"
        _say(context, {"mirror": mirror, "tag": made.name, "snapshot": made.snapshot}, line)
        return DONE


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


def _say(context: "CommandContext", said: dict[str, Any], line: str) -> None:
    if context.json:
        output.print_json(said)
    else:
        output.print_line(line)
