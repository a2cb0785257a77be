"""Measures the Catalogue of one large mirror: `python -m tests.bench.catalogue --entries 1000000 --before DIR`.

Seeds a state folder and a store (entries, kept versions, two snapshots that differ in one block of files) without the
bytes of the files that no figure needs. Each figure is measured in a process of its own: seconds, processor seconds, the
peak of memory, and the longest time for which its event loop stood still. `--before` measures another checkout too, in
turns; that one seeds, so that a newer one upgrades the state folder first. `--beside` measures forty mirrors that
publish at once. Survey, plan, `status`, start and rebuild are commands, with their own start:
`python -m tests.bench.many_entries --rebuild`.
"""

import argparse
import asyncio
import hashlib
import inspect
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import apsw

from manifests.model import Keep
from manifests.snapshot import Entry, Origin
from syncd.catalogue import ArchivedVersion, Catalogue, MirrorRow
from syncd.core import Step
from syncd.engine import Pass, Publisher, Restoration, differences, rebuild
from syncd.engine.pass_paths import PassPaths
from syncd.stores.filesystem.store import FilesystemStore

NAME = "large"
CHANGED = 4_000  # files that a rollback brings back
REMOVED = 100_000  # files that a pass removes
BATCH = 20_000
LOOKUPS = 2_000
BESIDE = 40  # mirrors that publish at once
BESIDE_FILES = 2_000  # of each
PLACE = PassPaths(NAME, f"{NAME}/", "bench")
FIGURES = (
    "open", "lookup", "versions", "status", "diff", "rollback-nothing", "rollback", "publish", "remove", "removal",
    "rebuild",
)  # fmt: skip
STALLS: list[float] = []  # how long the event loop of this process took to come round
STEPS: list[float] = []  # the processor seconds of each of its steps, which other work on the machine hardly changes
CHANGES_NOTHING = frozenset({"open", "lookup", "versions", "status", "diff", "rollback-nothing"})


def main() -> int:
    """Print the figures as a table in Markdown."""
    asked = argparse.ArgumentParser(prog="python -m tests.bench.catalogue", description=__doc__)
    asked.add_argument("--entries", type=int, default=1_000_000)
    asked.add_argument("--before", type=Path, help="another checkout, measured in turns")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--only", nargs="*", default=FIGURES)
    asked.add_argument("--beside", action="store_true", help="measure forty mirrors that publish at once instead")
    asked.add_argument("--child", help=argparse.SUPPRESS)
    asked.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.child:
        print(json.dumps(asyncio.run(measured(given.child, given.root, given.entries))))
        return 0
    root = Path(tempfile.mkdtemp(prefix="bench-catalogue-", dir="/var/tmp"))
    trees = [("before", given.before), ("after", Path.cwd())] if given.before else [("after", Path.cwd())]
    try:
        if given.beside:
            print(f"{BESIDE} mirrors of {BESIDE_FILES:,} files, load {os.getloadavg()[0]:.1f}")
            head = "| figure | tree | seconds | processor seconds | peak MB | longest stand-still, ms | longest step, CPU ms |\n|---|---|---|---|---|---|---|"
            print(head)
            compare_figures(("beside",), trees, None, root, given.entries, given.rounds)
            return 0
        child(trees[0][1], "seed", root / "seed", given.entries)
        size = sum(file.stat().st_size for file in (root / "seed/state").rglob("*.sqlite"))
        print(f"{given.entries:,} entries, {size / given.entries:.0f} bytes each, load {os.getloadavg()[0]:.1f}")
        print(
            "| figure | tree | seconds | processor seconds | peak MB | longest stand-still, ms | longest step, CPU ms |\n|---|---|---|---|---|---|---|"
        )
        compare_figures(given.only, trees, root / "seed", root, given.entries, given.rounds)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def compare_figures(
    figures: tuple[str, ...], trees: list[tuple[str, Path]], seed: Path | None, root: Path, entries: int, rounds: int
) -> None:
    """Measure and print each figure, the trees in turns; a figure that changes nothing shares its copy with others."""
    shared: dict[str, Path] = {}
    for figure in figures:
        found: dict[str, list[dict[str, float]]] = {name: [] for name, _ in trees}
        for number in range(rounds):
            for name, tree in trees:
                where = shared.get(name) if figure in CHANGES_NOTHING else None
                if where is None:
                    where = root / f"{name}-{figure}-{number}"
                    if seed is not None:
                        subprocess.run(["cp", "-a", "--reflink=auto", seed, where], check=True)
                        child(tree, "open", where, entries)  # an older state folder is upgraded here
                found[name].append(child(tree, figure, where, entries))
                if figure in CHANGES_NOTHING:
                    shared[name] = where
                else:
                    shutil.rmtree(where)
        for name, measures in found.items():
            cells = [
                statistics.median(one[key] for one in measures) for key in ("seconds", "cpu", "peak", "stall", "step")
            ]
            print(
                f"| {figure} | {name} | {cells[0]:.5f} | {cells[1]:.5f} | {cells[2]:.0f} | {cells[3]:.1f} | {cells[4]:.1f} |",
                flush=True,
            )


