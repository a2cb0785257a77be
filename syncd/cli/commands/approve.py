"""`syncd approve`: losses that are held for approval happen at the next pass."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd approve physionet-mitdb", asks_daemon=True)
async def approve(
    context: "CommandContext",
    mirror: MirrorName,
    only_list: Annotated[bool, typer.Option("--list", help="Only list the held losses.")] = False,
) -> int:
    """Approve the held losses of a mirror: deletions, and replacements that lose bytes.

    The next pass carries out exactly these.
    """
    from syncd.cli.acting import carry_out
    from syncd.control import ApproveAct
    from syncd.process import DONE

    if only_list:
        async with context.read_mirror(mirror) as (session, row):
            held = session.catalogue.approvals.parked(row.id)
        if context.json:
            output.print_json(
                [{"path": one.path, "bytes": one.bytes, "kind": one.kind, "new_bytes": one.new_bytes} for one in held]
            )
        elif not held:
            output.print_line(f"{mirror}: nothing is held for approval")
        else:
            output.table(
                ("file", "loss", ">bytes", ">new bytes"),
                (
                    (
                        one.path,
                        one.kind,
                        output.size(one.bytes),
                        "-" if one.new_bytes is None else output.size(one.new_bytes),
                    )
                    for one in held
                ),
            )
        return DONE
    return await carry_out(context, ApproveAct(mirror=mirror))
