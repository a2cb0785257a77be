"""Measures one mirror of millions of files: `python -m tests.bench.many_entries --entries 10000000`.

Catalogue and snapshot are seeded as a pass over the synthetic bucket would have left them, without the bytes of files.
Then each of these runs as a process of its own, with its time, processor time and most resident memory: a survey and
plan in which nothing changed, `status`, the start of the daemon, a publish of 0.1 % changed files, and with `--rebuild`
that. Prints each figure as soon as it is there, and what it is for each million entries.
"""

import argparse
import asyncio
import calendar
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec

from manifests.model import Keep
from manifests.snapshot import Content, Pointer, Shard, Snapshot, identity, is_cut
from syncd.catalogue import Catalogue
from syncd.catalogue.state_folder import mirror_file
from syncd.engine.pass_paths import PassPaths, pointer_path, snapshot_folder
from syncd.engine.publish import Publisher
from syncd.stores.filesystem.store import FilesystemStore
from tests.bench import peers
from tests.bench.daemon import daemon, memory
from tests.bench.measure import Measured, run
from tests.bench.prefilled_store import LISTED, MIRROR, PREFIX
from tests.bench.s3_listing_server import EACH, Keys, Pages, stamp
from tests.bench.servers import ROOT, listing

SYNCD = str(ROOT / ".venv/bin/syncd")
CONFIG = """
state: ./state
store: {url: ./store}
manifests: [./m]
listen: 127.0.0.1:0
scrub: {enabled: false}
backup: {keep: 0}
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One step: seconds, processor seconds, and MiB."""

    step: str
    wall: float
    cpu: float
    rss: float


