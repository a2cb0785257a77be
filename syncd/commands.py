"""What each command of the command line does; returns the exit code."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from manifests.mirror import ManifestError, Mirror, load_mirror, overlaps
from manifests.snapshot import Pointer, Snapshot
from syncd import looking, show
from syncd.backup import bring_back
from syncd.catalogue import Row
from syncd.config import Config
from syncd.declared import manifest_files
from syncd.errors import NotFound, SyncdError
from syncd.events import Listener
from syncd.mirror_pass import Pass, Result
from syncd.planning import make_plan, take_stock
from syncd.progress import Progress, for_terminal, printable
from syncd.publish import Publisher
from syncd.redaction import Secrets
from syncd.registry import names
from syncd.restore import Restoration
from syncd.restore import rebuild as rebuild_catalogue
from syncd.running import DONE, GUARDED, INTERRUPTED, SOME_FAILED, USAGE, Interruptible, code_of
from syncd.transfer import Place
from syncd.upstream import TRANSPORTS
from syncd.verify import Report, Verification
from syncd.workbench import Workbench, opened, read_manifest

SHOWN = 20  # files of each kind that a plan shows without --all


@dataclass(frozen=True, slots=True)
class Context:
    """How a command was called."""

    config: Config
    environ: Mapping[str, str]
    json: bool
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    secrets: Secrets = field(default_factory=Secrets)
    load: Callable[[], Config] | None = None
    """Reads the configuration again, from `file`."""
    file: Path | None = None

    @asynccontextmanager
    async def bench(self, listener: Listener, *, writing: bool = True) -> AsyncIterator[Workbench]:
        """Open everything, and mind the signals while it is open."""
        with Interruptible(self.stopping):
            async with opened(
                self.config, self.environ, listener, writing=writing, stopping=self.stopping, secrets=self.secrets
            ) as bench:
                yield bench

    def progress(self) -> Progress:
        """Return the display that fits where stderr goes."""
        return for_terminal(sys.stderr, json=self.json)


def check(paths: list[Path], *, json: bool) -> int:
    """Lint every manifest; all problems of all files, and of the files together."""
    problems: list[dict[str, Any]] = []
    files = [file for path in paths for file in (manifest_files(path) if path.is_dir() else [path])]
    mirrors: list[Mirror] = []
    for file in files:
        try:
            mirrors.append(load_mirror(file.read_bytes(), str(file), schemes=names(TRANSPORTS)))
        except ManifestError as error:
            problems += [msgspec.to_builtins(problem) for problem in error.problems]
        except OSError as error:
            problems.append(_problem(file, f"cannot be read: {error.strerror}", "give the path of a manifest"))
    problems += [
        _problem(paths[0], clash, "rename one, or give it another store.prefix") for clash in overlaps(mirrors)
    ]
    if json:
        show.print_json({"files": len(files), "problems": problems})
    else:
        for problem in problems:
            show.say("{file}:{line}:{column}: {where}: {what}: {todo}".format(**problem))
        if not files:
            show.say("no manifest found: give files, or folders that hold *.yaml")
        elif not problems:
            show.say(f"{show.files(len(files))}: no problems")
    return USAGE if problems or not files else DONE


def _problem(file: Path, what: str, todo: str) -> dict[str, Any]:
    return {"file": str(file), "line": 1, "column": 1, "where": "file", "what": what, "todo": todo}


async def survey(context: Context, file: Path) -> int:
    """Print the inventory."""
    mirror, _ = read_manifest(file)
    with context.progress() as progress:
        async with context.bench(progress.listener) as bench, bench.work(mirror) as work:
            row = bench.catalogue.history.enrol(
                mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
            )
            inventory, found = await take_stock(work, row)
            progress.stop()
            count = 0
            for stat in found:
                count += 1
                if context.json:
                    show.print_json(show.stat_object(stat))
                else:
                    size = "?" if stat.size is None else str(stat.size)
                    digests = " ".join(f"{name}:{value[:12]}…" for name, value in stat.digests.items())
                    show.say(f"{size:>14}  {show.instant(stat.modified) or '-':20}  {stat.path}  {digests}".rstrip())
            for url, reason in inventory.failed:
                sys.stderr.write(f"syncd: {printable(url)}: {printable(reason)}\n")
            if not context.json:
                state = "complete" if inventory.complete else "INCOMPLETE"
                show.say(f"{show.files(count)} upstream, inventory {state}")
            return DONE if inventory.complete else SOME_FAILED


async def plan(context: Context, file: Path, *, everything: bool) -> int:
    """Print the plan."""
    mirror, _ = read_manifest(file)
    with context.progress() as progress:
        async with context.bench(progress.listener) as bench, bench.work(mirror) as work:
            row = bench.catalogue.history.enrol(
                mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
            )
            planning = await make_plan(work, row)
            free = await bench.store.free()
            counts = planning.counts
            if context.json:
                show.print_json(
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
            show.table(
                ("", ">files", ">bytes"),
                (
                    ("fetch", f"{counts.fetch:,}", show.size(counts.fetch_bytes)),
                    ("replace", f"{counts.replace:,}", show.size(counts.replace_bytes)),
                    ("keep", f"{counts.keep:,}", show.size(counts.keep_bytes)),
                    ("remove", f"{counts.remove:,}", show.size(counts.remove_bytes)),
                    ("refuse", f"{counts.refuse:,}", ""),
                ),
            )
            more = f", and {show.files(counts.sizeless)} whose size upstream does not say" if counts.sizeless else ""
            room = "unknown" if free is None else show.size(free)
            show.say(f"to move: {show.size(counts.bytes)}{more}; free in the store: {room}")
            for action in ("fetch", "replace", "remove", "refuse"):
                for number, step in enumerate(bench.catalogue.claims.steps(row.id, action)):
                    if number >= SHOWN and not everything:
                        show.say(f"  … {action}: more; --all shows every file")
                        break
                    show.say(f"  {action:8} {step.path}  ({step.reason})")
            if planning.parked:
                show.say(f"the removals would be parked: {planning.parked}; then: syncd approve {mirror.name}")
            for url, reason in planning.inventory.failed:
                show.say(f"not read: {url}: {reason}")
            if not planning.inventory.complete:
                show.say("the inventory is INCOMPLETE: nothing would be removed")
            return DONE if planning.inventory.complete else SOME_FAILED


async def sync(context: Context, files: list[Path]) -> int:
    """Run one pass over each mirror; the worst outcome is the exit code."""
    declared = [read_manifest(file) for file in files]
    worst = DONE
    with context.progress() as progress:
        async with context.bench(progress.listener) as bench:
            for mirror, text in declared:
                if context.stopping.is_set():
                    return INTERRUPTED
                bench.remember(mirror.name, text)
                _mind_window(mirror)
                try:
                    async with bench.work(mirror) as work:
                        result = await Pass(work).run()
                except SyncdError as error:
                    progress.stop()
                    show.complain(error, json=context.json, secrets=context.secrets)
                    worst = max(worst, code_of(error))
                    continue
                progress.stop()
                worst = max(worst, _outcome(context, bench, result))
            return INTERRUPTED if context.stopping.is_set() else worst


def _mind_window(mirror: Mirror) -> None:
    """Say that a pass runs outside its hours; whoever asks for one by hand gets it."""
    window = mirror.source.limits.window
    if window is not None and not window.is_open(datetime.now(UTC)):
        sys.stderr.write(f"syncd: {mirror.name}: outside its window (source.limits.window), but asked for by hand\n")


def _outcome(context: Context, bench: Workbench, result: Result) -> int:
    """Print how a pass ended, and return its exit code."""
    row = bench.mirror(result.mirror)
    if context.json:
        show.print_json(result)
    else:
        rate = result.bytes / result.seconds if result.seconds else 0.0
        show.say(
            f"{result.mirror}: {result.fetched} fetched, {result.replaced} replaced, {result.kept} kept, "
            f"{result.removed} removed, {result.parked} parked, {result.failed} failed; "
            f"{show.size(result.bytes)} in {result.seconds:.1f} s ({show.size(int(rate))}/s)"
        )
        for failure in bench.catalogue.history.failures(row.id)[:SHOWN]:
            kept = f" (kept in {failure.quarantined})" if failure.quarantined else ""
            show.say(f"  failed: {failure.reason}{kept}")
        if result.failed > SHOWN:
            show.say(f"  … {result.failed - SHOWN} more; syncd status --json shows them")
        if result.parked:
            show.say(f"  {show.files(result.parked)} gone upstream, parked; let them go: syncd approve {result.mirror}")
        if not result.complete and not result.failed:
            show.say("  the inventory is incomplete, or the pass was stopped: nothing was removed")
        show.say(f"  snapshot {result.snapshot}")
        show.say(f"  check it: {sums_command(context.config, row)}")
    if result.parked:
        return GUARDED
    return DONE if result.complete else SOME_FAILED


def sums_command(config: Config, row: Row) -> str:
    """Return the command that checks a mirror without us."""
    sums = f".syncd/snapshots/{row.name}/{row.snapshot}/SHA256SUMS"
    if config.store.url.startswith("s3://"):
        return f"{sums} in {config.store.url}"
    up = "../" * row.prefix.count("/")
    return f"(cd {config.store.url.rstrip('/')}/{row.prefix} && sha256sum --quiet -c {up}{sums})"


async def run(context: Context) -> int:
    """Run the daemon."""
    from syncd import service  # noqa: PLC0415  the HTTP side is slow to import, and no other command needs it

    assert context.load is not None
    return await service.run(
        context.config,
        context.load,
        context.file,
        context.environ,
        json=context.json,
        secrets=context.secrets,
        stopping=context.stopping,
    )


async def verify(context: Context, name: str, *, read_data: bool, repair: bool) -> int:
    """Verify one mirror, and mend it if asked to."""
    with context.progress() as progress:
        async with context.bench(progress.listener) as bench:
            row = bench.mirror(name)
            place = Place(row.name, row.prefix, "verify")

            def verification(source: Any = None) -> Verification:
                return Verification(bench.store, bench.catalogue, row, place, bench.hashing, progress.looked, source)

            began = time.monotonic()
            report = await verification().run(read_data=read_data)
            if repair and report.faults:
                try:
                    manifest = bench.manifest(name)
                except NotFound:
                    await verification().repair(report)
                else:
                    async with bench.source(manifest) as source:
                        await verification(source).repair(report)
            progress.stop()
            _show_report(context, report, time.monotonic() - began, read_data=read_data)
            return DONE if all(fault.repaired for fault in report.faults) else SOME_FAILED


def _show_report(context: Context, report: Report, seconds: float, *, read_data: bool) -> None:
    if context.json:
        show.print_json(
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
        show.say(f"{'repaired' if fault.repaired else 'FAULT'}: {fault.finding}: {fault.reason}")
    how = "read and compared" if read_data else "present with the right size"
    found = "no faults" if not report.faults else f"{len(report.faults)} faults"
    show.say(f"{report.mirror}: {show.files(report.files)}, {show.size(report.bytes)} {how}: {found}, {seconds:.1f} s")


async def status(context: Context) -> int:
    """Show every mirror."""
    async with context.bench(lambda _: None, writing=False) as bench:
        rows = bench.catalogue.history.mirrors()
        now = time.time()
        found = []
        for row in rows:
            count, size = bench.catalogue.holdings.totals(row.id)
            found.append(
                {
                    "mirror": row.name,
                    "title": row.title,
                    "source": row.source,
                    "snapshot": row.snapshot,
                    "files": count,
                    "bytes": size,
                    "succeeded": show.instant(row.succeeded),
                    "attempted": show.instant(row.attempted),
                    "last": row.last,
                    "parked": len(bench.catalogue.history.parked(row.id)),
                    "failures": msgspec.to_builtins(bench.catalogue.history.failures(row.id)),
                }
            )
        if context.json:
            show.print_json(found)
        elif not rows:
            show.say(f"no mirrors in {context.config.state} yet; the first: syncd sync FILE")
        else:
            show.table(
                ("mirror", "last success", ">files", ">bytes", ">failed", ">parked", "snapshot"),
                (
                    (
                        row.name,
                        show.ago(row.succeeded, now),
                        f"{one['files']:,}",
                        show.size(int(one["bytes"])),
                        str(len(one["failures"])),
                        str(one["parked"]),
                        row.snapshot[:12],
                    )
                    for row, one in zip(rows, found, strict=True)
                ),
            )
        return DONE


async def snapshots(context: Context, name: str) -> int:
    """List kept snapshots."""
    async with context.bench(lambda _: None, writing=False) as bench:
        kept = bench.catalogue.history.snapshots(bench.mirror(name).id)
        if context.json:
            show.print_json(
                [
                    {
                        "id": snapshot.id,
                        "created": show.instant(snapshot.created),
                        "files": snapshot.files,
                        "bytes": snapshot.bytes,
                        "previous": snapshot.previous,
                        "current": at == 0,
                    }
                    for at, snapshot in enumerate(kept)
                ]
            )
        else:
            show.table(
                ("", "snapshot", "created", ">files", ">bytes"),
                (
                    (
                        "*" if at == 0 else "",
                        snapshot.id[:16],
                        show.instant(snapshot.created) or "",
                        f"{snapshot.files:,}",
                        show.size(snapshot.bytes),
                    )
                    for at, snapshot in enumerate(kept)
                ),
            )
        return DONE


async def diff(context: Context, name: str, before: str, after: str) -> int:
    """Compare two kept snapshots; only shards that differ are read."""
    async with context.bench(lambda _: None, writing=False) as bench:
        kept = bench.catalogue.history.snapshots(bench.mirror(name).id)
        found = await looking.diff(bench.store, name, kept, before, after, limit=sys.maxsize)
        if context.json:
            changes = [{"path": change.path, "change": change.change} for change in found.changes]
            show.print_json({"mirror": name, "before": found.before, "after": found.after, "changes": changes})
        else:
            for change in found.changes:
                show.say(f"{change.change:8} {change.path}")
            show.say(f"{show.files(found.count)} differ between {found.before[:12]} and {found.after[:12]}")
        return DONE


def _restoration(bench: Workbench, row: Row, keep_versions: int) -> Restoration:
    place = Place(row.name, row.prefix, f"restore-{time.time_ns():x}")
    publisher = Publisher(bench.store, bench.catalogue, row, place, bench.listener, keep_versions)
    return Restoration(bench.store, bench.catalogue, row, place, publisher)


def _versions_kept(bench: Workbench, name: str) -> int:
    try:
        return bench.manifest(name).keep.versions
    except SyncdError:
        return 2


async def rollback(context: Context, name: str, snapshot: str) -> int:
    """Go back to a kept snapshot."""
    async with context.bench(lambda _: None) as bench:
        restoration = _restoration(bench, bench.mirror(name), _versions_kept(bench, name))
        current = await restoration.rollback(snapshot)
        _say_current(context, name, current)
        return DONE


async def undelete(context: Context, name: str, paths: list[str]) -> int:
    """Bring removed files back."""
    async with context.bench(lambda _: None) as bench:
        restoration = _restoration(bench, bench.mirror(name), _versions_kept(bench, name))
        _say_current(context, name, await restoration.undelete(paths))
        return DONE


def _say_current(context: Context, name: str, snapshot: Snapshot) -> None:
    if context.json:
        show.print_json({"mirror": name, "snapshot": snapshot.id, "files": snapshot.files, "bytes": snapshot.bytes})
    else:
        show.say(f"{name}: snapshot {snapshot.id}, {show.files(snapshot.files)}, {show.size(snapshot.bytes)}")


async def approve(context: Context, name: str) -> int:
    """Let parked removals through at the next pass."""
    async with context.bench(lambda _: None) as bench:
        count = bench.catalogue.history.approve(bench.mirror(name).id)
        if context.json:
            show.print_json({"mirror": name, "approved": count})
        elif count:
            show.say(f"{name}: {show.files(count)} will leave at the next pass; their bytes stay for keep.removed")
        else:
            show.say(f"{name}: nothing is parked")
        return DONE


async def rebuild(context: Context, from_backup: str | None) -> int:
    """Fill the Catalogue from the store, or bring a backup back and fill in what was published since."""
    if from_backup is not None:
        place, kept = await bring_back(context.config, from_backup)
        if not context.json:
            show.say(f"brought back {place}" + (f"; what was there before is {kept}" if kept is not None else ""))
    async with context.bench(lambda _: None) as bench:
        rows = await rebuild_catalogue(bench.store, bench.catalogue, only=_differs if from_backup is not None else _any)
        found = [(row.name, *bench.catalogue.holdings.totals(row.id)) for row in rows]
        if context.json:
            show.print_json([{"mirror": name, "files": count, "bytes": size} for name, count, size in found])
        for name, count, size in found if not context.json else ():
            show.say(f"{name}: {show.files(count)}, {show.size(size)}")
        if not found and not context.json:
            show.say("the store holds no mirror")
        return DONE


def _differs(pointer: Pointer, row: Row | None) -> bool:
    """Tell whether a mirror was published since the backup was made."""
    return row is None or row.snapshot != pointer.snapshot or row.prefix != pointer.prefix


def _any(_pointer: Pointer, _row: Row | None) -> bool:
    return True


async def probe(context: Context) -> int:
    """Try what the store can do."""
    from syncd.stores.probe import probe as probe_store  # noqa: PLC0415  nothing else needs it

    async with context.bench(lambda _: None) as bench:
        capabilities = await probe_store(bench.store)
        bench.catalogue.history.remember("capabilities", msgspec.json.encode(capabilities).decode())
        if context.json:
            show.print_json(capabilities)
        else:
            show.table(("", "check", "what was seen"), capabilities.words())
        return DONE if capabilities.good_enough else SOME_FAILED
