"""`syncd snapshots`: the kept snapshots of a mirror, from the Catalogue."""

from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd snapshots physionet-mitdb")
async def snapshots(context: "CommandContext", mirror: MirrorName) -> int:
    """List the kept snapshots of a mirror, the current one first."""
    from syncd.process import DONE

    async with context.read_mirror(mirror) as (session, row):
        kept = session.catalogue.history.snapshots(row.id)
        if context.json:
            output.print_json(
                [
                    {
                        "id": snapshot.id,
                        "created": output.instant(snapshot.created),
                        "files": snapshot.files,
                        "bytes": snapshot.bytes,
                        "previous": snapshot.previous,
                        "current": at == 0,
                    }
                    for at, snapshot in enumerate(kept)
                ]
            )
        else:
            output.table(
                ("", "snapshot", "created", ">files", ">bytes"),
                (
                    (
                        "*" if at == 0 else "",
                        snapshot.id[:16],
                        output.instant(snapshot.created) or "",
                        f"{snapshot.files:,}",
                        output.size(snapshot.bytes),
                    )
                    for at, snapshot in enumerate(kept)
                ),
            )
        return DONE