def main() -> int:
    """Print a table in Markdown."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.many_entries", description=__doc__)
    words.add_argument("--entries", type=int, default=1_000_000)
    words.add_argument("--home", type=Path, help="where state and store lie (default: the temporary folder)")
    words.add_argument("--shards", action="store_true", help="write the files of the snapshot, too")
    words.add_argument("--rebuild", action="store_true", help="rebuild the Catalogue from them at the end")
    words.add_argument("--publish", metavar="FOLDER", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.publish:
        asyncio.run(publish(Path(asked.publish)))
        return 0
    root = Path(tempfile.mkdtemp(prefix="many-entries-", dir=asked.home))
    try:
        count = asked.entries
        print(f"{count:,} entries, load {os.getloadavg()[0]:.1f}, on {root}\n")
        print("| step | wall s | CPU s | MiB | CPU s / million |")
        print("|---|---|---|---|---|")
        for one in figures(root, count, with_shards=asked.shards or asked.rebuild, rebuild=asked.rebuild):
            print(
                f"| {one.step} | {one.wall:.2f} | {one.cpu:.2f} | {one.rss:.0f} | {one.cpu / count * 1e6:.2f} |",
                flush=True,
            )
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def figures(root: Path, count: int, *, with_shards: bool, rebuild: bool) -> Iterator[Figure]:
    """Yield the figure of each step."""
    began, used = time.perf_counter(), time.process_time()
    asyncio.run(seed(root, count, with_shards=with_shards))
    size = sum(file.stat().st_size for file in (root / "state").rglob("*.sqlite"))
    step = f"(seeding; Catalogue {size / 2**20:,.0f} MiB, {size / count:.0f} B an entry)"
    yield Figure(step, time.perf_counter() - began, time.process_time() - used, 0)
    places = ["--store", str(root / "store"), "--state", str(root / "state")]
    with listing(count) as upstream:
        manifest = root / "m" / f"{MIRROR}.yaml"
        manifest.parent.mkdir()
        source = f"{{url: 's3://archive/', endpoint: '{upstream.url}', region: us-east-1, reader: objects}}"
        manifest.write_text(f"mirror: {MIRROR}\nsource: {source}\nschedule: {{every: 30d}}\n")
        command = [SYNCD, "plan", str(manifest), "--json", *places, "--allow-private", upstream.url]
        planned = run(command, peers.s3_environ(upstream.url), root / "log")
        kept = json.loads(planned.tail.strip().splitlines()[-1])["keep"] if planned.code == 0 else planned.tail
        yield _figure(f"survey and plan, {kept:,} kept" if isinstance(kept, int) else f"plan FAILED: {kept}", planned)
    yield _figure("status", run([SYNCD, "status", "--json", *places], {}, root / "log"))
    yield _figure("snapshots", run([SYNCD, "snapshots", MIRROR, "--json", *places], {}, root / "log"))
    (root / "syncd.yaml").write_text(CONFIG)
    with daemon(root) as (process, _, wall, own):
        time.sleep(3.0)
        yield Figure("start of the daemon; MiB at rest", wall, own, memory(process) * 1e6 / 2**20)
    me = [sys.executable, "-m", "tests.bench.many_entries", "--publish", str(root)]
    published = run(me, {"PYTHONPATH": str(ROOT)}, root / "log")
    tail = published.tail.strip().splitlines()
    yield _figure(f"publish of 0.1 %: {tail[-1] if tail else ''}", published)
    if rebuild:
        shutil.rmtree(root / "state")
        yield _figure("rebuild of the Catalogue", run([SYNCD, "rebuild", *places], {}, root / "log"))


def _figure(step: str, measured: Measured) -> Figure:
    if measured.code != 0:
        step += f" (exit {measured.code}: {measured.tail[-300:]})"
    return Figure(step, measured.wall, measured.cpu, measured.rss / 2**20)


async def seed(root: Path, count: int, *, with_shards: bool) -> None:
    """Fill Catalogue and store."""
    store = FilesystemStore(root / "store")
    known, now = await store.identify(None), time.time()
    with Catalogue(root / "state") as catalogue:
        catalogue.settings.set("store", known)
        row = catalogue.history.ensure_mirror(MIRROR, prefix=PREFIX, source="s3://archive/")
        catalogue.history.attempt(row.id, now)
        catalogue.history.finish(row.id, succeeded=now, last={"state": "done"})
        catalogue.holdings.totals(row.id)  # makes its file
    fill(mirror_file(root / "state", MIRROR), row.id, count)
    with Catalogue(root / "state") as catalogue:
        if with_shards:
            place = PassPaths(MIRROR, PREFIX, "seed")
            await Publisher(store, catalogue, row, place, lambda _: None, Keep()).publish()
        else:
            snapshot = announced(count, now)
            name = snapshot_folder(MIRROR, snapshot.id)
            await store.put(f"{name}snapshot.json", msgspec.json.encode(snapshot))
            pointer = Pointer(MIRROR, snapshot.id, PREFIX, now, (snapshot.id,))
            await store.put(pointer_path(MIRROR), msgspec.json.encode(pointer))
            catalogue.history.publish(row.id, snapshot)
    await store.aclose()


def fill(file: Path, mirror: int, count: int) -> None:
    """Insert an Entry of each key as the listing shows it; their checksums are random."""
    database = apsw.Connection(str(file))
    database.pragma("synchronous", "off")
    database.execute("CREATE TEMP TABLE listed (name, size, modified, etag)")
    for key, moment, etag, size in LISTED.findall(Pages(Keys(EACH)).contents(0, EACH)):
        modified = calendar.timegm(time.strptime(moment.decode(), "%Y-%m-%dT%H:%M:%S"))
        some = key.decode()[len("l2/YYYY/DDD/") :], int(size), float(modified), etag.decode()[8:]
        database.execute("INSERT INTO listed VALUES (?,?,?,?)", some)
    for first in range(0, count, 100 * EACH):
        with database:
            for folder in range(first // EACH, min(first + 100 * EACH, count) // EACH):
                values = {"mirror": mirror, "folder": f"l2/{stamp(folder)}/", "mark": f"{folder:08x}"}
                database.execute(
                    "INSERT INTO entry (mirror, path, bytes, sha256, xxh3, size, modified, version, url, verdict, by, "
                    "proved) SELECT :mirror, :folder || name, size, randomblob(32), randomblob(16), size, modified, "
                    """'"' || :mark || etag || '"', 's3://archive/' || :folder || name, 'attested', '', modified """
                    "FROM listed",
                    values,
                )
    database.close()


def announced(count: int, now: float) -> Snapshot:
    """Return a snapshot with the cuts that these keys have, and none of its files."""
    shards: list[Shard] = []
    first, files = "", 0
    for path in Keys(count):
        first, files = first or path, files + 1
        if is_cut(path):
            shards.append(_shard(first, files))
            first, files = "", 0
    if files:
        shards.append(_shard(first, files))
    content = Content(tuple(shards))
    return Snapshot(
        id=identity(content), content=content, mirror=MIRROR, created=now, files=count,
        bytes=sum(shard.bytes for shard in shards), source="s3://archive/", by="syncd",
        origins=tuple(shard.sha256 for shard in shards),
    )  # fmt: skip


def _shard(first: str, files: int) -> Shard:
    return Shard(first, files, files * 5_000_000, hashlib.sha256(first.encode()).hexdigest())


async def publish(root: Path) -> None:
    """Publish a snapshot in which one file of a thousand, everywhere, has other content."""
    store = FilesystemStore(root / "store")
    with Catalogue(root / "state") as catalogue:
        row = catalogue.history.mirror(MIRROR)
        assert row is not None
        current = catalogue.history.current(row.id)
        assert current is not None
        keys, changed = Keys(current.files), []
        for number in range(500, current.files, 1000):
            held = catalogue.holdings.entry(row.id, keys[number])
            assert held is not None
            entry, origin = held
            changed.append((msgspec.structs.replace(entry, sha256=entry.sha256[::-1]), origin))
        catalogue.holdings.add(row.id, changed)
        began, used = time.perf_counter(), time.process_time()
        place = PassPaths(MIRROR, PREFIX, "bench")
        found = await Publisher(store, catalogue, row, place, lambda _: None, Keep()).publish()
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        same = len(set(found.content.shards) & set(current.content.shards))
        print(
            f"{len(changed):,} files, {wall:.1f} s, {cpu:.1f} CPU s, {same} of {len(found.content.shards)} shards kept"
        )
    await store.aclose()


if __name__ == "__main__":
    sys.exit(main())
