"""Goes back to what was kept, and lets go what was held back."""

import time

from manifests.snapshot import Snapshot
from syncd.catalogue import Row
from syncd.cli import output
from syncd.cli.context import Context
from syncd.core.errors import SyncdError
from syncd.engine.publish import Publisher
from syncd.engine.restore import Restoration
from syncd.engine.transfer import Place
from syncd.process.event_loop import DONE
from syncd.session.session import Workbench


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


async def approve(context: Context, name: str) -> int:
    """Let parked removals through at the next pass."""
    async with context.bench(lambda _: None) as bench:
        count = bench.catalogue.history.approve(bench.mirror(name).id)
        if context.json:
            output.print_json({"mirror": name, "approved": count})
        elif count:
            output.say(f"{name}: {output.files(count)} will leave at the next pass; their bytes stay for keep.removed")
        else:
            output.say(f"{name}: nothing is parked")
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


def _say_current(context: Context, name: str, snapshot: Snapshot) -> None:
    if context.json:
        output.print_json({"mirror": name, "snapshot": snapshot.id, "files": snapshot.files, "bytes": snapshot.bytes})
    else:
        output.say(f"{name}: snapshot {snapshot.id}, {output.files(snapshot.files)}, {output.size(snapshot.bytes)}")
