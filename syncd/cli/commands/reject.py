"""`syncd reject`: files whose loss is held for approval stay as they are."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.catalogue import RejectedFile
    from syncd.cli.context import CommandContext


@command("syncd reject physionet-mitdb", asks_daemon=True)
async def reject(
    context: "CommandContext",
    mirror: MirrorName,
    undo: Annotated[
        bool, typer.Option("--undo", help="Forget what was rejected: the next pass judges it again.")
    ] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the files that differ by decision.")] = False,
) -> int:
    """Reject the held losses of a mirror: these files stay as they are.

    That holds as long as upstream shows the same. What upstream changes later is judged again.
    """
    from syncd.cli.acting import carry_out
    from syncd.control import RejectAct
    from syncd.process import DONE

    if only_list:
        async with context.read_mirror(mirror) as (session, row):
            _print(context, mirror, session.catalogue.approvals.rejections(row.id))
        return DONE
    return await carry_out(context, RejectAct(mirror=mirror, undo=undo))


def _print(context: "CommandContext", mirror: str, found: "list[RejectedFile]") -> None:
    if context.json:
        output.print_json(
            [
                {"path": one.path, "kind": one.kind, "bytes": one.bytes, "who": one.who, "at": output.instant(one.at)}
                for one in found
            ]
        )
    elif not found:
        output.print_line(f"{mirror}: nothing differs from upstream by decision")
    else:
        output.table(
            ("file", "rejected loss", ">bytes", "by", "since"),
            (
                (one.path, one.kind, output.size(one.bytes), one.who or "-", output.instant(one.at) or "-")
                for one in found
            ),
        )
