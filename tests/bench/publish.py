"""Measures what a publish costs: `python -m tests.bench.publish [--files 1000000] [--rounds 5] [--before DIR]`.

The store and the Catalogue hold all files of the synthetic bucket beforehand. Then some Entries are recorded as changed,
and the publish of them is measured: 0.1 % of the files, scattered; one file; a day's files behind the last one. Seconds
are processor time of the process, all its threads included; bytes are those of the files in `.syncd/` that it wrote;
memory is the most that was resident meanwhile. With `--before`, an earlier checkout does the same in turns.
"""

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

WORK = ("scattered", "one", "day")
DAY = 1_000  # files of the appended day
CHILD = "measure"


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.bench.publish", description=__doc__)
    words.add_argument("--files", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--before", type=Path, help="an earlier checkout, with its .venv")
    words.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the stores are: 500 bytes a file")
    asked = words.parse_args()
    trees = {"now": Path(__file__).resolve().parents[2]}
    if asked.before is not None:
        trees["before"] = asked.before.resolve()
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="syncd-publish-") as folder:
        for name, tree in trees.items():
            made = _child(tree, Path(folder) / name, "prepare", asked.files, 0)
            print(f"{name:8} {'prepare':10} {made}", flush=True)
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        for number in range(asked.rounds):
            for name, tree in trees.items():
                for work in WORK:
                    found.setdefault((name, work), []).append(
                        _child(tree, Path(folder) / name, work, asked.files, number)
                    )
        for (name, work), rows in found.items():
            middle = {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
            print(f"{name:8} {work:10} {middle}")
    return 0


def _child(tree: Path, folder: Path, work: str, files: int, number: int) -> dict[str, float]:
    command: list[str | Path] = [
        tree / ".venv/bin/python",
        "-P",
        __file__,
        CHILD,
        folder,
        work,
        str(files),
        str(number),
    ]
    environ = {**os.environ, "PYTHONPATH": os.fspath(tree)}
    done = subprocess.run(command, env=environ, cwd=tree, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"load": os.getloadavg()[0]}


async def _measure(folder: Path, work: str, files: int, number: int) -> dict[str, float]:
    from manifests.snapshot import Entry, Origin
    from syncd.catalogue import Catalogue
    from syncd.engine.pass_paths import PassPaths
    from syncd.engine.publish import Publisher
    from syncd.engine.rebuild_catalogue import rebuild
    from syncd.stores.filesystem.store import FilesystemStore
    from tests.bench.prefilled_store import MIRROR, PREFIX, prefill

    root = folder / "store"
    store = FilesystemStore(root)
    root.mkdir(parents=True, exist_ok=True)
    await store.identify(None)
    if work == "prepare":
        await asyncio.to_thread(prefill, files, root)
    with Catalogue(folder / "state") as catalogue:
        if work == "prepare":
            await rebuild(store, catalogue)
        row = catalogue.history.mirror(MIRROR)
        assert row is not None

        def proved(path: str) -> tuple[Entry, Origin]:
            digest = hashlib.sha256(f"{path}{work}{number}".encode()).hexdigest()
            origin = Origin(path, f"s3://archive/{path}", "attested", time.time(), 5, 1.0, '"x"')
            return Entry(path, 5 + number, digest, digest[:32]), origin

        known = (entry.path for entry in catalogue.holdings.entries(row.id))
        if work == "scattered":
            paths = list(islice(known, number, None, 1000))
        elif work == "day":
            paths = [f"~/{number:04d}/{at:06d}.tif" for at in range(DAY)]
        else:
            paths = list(islice(known, files // 2 + number, files // 2 + number + 1))
        catalogue.holdings.add(row.id, [proved(path) for path in paths])
        publisher = Publisher(store, catalogue, row, PassPaths(MIRROR, PREFIX, "bench"), lambda _: None, None)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins here
        resident = _memory("VmRSS")
        longest = [0.0]
        watch = asyncio.create_task(_watch(longest))
        await asyncio.sleep(0.02)
        began, cpu, wall = time.time_ns(), time.process_time(), time.perf_counter()
        await publisher.publish()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        watch.cancel()
        # clocks of files tick more slowly than ours
        stats = [path.stat() for path in (root / ".syncd").rglob("*") if path.is_file()]
        written = sum(stat.st_size for stat in stats if stat.st_mtime_ns >= began - 8_000_000)
    await store.aclose()
    return {
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "written_MB": round(written / 1e6, 2),
        "peak_MB": round(_memory("VmHWM") / 1e3, 1),
        "rest_MB": round(resident / 1e3, 1),
        "stall_ms": round(longest[0] * 1e3, 1),
    }


async def _watch(longest: list[float]) -> None:
    """Find the longest time that the event loop did not come back."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest[0] = max(longest[0], time.perf_counter() - began - 0.001)


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(asyncio.run(_measure(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))))
    else:
        sys.exit(main())
