"""`syncd unpin`: restored files follow upstream again."""

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd unpin physionet-mitdb 100.dat")
async def unpin(
    context: "CommandContext",
    mirror: MirrorName,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="Pinned files; without it, they are listed.")
    ] = None,
) -> int:
    """Release restored files: the next pass follows upstream again. Without a path, list the pinned files."""
    from manifests.messages import message
    from syncd.cli.audit import audited, files_unpinned
    from syncd.core import UnknownName
    from syncd.process import DONE

    if not paths:
        async with context.read_mirror(mirror) as (session, row):
            pins = session.catalogue.approvals.pins(row.id)
            if context.json:
                output.print_json([{"path": path, "frozen": frozen} for path, frozen in pins])
            elif not pins:
                output.print_line(f"{mirror}: nothing is pinned")
            else:
                output.table(
                    ("file", "pinned against"),
                    ((path, "deletion and replacement" if frozen else "deletion") for path, frozen in pins),
                )
            return DONE
    async with context.open_mirror(mirror) as (session, row):
        pinned = session.catalogue.approvals.pinned(row.id)
        if unknown := [path for path in paths if path not in pinned]:
            raise UnknownName(
                message(
                    "{path}: is not pinned in {mirror}; `syncd unpin {mirror}` lists them",
                    path=unknown[0],
                    mirror=mirror,
                )
            )
        with audited(session, mirror, "unpin") as act:
            session.catalogue.approvals.unpin(row.id, paths)
            act.outcome = files_unpinned(sorted(set(paths)))
        if context.json:
            output.print_json({"mirror": mirror, "unpinned": sorted(set(paths))})
        else:
            output.print_line(
                f"{mirror}: {output.files(len(set(paths)))} unpinned; the next pass follows upstream again"
            )
        return DONE
