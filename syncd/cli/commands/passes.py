"""What a pass does, one step after the other: the inventory, the plan, and the whole of it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from manifests.model import Mirror
from syncd.catalogue import MirrorRow
from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.config import Config
from syncd.core import SyncdError, printable
from syncd.engine import Pass, PassResult, list_upstream, make_plan
from syncd.process import DONE, GUARDED, INTERRUPTED, SOME_FAILED, code_of
from syncd.session import Session, read_manifest

SHOWN = 20  # files of each kind that a plan shows without --all


async def survey(context: CommandContext, file: Path) -> int:
    """Print the inventory."""
    mirror, _ = read_manifest(file)
    with context.progress() as progress:
        async with context.open_session(progress.listener, grace=0.0) as session, session.pass_context(mirror) as work:
            row = session.catalogue.history.ensure_declared(mirror)
            inventory, found = await list_upstream(work, row)
            progress.stop()
            count = 0
            for stat in found:
                count += 1
                if context.json:
                    output.print_json(output.stat_object(stat))
                else:
                    size = "?" if stat.size is None else str(stat.size)
                    digests = " ".join(f"{name}:{value[:12]}…" for name, value in stat.digests.items())
                    output.print_line(
                        f"{size:>14}  {output.instant(stat.modified) or '-':20}  {stat.path}  {digests}".rstrip()
                    )
            for url, reason in inventory.failed:
                sys.stderr.write(f"syncd: {printable(url)}: {printable(reason)}\n")
            if not context.json:
                state = "complete" if inventory.complete else "INCOMPLETE"
                output.print_line(f"{output.files(count)} upstream, inventory {state}")
            return DONE if inventory.complete else SOME_FAILED


async def plan(context: CommandContext, file: Path, *, everything: bool) -> int:
    """Print the plan."""
    mirror, _ = read_manifest(file)
    with context.progress() as progress:
        async with context.open_session(progress.listener, grace=0.0) as session, session.pass_context(mirror) as work:
            row = session.catalogue.history.ensure_declared(mirror)
            planning = await make_plan(work, row)
            free = await session.store.free()
            counts = planning.counts
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
                        "bytes": counts.bytes,
                        "sizeless": counts.sizeless,
                        "free": free,
                        "parked": planning.parked,
                        "failed": planning.inventory.failed,
                    }
                )
                return DONE if planning.inventory.complete else SOME_FAILED
            progress.stop()
            output.table(
                ("", ">files", ">bytes"),
                (
                    ("fetch", f"{counts.fetch:,}", output.size(counts.fetch_bytes)),
                    ("replace", f"{counts.replace:,}", output.size(counts.replace_bytes)),
                    ("keep", f"{counts.keep:,}", output.size(counts.keep_bytes)),
                    ("remove", f"{counts.remove:,}", output.size(counts.remove_bytes)),
                    ("refuse", f"{counts.refuse:,}", ""),
                ),
            )
            more = f", and {output.files(counts.sizeless)} of unknown size" if counts.sizeless else ""
            room = "unknown" if free is None else output.size(free)
            output.print_line(f"to transfer: {output.size(counts.bytes)}{more}; free in the store: {room}")
            for action in ("fetch", "replace", "remove", "refuse"):
                for number, step in enumerate(session.catalogue.claims.steps(row.id, action)):
                    if number >= SHOWN and not everything:
                        output.print_line(f"  … {action}: more; --all shows every file")
                        break
                    output.print_line(f"  {action:8} {step.path}  ({step.reason})")
            if planning.parked:
                output.print_line(f"the deletions would be held for approval: {planning.parked}")
            for url, reason in planning.inventory.failed:
                output.print_line(f"not read: {url}: {reason}")
            if not planning.inventory.complete:
                output.print_line("the inventory is INCOMPLETE: nothing would be deleted")
            return DONE if planning.inventory.complete else SOME_FAILED


async def sync(context: CommandContext, files: list[Path]) -> int:
    """Run one pass over each mirror; the worst outcome is the exit code."""
    declared = [read_manifest(file) for file in files]
    worst = DONE
    with context.progress() as progress:
        async with context.open_session(progress.listener) as session:
            for mirror, text in declared:
                if context.stopping.is_set():
                    return INTERRUPTED
                session.save_manifest(mirror.name, text)
                _warn_outside_window(mirror)
                try:
                    async with session.pass_context(mirror) as work:
                        result = await Pass(work).run()
                except SyncdError as error:
                    progress.stop()
                    output.print_error(error, json=context.json, secrets=context.secrets)
                    worst = max(worst, code_of(error))
                    continue
                progress.stop()
                worst = max(worst, _outcome(context, session, result))
            return INTERRUPTED if context.stopping.is_set() else worst


def _warn_outside_window(mirror: Mirror) -> None:
    """Say that a pass runs outside its hours; whoever asks for one by hand gets it."""
    window = mirror.source.limits.window
    if window is not None and not window.is_open(datetime.now(UTC)):
        sys.stderr.write(f"syncd: {mirror.name}: runs outside its window (source.limits.window), as requested\n")


def _outcome(context: CommandContext, session: Session, result: PassResult) -> int:
    """Print how a pass ended, and return its exit code."""
    row = session.mirror(result.mirror)
    if context.json:
        output.print_json(result)
    else:
        rate = result.bytes / result.seconds if result.seconds else 0.0
        output.print_line(
            f"{result.mirror}: {result.fetched} fetched, {result.replaced} replaced, {result.kept} kept, "
            f"{result.removed} removed, {result.parked} held, {result.failed} failed; "
            f"{output.size(result.bytes)} in {result.seconds:.1f} s ({output.size(int(rate))}/s)"
        )
        for failure in session.catalogue.failures.files(row.id)[:SHOWN]:
            kept = f" (kept in {failure.quarantined})" if failure.quarantined else ""
            output.print_line(f"  failed: {failure.reason}{kept}")
        if result.failed > SHOWN:
            output.print_line(f"  … {result.failed - SHOWN} more; syncd status --json shows them")
        if result.parked:
            output.print_line(
                f"  {output.files(result.parked)} deleted upstream, held here; approve: syncd approve {result.mirror}"
            )
        if not result.complete and not result.failed:
            output.print_line("  the inventory is incomplete, or the pass was stopped: nothing was deleted")
        output.print_line(f"  snapshot {result.snapshot}")
        output.print_line(f"  check it: {checksum_command(context.config, row)}")
    if result.parked:
        return GUARDED
    return DONE if result.complete else SOME_FAILED


def checksum_command(config: Config, row: MirrorRow) -> str:
    """Return the command that checks a mirror without us."""
    sums = f".syncd/snapshots/{row.name}/{row.snapshot}/SHA256SUMS"
    if config.store.url.startswith("s3://"):
        return f"{sums} in {config.store.url}"
    up = "../" * row.prefix.count("/")
    return f"(cd {config.store.url.rstrip('/')}/{row.prefix} && sha256sum --quiet -c {up}{sums})"
