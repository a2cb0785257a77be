"""What another node reads and does for 1,000 scattered changes in a million files: `python -m tests.bench.node`.

Printed are the bytes of the difference, of what says where its files came from first, and of the lists that both
replace, and the processor seconds that making and proving it take.
"""

import asyncio
import hashlib
import random
import tempfile
import time
from pathlib import Path

from manifests.provenance import provenance_lines
from manifests.snapshot import Content, Entry, Origin, Snapshot, cut, identity, pack, shard_of
from manifests.snapshot_diff import diff_lines
from syncd.engine.pass_paths import shard_path
from syncd.engine.proved_difference import leads_to
from syncd.stores.filesystem.store import FilesystemStore

FILES, CHANGES, SIZE = 1_000_000, 1_000, 100_000


def entry(number, salt=""):
    name = f"scene/{number:07}.tif"
    digest = hashlib.sha256(f"{name}{salt}".encode()).hexdigest()
    return Entry(name, SIZE, digest, digest[:32])


def origin(path):
    url = "https://archive.example.org/"
    return Origin(path, url + path, "verified", 1.7e9 + random.Random(path).random() * 1e5, by=url)


async def write(store, entries):
    """Write the shards of a list; return its Snapshot and the packed bytes by name."""
    shards, packed = [], {}
    for run in cut(entries):
        shard, text = shard_of(run)
        packed[shard.sha256] = pack(text)
        await store.put(shard_path("m", shard.sha256), packed[shard.sha256])
        shards.append(shard)
    content = Content(tuple(shards))
    return Snapshot(identity(content), content, "m", 0.0, len(entries), SIZE * len(entries)), packed


async def measure():
    with tempfile.TemporaryDirectory() as folder:
        store = FilesystemStore(Path(folder))
        await store.identify(None)
        before = [entry(number) for number in range(FILES)]
        changed = dict.fromkeys(random.Random(1).sample(range(FILES), CHANGES))
        after = [entry(number, "new") if number in changed else before[number] for number in range(FILES)]
        old, held = await write(store, before)
        new, packed = await write(store, after)
        changes = {after[number].path: after[number] for number in sorted(changed)}
        began = time.process_time()
        difference = pack(b"".join(diff_lines(sorted(changes.items()))))
        made = time.process_time() - began
        began = time.process_time()
        assert await leads_to(store, "m", old, changes, new.id)
        proved = time.process_time() - began
        begun = pack(b"".join(provenance_lines(origin(path) for path in sorted(changes))))
        lists = sum(len(body) for name, body in packed.items() if name not in held)
        payload = CHANGES * SIZE
        print(f"{CHANGES:,} scattered changes in {FILES:,} files of {SIZE:,} bytes")
        print(
            f"difference  {len(difference):,} bytes, {len(difference) / payload:.3%} of the payload; packed in {made:.2f} s"
        )
        print(f"provenance  {len(begun):,} bytes, {len(begun) / payload:.3%} of the payload")
        print(f"shards      {lists:,} bytes, {lists / payload:.1%} of the payload")
        print(f"proved in   {proved:.2f} s of processor time")
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(measure())
