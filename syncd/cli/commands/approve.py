"""`syncd approve`: deletions that are held for approval happen at the next pass."""

from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd approve physionet-mitdb")
async def approve(context: "CommandContext", mirror: MirrorName) -> int:
    """Approve the held deletions of a mirror. The next pass carries out exactly these."""
    from syncd.process import DONE

    async with context.open_mirror(mirror) as (session, row):
        count = session.catalogue.approvals.approve(row.id)
        if context.json:
            output.print_json({"mirror": mirror, "approved": count})
        elif count:
            output.print_line(
                f"{mirror}: approved; the next pass deletes {output.files(count)}; "
                "undelete works until keep.removed ends"
            )
        else:
            output.print_line(f"{mirror}: no deletions are held for approval")
        return DONE
