"""`syncd sync`: one pass over each mirror."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import ManifestFiles, command

if TYPE_CHECKING:
    from manifests.model import Mirror
    from manifests.snapshot import Snapshot
    from syncd.catalogue import MirrorRow
    from syncd.cli.context import CommandContext
    from syncd.config import Config
    from syncd.core import PassFinished
    from syncd.session import Session

SHOWN = 20  # failures that are shown


@command("syncd sync physionet.yaml --store /data/mirror", asks_upstream=True)
async def sync(
    context: "CommandContext",
    files: ManifestFiles,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Request files that keep failing verification at once.")
    ] = False,
) -> int:
    """Run one pass over each mirror: survey, plan, transfer, publish."""
    from manifests.messages import message
    from syncd.cli.audit import audited, manifest_by
    from syncd.core import SyncdError
    from syncd.engine import Pass
    from syncd.process import DONE, INTERRUPTED, code_of
    from syncd.session import read_manifest

    declared = [(file, *read_manifest(file)) for file in files]
    worst = DONE
    with context.progress() as progress:
        async with context.open_session(progress.listener) as session:
            for file, mirror, text in declared:
                if context.stopping.is_set():
                    return INTERRUPTED
                _warn_outside_window(mirror)
                try:
                    _require_enabled(mirror)
                    session.catalogue.history.require_own(mirror)
                    session.save_manifest(mirror.name, text, file=str(file), **manifest_by())
                    if retry_failed:
                        with audited(session, mirror.name, "retry") as act:
                            act.outcome = message("files that keep failing verification are requested at once")
                    # an explicit `settle` says that the source is written to: those files are left for the next pass
                    patient = mirror.source.settle is None
                    with audited(session, mirror.name, "sync") as act:
                        async with session.pass_context(mirror, retry_failed=retry_failed, is_patient=patient) as work:
                            result = await Pass(work).run()
                        act.outcome = message("snapshot {snapshot}", snapshot=result.snapshot[:12])
                except SyncdError as error:
                    progress.stop()
                    output.print_error(error, json=context.json, secrets=context.secrets)
                    worst = max(worst, code_of(error))
                    continue
                progress.stop()
                worst = max(worst, sync_outcome(context, session, result))
            return INTERRUPTED if context.stopping.is_set() else worst


def _require_enabled(mirror: "Mirror") -> None:
    """Raise ConfigError for a mirror that its manifest disables."""
    from manifests.messages import message
    from syncd.core import ConfigError

    if not mirror.enabled:
        raise ConfigError(
            message("{name}: is disabled by its manifest: write enabled: true, or delete the key", name=mirror.name)
        )


def _warn_outside_window(mirror: "Mirror") -> None:
    """Warn that a pass runs outside its window: one that is started by hand runs at any hour."""
    window = mirror.source.limits.window
    if window is not None and not window.is_open(datetime.now(UTC)):
        sys.stderr.write(f"syncd: {mirror.name}: runs outside its window (source.limits.window), as requested\n")


def sync_outcome(context: "CommandContext", session: "Session", result: "PassFinished") -> int:
    """Print how a pass ended, and return its exit code."""
    from syncd.engine import explain
    from syncd.process import DONE, GUARDED, SOME_FAILED

    row = session.mirror(result.mirror)
    if context.json:
        output.print_json(result)
    else:
        rate = result.bytes / result.seconds if result.seconds else 0.0
        copied = f" ({result.copied} copied inside the store)" if result.copied else ""
        waiting = f", {result.waiting} waiting" if result.waiting else ""
        output.print_line(
            f"{result.mirror}: {result.fetched} fetched, {result.replaced} replaced{copied}, "
            f"{result.kept} kept, "
            f"{result.removed} deleted, {result.parked} held for approval, {result.failed} failed{waiting}; "
            f"{output.size(result.bytes)} in {result.seconds:.1f} s ({output.size(int(rate))}/s)"
        )
        for failure in session.catalogue.failures.files(row.id)[:SHOWN]:
            kept = f" (kept in {failure.quarantined})" if failure.quarantined else ""
            output.print_line(f"  failed: {failure.reason}{kept}")
        if result.failed > SHOWN:
            output.print_line(f"  … {result.failed - SHOWN} more; syncd status --json shows them")
        for one in result.unmatched:
            output.print_line(f"  warning: {explain(one)}")
        for waits in session.catalogue.unsettled.files(row.id, limit=SHOWN) if result.waiting else ():
            output.print_line(f"  waiting: {waits.path}: {waits.reason}")
        if result.waiting > SHOWN:
            output.print_line(f"  … {result.waiting - SHOWN} more wait; the next pass looks at them again")
        if result.parked:
            output.print_line(
                f"  {output.files(result.parked)} held for approval; approve: syncd approve {result.mirror}"
            )
        if not result.complete and not result.failed:
            output.print_line("  the inventory is incomplete, or the pass was stopped: nothing was deleted")
        output.print_line(f"  snapshot {result.snapshot}")
        current = session.catalogue.history.current(row.id)
        assert current is not None  # a pass ends with a snapshot
        output.print_line(f"  check it: {checksum_line(context.config, row, current)}")
    if result.parked:
        return GUARDED
    return DONE if result.complete else SOME_FAILED


def checksum_line(config: "Config", row: "MirrorRow", snapshot: "Snapshot") -> str:
    """Return the command that checks a mirror without syncd, or where its checksums are."""
    from syncd.engine import checksum_command

    return checksum_command(config.store.url, row.prefix, snapshot)
