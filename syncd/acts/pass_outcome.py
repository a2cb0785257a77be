"""What `syncd sync` says of a pass: the same, whether the command ran it or the daemon."""

import msgspec

from manifests.messages import message, plain
from syncd.acts.act_context import files_text, size_text
from syncd.control import ActResult
from syncd.core import PassFinished
from syncd.engine import checksum_command, explain
from syncd.process import DONE, GUARDED, SOME_FAILED
from syncd.session import Session

SHOWN = 20  # failures that are shown


def pass_outcome(session: Session, result: PassFinished) -> ActResult:
    """Return how a pass ended, with its first failures."""
    code = GUARDED if result.parked else DONE if result.complete else SOME_FAILED
    return ActResult(
        outcome=message("snapshot {snapshot} is the current one", snapshot=result.snapshot[:12]),
        data=msgspec.to_builtins(result, enc_hook=plain),
        lines=tuple(_lines(session, result)),
        code=code,
    )


def _lines(session: Session, result: PassFinished) -> list[str]:
    row, catalogue = session.mirror(result.mirror), session.catalogue
    rate = result.bytes / result.seconds if result.seconds else 0.0
    copied = f" ({result.copied} copied inside the store)" if result.copied else ""
    waiting = f", {result.waiting} waiting" if result.waiting else ""
    counts = (
        f"{result.mirror}: {result.fetched} fetched, {result.replaced} replaced{copied}, "
        f"{result.kept} kept, "
        f"{result.removed} deleted, {result.parked} held for approval, {result.failed} failed{waiting}; "
        f"{size_text(result.bytes)} in {result.seconds:.1f} s ({size_text(int(rate))}/s)"
    )
    lines = [counts]
    for failure in catalogue.failures.files(row.id)[:SHOWN]:
        kept = f" (kept in {failure.quarantined})" if failure.quarantined else ""
        lines.append(f"  failed: {failure.reason}{kept}")
    if result.failed > SHOWN:
        lines.append(f"  … {result.failed - SHOWN} more; syncd status --json shows them")
    lines += [f"  warning: {explain(one)}" for one in result.unmatched]
    for waits in catalogue.unsettled.files(row.id, limit=SHOWN) if result.waiting else ():
        lines.append(f"  waiting: {waits.path}: {waits.reason}")
    if result.waiting > SHOWN:
        lines.append(f"  … {result.waiting - SHOWN} more wait; the next pass looks at them again")
    if result.parked:
        lines.append(f"  {files_text(result.parked)} held for approval; approve: syncd approve {result.mirror}")
    if not result.complete and not result.failed:
        lines.append("  the inventory is incomplete, or the pass was stopped: nothing was deleted")
    lines.append(f"  snapshot {result.snapshot}")
    current = catalogue.history.current(row.id)
    assert current is not None  # a pass ends with a snapshot
    lines.append(f"  check it: {checksum_command(session.config.store.url, row.prefix, current)}")
    return lines