def child(tree: Path, figure: str, root: Path, entries: int) -> dict[str, float]:
    """Measure one figure with the modules of a checkout, and return it."""
    command = [
        sys.executable, str(Path(__file__).resolve()), "--child", figure, "--root", str(root), "--entries", str(entries),
    ]  # fmt: skip
    environ = os.environ | {"PYTHONPATH": str(tree.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=tree)
    assert done.returncode == 0, done.stderr
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


async def measured(figure: str, root: Path, entries: int) -> dict[str, float]:
    """Measure one figure; the loop's longest stand-still is that of a task that wakes each millisecond."""
    if figure == "seed":
        await seed(root, entries)
        return {}

    async def probe() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            STALLS.append(now - last)
            last = now

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run_step(handle)
        STEPS.append(time.thread_time() - began)

    run_step = getattr(asyncio.Handle, "_run")  # noqa: B009  private
    mock.patch.object(asyncio.Handle, "_run", timed).start()
    store = FilesystemStore(root / "store")
    await store.identify(None)
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with Catalogue(root / "state") as catalogue:
        row = next(iter(catalogue.history.mirrors()), None)
        if figure == "removal":
            store_removed(root / "store", min(REMOVED, entries))
        if figure == "beside":
            rows = fill_beside(catalogue)
            work = publish_beside(catalogue, rows, store)
        else:
            assert row is not None
            work = ACTS[figure](catalogue, row, store, entries)
        if figure != "open":
            usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        probing = asyncio.create_task(probe())
        await asyncio.sleep(0.01)
        STALLS.clear()
        STEPS.clear()
        divisor = await work
        await asyncio.sleep(0.002)  # the probe wakes once more
        longest = {"stall": max(STALLS) * 1e3, "step": max(STEPS) * 1e3}
        seconds, spent = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        probing.cancel()
    await store.aclose()
    cpu = spent.ru_utime + spent.ru_stime - usage.ru_utime - usage.ru_stime
    return {"seconds": (seconds - 0.012) / divisor, "cpu": cpu / divisor, "peak": spent.ru_maxrss / 1e3, **longest}


# -- the state folder and the store -------------------------------------------------------------------------------------


def path_of(number: int) -> str:
    return f"archive/{number // 1000:05}/observation-{number:08}.nc"


def proved(number: int, content: str) -> tuple[Entry, Origin]:
    path = path_of(number)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Entry(path, len(content), digest, digest[:32]), Origin(path, path, "attested", 1.0, len(content), 1.0)


def block(entries: int) -> range:
    """Return the numbers of the files that differ between the two snapshots."""
    return range(entries // 2, entries // 2 + min(CHANGED, entries // 10))


async def seed(root: Path, entries: int) -> None:
    """Make the Catalogue, two snapshots, and the bytes of the files that a rollback moves."""
    store = FilesystemStore(root / "store")
    known = await store.identify(None)
    with Catalogue(root / "state") as catalogue:
        catalogue.settings.set("store", known)
        row = catalogue.history.ensure_mirror(NAME, prefix=f"{NAME}/", source="https://h/")
        catalogue.holdings.totals(row.id)  # makes its file, if each mirror has one
    own = root / f"state/mirrors/{NAME}.sqlite"
    fill(own if own.exists() else root / "state/catalogue.sqlite", row.id, entries)
    with Catalogue(root / "state") as catalogue:
        catalogue.holdings.add(row.id, [proved(number, f"old {number}") for number in block(entries)])
        old = await publisher(store, catalogue, row).publish()
        versions = []
        for number in block(entries):
            entry, _ = proved(number, f"old {number}")
            for place, content in ((PLACE.natural(entry.path), "new"), (PLACE.version(old.id, entry.path), "old")):
                file = root / "store" / place
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{content} {number}")
            versions.append(ArchivedVersion(old.id, entry.path, entry.size, entry.sha256))
        catalogue.holdings.add(row.id, [proved(number, f"new {number}") for number in block(entries)])
        catalogue.holdings.add_versions(row.id, versions, 2.0)
        fillers = [ArchivedVersion(f"{n % 50:064x}", path_of(n), 1, "ab" * 32) for n in range(min(entries, 100_000))]
        catalogue.holdings.add_versions(row.id, fillers, 1.0)
        await publisher(store, catalogue, row).publish()
    await store.aclose()


def fill(file: Path, mirror: int, entries: int) -> None:
    """Insert Entries of random content."""
    database = apsw.Connection(str(file))
    database.pragma("synchronous", "off")
    for first in range(0, entries, 50 * BATCH):
        with database:
            database.execute(
                "INSERT INTO entry (mirror, path, bytes, sha256, xxh3, size, modified, url, verdict, by, proved) "
                "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i+1 FROM n WHERE i+1<:last) "
                "SELECT :mirror, printf('archive/%05d/observation-%08d.nc', i/1000, i), i%65536, randomblob(32), "
                "randomblob(16), i%65536, 1.0, printf('archive/%05d/observation-%08d.nc', i/1000, i), 'attested', '', "
                "1.0 FROM n",
                {"first": first, "last": min(entries, first + 50 * BATCH), "mirror": mirror},
            )
    database.close()


def store_removed(store: Path, count: int) -> None:
    """Make the files that a removal moves."""
    for number in range(count):
        file = store / PLACE.natural(path_of(number))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def fill_beside(catalogue: Catalogue) -> list[MirrorRow]:
    rows = [catalogue.history.ensure_mirror(f"m{n:02}", prefix=f"m{n:02}/", source="https://h/") for n in range(BESIDE)]
    for row in rows:
        catalogue.holdings.add(row.id, [proved(number, str(number)) for number in range(BESIDE_FILES)])
    return rows


def publisher(
    store: FilesystemStore, catalogue: Catalogue, row: MirrorRow, place: PassPaths | None = None
) -> Publisher:
    return Publisher(store, catalogue, row, place or PLACE, lambda _: None, Keep(), time.time)


# -- what is measured ---------------------------------------------------------------------------------------------------


async def open_catalogue(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    """What a start asks first."""
    assert not catalogue.journal.has_swaps(row.id)
    assert next(catalogue.holdings.changed(row.id), None) is None
    return 1


async def look_up(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    """Find paths that are there, and paths that are not."""
    for number in range(0, entries, max(1, 2 * entries // LOOKUPS)):
        assert catalogue.holdings.entry(row.id, path_of(number)) is not None
        assert catalogue.holdings.entry(row.id, f"{path_of(number)}.absent") is None
    return LOOKUPS


async def find_versions(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    for number in range(LOOKUPS):
        assert catalogue.holdings.versions(row.id, path_of(number % min(entries, 100_000)))
    return LOOKUPS


async def show_status(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    current = catalogue.history.current(row.id)
    assert current is not None
    assert current.files == entries
    catalogue.pass_history.counts(row.id)
    return 1


async def compare(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    new, old = catalogue.history.snapshots(row.id)
    found = [path async for path, _, _ in differences(store, NAME, old, new)]
    assert len(found) == len(block(entries))
    return 1


async def roll_back(
    catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int, *, to_current: bool = False
) -> int:
    new, old = catalogue.history.snapshots(row.id)
    with ThreadPoolExecutor(2) as hashing:
        back = Restoration(store, catalogue, row, PLACE, publisher(store, catalogue, row), hashing)
        await back.rollback((new if to_current else old).id)
    return 1


async def roll_back_to_current(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    return await roll_back(catalogue, row, store, entries, to_current=True)


async def publish(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    """Publish after one file of a thousand changed."""
    changed = [proved(number, f"changed {number}") for number in range(500, entries, 1000)]
    for first in range(0, len(changed), 128):
        catalogue.holdings.add(row.id, changed[first : first + 128])
        await asyncio.sleep(0)
    await publisher(store, catalogue, row).publish()
    return 1


async def remove(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    """Take files out of the next snapshot, as a pass does whose upstream has dropped them."""
    count = min(REMOVED, entries)
    catalogue.claims.forget(row.id)
    catalogue.claims.add_steps(
        row.id, (Step("remove", path_of(number), "gone upstream", None, 1) for number in range(count))
    )
    removing: Any = Pass.__new__(Pass)
    removing.context = SimpleNamespace(catalogue=catalogue, now=time.time)
    await asyncio.sleep(0.01)  # the steps are the planner's, which adds them in pages; the probe begins here
    STALLS.clear()
    STEPS.clear()
    planning = SimpleNamespace(parked=False)
    more = (frozenset(),) if len(inspect.signature(removing._remove).parameters) > 2 else ()
    done = removing._remove(row, planning, *more)
    if inspect.isawaitable(done):
        await done
    assert removing.removed == count
    return 1


async def remove_and_publish(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    """The same, and publish: the files leave their names."""
    await remove(catalogue, row, store, entries)
    await publisher(store, catalogue, row).publish()
    return 1


async def build_again(catalogue: Catalogue, row: MirrorRow, store: FilesystemStore, entries: int) -> int:
    await rebuild(store, catalogue)
    assert catalogue.holdings.totals(row.id)[0] == entries
    return 1


async def publish_beside(catalogue: Catalogue, rows: list[MirrorRow], store: FilesystemStore) -> int:
    """Publish all mirrors at once."""
    async with asyncio.TaskGroup() as group:
        for row in rows:
            place = PassPaths(row.name, row.prefix, "bench")
            group.create_task(publisher(store, catalogue, row, place).publish())
    return 1


ACTS = {
    "open": open_catalogue, "lookup": look_up, "versions": find_versions, "status": show_status, "diff": compare,
    "rollback-nothing": roll_back_to_current, "rollback": roll_back, "publish": publish, "remove": remove,
    "removal": remove_and_publish, "rebuild": build_again,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
