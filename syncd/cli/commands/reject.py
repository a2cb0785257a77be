"""`syncd reject`: files whose loss is held for approval stay as they are."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd reject physionet-mitdb")
async def reject(
    context: "CommandContext",
    mirror: MirrorName,
    undo: Annotated[
        bool, typer.Option("--undo", help="Forget what was rejected: the next pass judges it again.")
    ] = False,
) -> int:
    """Reject the held losses of a mirror: these files stay as they are.

    That holds as long as upstream shows the same. What upstream changes later is judged again.
    """
    from syncd.cli.audit import audited, losses_no_longer_rejected, losses_rejected
    from syncd.process import DONE

    async with context.open_mirror(mirror) as (session, row):
        approvals = session.catalogue.approvals
        with audited(session, mirror, "reject --undo" if undo else "reject") as act:
            count = approvals.forget_rejected(row.id) if undo else approvals.reject(row.id)
            act.outcome = losses_no_longer_rejected(count) if undo else losses_rejected(count)
        if context.json:
            output.print_json({"mirror": mirror, "forgotten" if undo else "rejected": count})
        elif undo:
            output.print_line(f"{mirror}: {output.files(count)} no longer rejected; the next pass judges them again")
        elif count:
            output.print_line(f"{mirror}: rejected; {output.files(count)} stay as they are")
        else:
            output.print_line(f"{mirror}: nothing is held for approval")
        return DONE
