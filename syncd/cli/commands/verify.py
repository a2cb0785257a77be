"""Compares the store with what was proved, and mends it if asked to."""

import time
from typing import Any

import msgspec

from syncd.cli import output
from syncd.cli.commands.steps_back import keep_versions
from syncd.cli.context import CommandContext
from syncd.core import NotFound
from syncd.engine import PassPaths, Publisher, Report, Verification, is_interrupted
from syncd.process import DONE, SOME_FAILED
from syncd.session import Session
from syncd.workers import processors


async def verify(context: CommandContext, name: str, *, read_data: bool, repair: bool) -> int:
    """Verify one mirror, and mend it if asked to."""
    with context.progress() as progress:
        async with context.open_session(progress.listener, grace=0.0) as session:
            await _finish_publish(session, name, json=context.json)
            row = session.mirror(name)
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
                try:
                    manifest = session.manifest(name)
                except NotFound:
                    await verification().repair(report)
                else:
                    async with session.source(manifest) as source:
                        await verification(source).repair(report)
            progress.stop()
            _show_report(context, report, time.monotonic() - began, read_data=read_data)
            return DONE if all(fault.repaired for fault in report.faults) else SOME_FAILED


async def _finish_publish(session: Session, name: str, *, json: bool) -> None:
    """Roll forward what a crash interrupted, so that it is not reported as damage."""
    row = session.mirror(name)
    if not is_interrupted(session.catalogue, row):
        return  # without reading the manifest, which only a publish needs
    place = PassPaths(row.name, row.prefix, f"publish-{time.time_ns():x}")
    publisher = Publisher(session.store, session.catalogue, row, place, session.listener, keep_versions(session, name))
    if (snapshot := await publisher.finish()) is not None:
        output.print_warning(
            f"{name}: a publish was interrupted; it is finished now: snapshot {snapshot.id[:12]}", json=json
        )


def _show_report(context: CommandContext, report: Report, seconds: float, *, read_data: bool) -> None:
    if context.json:
        output.print_json(
            {
                "mirror": report.mirror,
                "snapshot": report.snapshot,
                "files": report.files,
                "bytes": report.bytes,
                "read": report.read,
                "seconds": round(seconds, 3),
                "faults": msgspec.to_builtins(report.faults),
            }
        )
        return
    for fault in report.faults:
        output.print_line(f"{'repaired' if fault.repaired else 'FAULT'}: {fault.finding}: {fault.reason}")
    how = "read and compared" if read_data else "present with the right size"
    found = "no faults" if not report.faults else f"faults: {len(report.faults)}"
    output.print_line(
        f"{report.mirror}: {output.files(report.files)}, {output.size(report.bytes)} {how}: {found}, {seconds:.1f} s"
    )
