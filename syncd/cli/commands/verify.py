"""`syncd verify`: compares the store with the Catalogue, and repairs it on request."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.messages import plain
from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.catalogue import VerdictCount
    from syncd.cli.context import CommandContext
    from syncd.engine import Report


@command("syncd verify physionet-mitdb --read-data --repair", asks_upstream=True)
async def verify(
    context: "CommandContext",
    mirror: MirrorName,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every stored byte.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair from kept versions or from upstream; deletes nothing.")
    ] = False,
) -> int:
    """Compare the stored files with their records. Checks presence and size; with --read-data, every byte."""
    from manifests.messages import message
    from syncd.cli.audit import audited
    from syncd.core import NotFound
    from syncd.engine import PassPaths, Verification
    from syncd.process import DONE, SOME_FAILED
    from syncd.workers import processors

    with context.progress() as progress:
        async with context.open_mirror(mirror, progress.listener, grace=0.0) as (session, _):
            row = session.mirror(mirror)
            place = PassPaths(row.name, row.prefix, "verify")

            def verification(source: Any = None) -> Verification:
                return Verification(
                    store=session.store,
                    catalogue=session.catalogue,
                    mirror=row,
                    place=place,
                    hashing=session.hashing,
                    on_verified=progress.count_verified,
                    source=source,
                    threads=processors(),
                )

            began = time.monotonic()
            report = await verification().run(read_data=read_data)
            if repair and report.faults:
                with audited(session, mirror, "repair") as act:
                    try:
                        manifest = session.manifest(mirror)
                    except NotFound:
                        await verification().repair(report)
                    else:
                        async with session.source(manifest) as source:
                            await verification(source).repair(report)
                    mended = sum(fault.repaired for fault in report.faults)
                    act.outcome = message("{mended} of {n} faults repaired", mended=mended, n=len(report.faults))
            progress.stop()
            verdicts = session.catalogue.holdings.verdicts(row.id)
            _show_report(context, report, verdicts, time.monotonic() - began, read_data=read_data)
            return DONE if all(fault.repaired for fault in report.faults) else SOME_FAILED


def _show_report(
    context: "CommandContext", report: "Report", verdicts: "list[VerdictCount]", seconds: float, *, read_data: bool
) -> None:
    import msgspec

    if context.json:
        output.print_json(
            {
                "mirror": report.mirror,
                "snapshot": report.snapshot,
                "files": report.files,
                "bytes": report.bytes,
                "read": report.read,
                "verdicts": msgspec.to_builtins(verdicts, enc_hook=plain),
                "seconds": round(seconds, 3),
                "faults": msgspec.to_builtins(report.faults, enc_hook=plain),
            }
        )
        return
    for fault in report.faults:
        output.print_line(f"{'repaired' if fault.repaired else 'FAULT'}: {fault.finding}: {fault.reason}")
    how = "read and compared" if read_data else "present with the right size"
    found = "no faults" if not report.faults else output.counted(len(report.faults), "fault")
    output.print_line(
        f"{report.mirror}: {output.files(report.files)}, {output.size(report.bytes)} {how}: {found}, {seconds:.1f} s"
    )
    for one in verdicts:
        why = (
            f"by the checksums of {one.by}" if one.verdict == "verified" else "upstream publishes no checksum for them"
        )
        output.print_line(f"  {one.verdict}: {output.files(one.files)}, {output.size(one.bytes)}: {why}")
