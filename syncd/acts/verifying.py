"""Compares the stored files of a mirror with their records, and repairs what differs on request."""

import time
from typing import Any

import msgspec

from manifests.messages import count, message, plain
from syncd.acts.act_context import ActContext, files_text, size_text
from syncd.catalogue import VerdictCount
from syncd.control import ActResult, VerifyAct
from syncd.core import NotFound
from syncd.engine import PassPaths, Report, Verification
from syncd.process import DONE, SOME_FAILED


async def verify(act: VerifyAct, context: ActContext) -> ActResult:
    """Check presence and size of each file, or every byte; repair from kept versions or from upstream."""
    session, row = context.session, context.row(act.mirror)

    def verification(source: Any = None) -> Verification:
        return Verification(
            store=session.store,
            catalogue=session.catalogue,
            mirror=row,
            place=PassPaths(row.name, row.prefix, "verify"),
            hashing=session.hashing,
            on_verified=context.on_verified,
            source=source,
            now=session.now,
            threads=context.threads,
        )

    began = time.monotonic()
    report = await verification().run(read_data=act.read_data)
    if act.repair and report.faults:
        try:
            manifest = session.manifest(act.mirror)
        except NotFound:
            await verification().repair(report)
        else:
            async with session.source(manifest) as source:
                await verification(source).repair(report)
    verdicts = session.catalogue.holdings.verdicts(row.id)
    return show_report(report, verdicts, time.monotonic() - began, read_data=act.read_data)


def show_report(report: Report, verdicts: list[VerdictCount], seconds: float, *, read_data: bool) -> ActResult:
    """Return a report as what came of an act."""
    lines: list[str] = []
    for fault in report.faults:
        if fault.repaired:
            lines.append(message("repaired: {finding}: {reason}", finding=fault.finding, reason=fault.reason))
        else:
            lines.append(message("FAULT: {finding}: {reason}", finding=fault.finding, reason=fault.reason))
    found = count(len(report.faults), "{n} fault", "{n:,} faults") if report.faults else message("no faults")
    how = message("read and compared") if read_data else message("present with the right size")
    lines.append(
        message(
            "{mirror}: {files}, {size} {how}: {found}, {seconds} s",
            mirror=report.mirror,
            files=files_text(report.files),
            size=size_text(report.bytes),
            how=how,
            found=found,
            seconds=f"{seconds:.1f}",
        )
    )
    for one in verdicts:
        why = (
            message("by the checksums of {by}", by=one.by)
            if one.verdict == "verified"
            else message("upstream publishes no checksum for them")
        )
        lines.append(
            message(
                "  {verdict}: {files}, {size}: {why}",
                verdict=one.verdict,
                files=files_text(one.files),
                size=size_text(one.bytes),
                why=why,
            )
        )
    repaired = sum(fault.repaired for fault in report.faults)
    return ActResult(
        outcome=message("{found}; repaired: {repaired}", found=found, repaired=repaired) if report.faults else found,
        data={
            "mirror": report.mirror,
            "snapshot": report.snapshot,
            "files": report.files,
            "bytes": report.bytes,
            "read": report.read,
            "verdicts": msgspec.to_builtins(verdicts, enc_hook=plain),
            "seconds": round(seconds, 3),
            "faults": msgspec.to_builtins(report.faults, enc_hook=plain),
        },
        lines=tuple(lines),
        code=DONE if repaired == len(report.faults) else SOME_FAILED,
    )
