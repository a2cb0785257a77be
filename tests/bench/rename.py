"""Measures a pass after upstream renamed a folder: bytes that upstream sent, CPU of the whole process tree, wall time.

python -m tests.bench.rename --files 10000 --rounds 5 --before ../earlier   # in turns with an earlier checkout
python -m tests.bench.rename --index 1000000                                # bytes a file of the index

Upstream is nginx on tmpfs with SHA256SUMS; before each round the store and the state are those of the first pass. An
earlier checkout holds the deletions of a rename, so its pass is the one that downloads, without them.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

from manifests.snapshot import Entry, Origin
from syncd.catalogue import Catalogue
from syncd.engine.content_index import index_published
from tests.bench.archive import Archive
from tests.bench.measure import Measured, middle, run
from tests.bench.servers import ROOT, nginx

MEMORY = Path("/dev/shm")  # the archive and the stores are on tmpfs
FOLDER = "collection-1"


def archive(folder: Path, files: int, size: int) -> Archive:
    """Make an archive of files in one folder, and one file beside it."""
    chance = random.Random(12)
    made, sums = Archive("rename", folder, {}), []
    for number in range(files):
        path = f"{FOLDER}/{number % 50:02}/scene-{number:06}.nc" if number else "README"
        body = chance.randbytes(size)
        place = made.files / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        made.sizes[path] = size
        sums.append(f"{hashlib.sha256(body).hexdigest()}  {path}\n")
    made.sums.write_text("".join(sums))
    return made


def rename(made: Archive, old: str, new: str) -> None:
    """Rename the folder upstream, in the tree and in its list of checksums."""
    (made.files / old).rename(made.files / new)
    made.sums.write_text(made.sums.read_text().replace(f"  {old}/", f"  {new}/"))


def passes(program: Path, folder: Path, url: str, log: Path) -> Measured:
    """Run a pass with a checkout."""
    manifest = folder / "m.yaml"
    manifest.write_text(
        f"mirror: m\nsource: {{url: '{url}/', reader: checksums, checksums: [SHA256SUMS]}}\nguard: {{max_removed: 10%}}\n"
    )
    words = ["sync", str(manifest), "--store", str(folder / "store"), "--state", str(folder / "state"), "--json"]
    command = [str(program / ".venv/bin/syncd"), *words, "--allow-private", url]
    return run(command, {}, log)


def result(measured: Measured) -> dict[str, object]:
    """Return the last line of `sync --json`."""
    lines = [line for line in measured.tail.splitlines() if line.startswith("{") and '"snapshot"' in line]
    found: dict[str, object] = json.loads(lines[-1]) if lines else {}
    return found


def compare(files: int, size: int, rounds: int, before: Path | None) -> None:
    """Measure the pass after a rename with this checkout, and an earlier one, in turns."""
    programs = {"now": ROOT} | ({"before": before} if before is not None else {})
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        root = Path(name)
        made = archive(root, files, size)
        runs: dict[str, list[Measured]] = {label: [] for label in programs}
        with nginx(made, root / "nginx") as server:
            for label, program in programs.items():
                first = passes(program, _fresh(root / label), server.url, root / "log")
                assert first.code == 0, first.tail
            rename(made, FOLDER, "collection-2")
            for number in range(rounds):
                for label, program in programs.items():
                    work = root / "work"
                    shutil.rmtree(work, ignore_errors=True)
                    shutil.copytree(root / label, work, copy_function=shutil.copy2)
                    load = os.getloadavg()[0]
                    measured = passes(program, work, server.url, root / "log")
                    runs[label].append(measured)
                    said = result(measured)
                    shown = {key: said.get(key, 0) for key in ("fetched", "copied", "removed", "parked", "bytes")}
                    print(f"{number} {label:6} cpu {measured.cpu:5.2f} s, wall {measured.wall:5.2f} s, {shown}, load {load:.1f}")  # fmt: skip
        for label, each in runs.items():
            print(f"{label:6} median of {rounds}: cpu {middle(each, lambda m: m.cpu):.2f} s, wall {middle(each, lambda m: m.wall):.2f} s, RSS {middle(each, lambda m: m.rss) / 1e6:.0f} MB")  # fmt: skip


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def index(files: int, publishes: int) -> None:
    """Measure the index of a mirror that grew in some publishes, in no order of its paths."""
    numbers = list(range(files))
    random.Random(1).shuffle(numbers)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name, Catalogue(Path(name)) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        cpu = 0.0
        for at in range(0, files, max(1, files // publishes)):
            some = sorted(numbers[at : at + files // publishes])
            catalogue.holdings.add(row.id, [_entry(number) for number in some])
            began = time.process_time()
            asyncio.run(index_published(catalogue, row, at))
            cpu += time.process_time() - began
            catalogue.changes.clear(row.id, ())
        catalogue.held.close()
        size = (Path(name) / "held.sqlite").stat().st_size
    print(f"{files:,} files in {publishes} publishes: {size / files:.1f} bytes a file, {cpu / files * 1e6:.1f} µs of CPU a file")  # fmt: skip


def _entry(number: int) -> tuple[Entry, Origin]:
    path = f"satellite/product-level-2/{number % 997:03}/S2A_MSIL2A_20240101T103421_{number:08}.nc"
    digest = hashlib.sha256(path.encode()).hexdigest()
    return Entry(path, 1000, digest, "00" * 16), Origin(path, path, "attested", 1.0, 1000, 1.6e9 + number)


def main() -> None:
    """Read the command line."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--files", type=int, default=10_000)
    given.add_argument("--size", type=int, default=64 << 10)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--before", type=Path)
    given.add_argument("--index", type=int, help="measure an index of so many files instead")
    given.add_argument("--publishes", type=int, default=1)
    asked = given.parse_args()
    if asked.index:
        index(asked.index, asked.publishes)
    else:
        compare(asked.files, asked.size, asked.rounds, asked.before)


if __name__ == "__main__":
    main()
