"""`syncd snapshots`: the kept snapshots of a mirror, from the Catalogue."""

from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifests.model import Keep
    from syncd.cli.context import CommandContext


@command("syncd snapshots physionet-mitdb")
async def snapshots(context: "CommandContext", mirror: MirrorName) -> int:
    """List the kept snapshots of a mirror, the current one first."""
    from syncd.process import DONE

    async with context.read_mirror(mirror) as (session, row):
        kept = session.catalogue.history.snapshots(row.id)
        tags = {
            one.id: [tag.name for tag in session.catalogue.tags.all(row.id) if tag.snapshot == one.id] for one in kept
        }
        until = kept_until([snapshot.created for snapshot in kept], session.retention(mirror))
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
                        "kept_until": None if tags[snapshot.id] else output.instant(until[at]),
                        "tags": tags[snapshot.id],
                    }
                    for at, snapshot in enumerate(kept)
                ]
            )
        else:
            output.table(
                ("", "snapshot", "created", ">files", ">bytes", "kept until, or tags"),
                (
                    (
                        "*" if at == 0 else "",
                        snapshot.id[:16],
                        output.instant(snapshot.created) or "",
                        f"{snapshot.files:,}",
                        output.size(snapshot.bytes),
                        ", ".join(tags[snapshot.id]) or output.instant(until[at]) or "",
                    )
                    for at, snapshot in enumerate(kept)
                ),
            )
        return DONE


def kept_until(created: "Sequence[float]", keep: "Keep | None") -> "list[float | None]":
    """Return until when each snapshot is kept at least, the current one first; None: it is one of `keep.versions`."""
    return [
        None if keep is None or at <= keep.versions else created[at - 1] + keep.replaced for at in range(len(created))
    ]
