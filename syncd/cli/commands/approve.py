"""`syncd approve`: losses that are held for approval happen at the next pass."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd approve physionet-mitdb")
async def approve(
    context: "CommandContext",
    mirror: MirrorName,
    only_list: Annotated[bool, typer.Option("--list", help="Only list the held losses.")] = False,
) -> int:
    """Approve the held losses of a mirror: deletions, and replacements that lose bytes.

    The next pass carries out exactly these.
    """
    from syncd.cli.audit import audited, losses_approved
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
    async with context.open_mirror(mirror) as (session, row):
        with audited(session, mirror, "approve") as act:
            _, replaced = session.catalogue.approvals.count_parked(row.id)
            count = session.catalogue.approvals.approve(row.id)
            act.outcome = losses_approved(count)
        if context.json:
            output.print_json({"mirror": mirror, "approved": count})
        elif not count:
            output.print_line(f"{mirror}: nothing is held for approval")
        elif replaced:
            output.print_line(
                f"{mirror}: approved; the next pass deletes {output.files(count - replaced)} and replaces "
                f"{output.files(replaced)}; undelete and rollback work until their retention ends"
            )
        else:
            output.print_line(
                f"{mirror}: approved; the next pass deletes {output.files(count)}; "
                "undelete works until keep.removed ends"
            )
        return DONE
