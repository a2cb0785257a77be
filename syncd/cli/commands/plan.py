"""`syncd plan`: shows what a pass would do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import ManifestFile, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext

# actions, for people
_SHOWN_AS = {
    "fetch": "fetch",
    "replace": "replace",
    "remove": "delete",
    "hold": "hold",
    "wait": "wait",
    "refuse": "reject",
}
SHOWN = 20  # files of each kind that a plan shows without --all


@command("syncd plan physionet.yaml --all", asks_upstream=True)
async def plan(
    context: "CommandContext",
    file: ManifestFile,
    everything: Annotated[bool, typer.Option("--all", help="Every file, not only the first few of each kind.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan to this file, for syncd apply.")
    ] = None,
) -> int:
    """Show what a pass would do, and why. Changes nothing."""
    from syncd.engine import explain, make_plan, write_plan
    from syncd.process import DONE, GUARDED, SOME_FAILED
    from syncd.session import read_manifest

    mirror, _ = read_manifest(file)
    await context.require_own(mirror)
    with context.progress() as progress:
        async with (
            context.preview_session(progress.listener, mirror.name) as session,
            session.pass_context(mirror) as work,
        ):
            row = session.catalogue.history.ensure_declared(mirror)
            planning = await make_plan(work, row)
            free = await session.store.free()
            counts = planning.counts
            is_complete = planning.inventory.complete
            nothing = mirror.guard.refuses(counts.found) if is_complete else None
            if out is not None:
                await write_plan(out, work, row, planning, file.absolute())
            code = GUARDED if nothing is not None else DONE if is_complete else SOME_FAILED
            if context.json:
                output.print_json(
                    {
                        "mirror": mirror.name,
                        "complete": planning.inventory.complete,
                        "fetch": counts.fetch,
                        "replace": counts.replace,
                        "keep": counts.keep,
                        "remove": counts.remove,
                        "refuse": counts.refuse,
                        "hold": counts.hold,
                        "wait": counts.wait,
                        "copy": counts.copy,
                        "copy_bytes": counts.copy_bytes,
                        "moved": counts.moved,
                        "bytes": counts.download_bytes,
                        "sizeless": counts.sizeless,
                        "free": free,
                        "parked": planning.parked,
                        "nothing_found": nothing or "",
                        "failed": planning.inventory.failed,
                        "unmatched": planning.inventory.unmatched,
                        "file": str(out) if out is not None else "",
                    }
                )
                return code
            progress.stop()
            output.table(
                ("", ">files", ">bytes"),
                (
                    ("fetch", f"{counts.fetch:,}", output.size(counts.fetch_bytes)),
                    ("replace", f"{counts.replace:,}", output.size(counts.replace_bytes)),
                    ("keep", f"{counts.keep:,}", output.size(counts.keep_bytes)),
                    ("delete", f"{counts.remove:,}", output.size(counts.remove_bytes)),
                    ("reject", f"{counts.refuse:,}", ""),
                    *([("hold", f"{counts.hold:,}", "")] if counts.hold else []),
                    *([("wait", f"{counts.wait:,}", "")] if counts.wait else []),
                ),
            )
            more = f", and {output.files(counts.sizeless)} of unknown size" if counts.sizeless else ""
            room = "unknown" if free is None else output.size(free)
            output.print_line(f"to transfer: {output.size(counts.download_bytes)}{more}; free in the store: {room}")
            if counts.copy:
                output.print_line(
                    f"copied inside the store: {output.files(counts.copy)}, {output.size(counts.copy_bytes)}"
                )
            if counts.moved:
                output.print_line(f"renamed, and so no loss: {counts.moved:,} of the files to delete")
            for action, shown in _SHOWN_AS.items():
                for number, step in enumerate(session.catalogue.claims.steps(row.id, action)):
                    if number >= SHOWN and not everything:
                        output.print_line(f"  … more to {shown}; --all shows every file")
                        break
                    copy = session.catalogue.held.planned(mirror.name, step.path) if counts.copy else None
                    source = f"; a copy of {copy.held_path} of {copy.lender}" if copy is not None else ""
                    output.print_line(f"  {shown:8} {step.path}  ({step.reason}{source})")
            if planning.parked:
                what = "losses" if counts.hold else "deletions"
                held = f"the {what} would be held for approval: {planning.parked}"
                output.print_line(f"{held}; then: syncd approve {mirror.name}")
            for url, reason in planning.inventory.failed:
                output.print_line(f"failed to read: {url}: {reason}")
            for one in planning.inventory.unmatched:
                output.print_line(f"warning: {explain(one)}")
            if not planning.inventory.complete:
                output.print_line("the inventory is INCOMPLETE: nothing would be deleted")
            if out is not None:
                output.print_line(f"written to {out}; carry out exactly this: syncd apply {out}")
            if nothing is not None:
                output.print_line(f"{nothing}: a pass would change nothing")
            return code
