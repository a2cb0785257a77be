"""Writes a store that already holds every key of the synthetic bucket, as a pass over it would have left it.

No bytes of files are there, only the pointer, the snapshot, its shards and origins: what `syncd rebuild` fills a
Catalogue from, so that a plan in which nothing changed can be measured without moving a million files.
"""

import calendar
import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from manifests.snapshot import Content, Entry, Origin, Pointer, Shard, Snapshot, identity, is_cut, lines, pack, shard_of
from syncd.engine.pass_paths import origins_path, pointer_path, shard_path, snapshot_folder
from tests.bench.s3_listing_server import EACH, Keys, Pages

MIRROR, PREFIX = "bench", "bench/"
LISTED = re.compile(
    rb"<Key>([^<]*)</Key><LastModified>([^<]*)\.000Z</LastModified><ETag>&quot;(\w*)&quot;</ETag><Size>(\d*)</Size>"
)


def prefill(keys: int, store: Path) -> None:
    """Fill `store` with a snapshot of all keys."""
    shards: list[Shard] = []
    origins: list[str] = []
    for run in _runs(Pages(Keys(keys)), keys):
        shard, content = shard_of([entry for entry, _ in run])
        beside = lines([origin for _, origin in run])
        name = hashlib.sha256(beside).hexdigest()
        _put(store / shard_path(MIRROR, shard.sha256), pack(content))
        _put(store / origins_path(MIRROR, name), pack(beside))
        shards.append(shard)
        origins.append(name)
    content_part = Content(tuple(shards))
    snapshot = Snapshot(
        id=identity(content_part),
        content=content_part,
        mirror=MIRROR,
        created=time.time(),
        files=keys,
        bytes=sum(shard.bytes for shard in shards),
        source="s3://archive/",
        by="syncd",
        origins=tuple(origins),
    )
    _put(store / snapshot_folder(MIRROR, snapshot.id) / "snapshot.json", msgspec.json.encode(snapshot))
    pointer = Pointer(MIRROR, snapshot.id, PREFIX, time.time(), (snapshot.id,))
    _put(store / pointer_path(MIRROR), msgspec.json.encode(pointer))


def _runs(pages: Pages, keys: int) -> Iterator[list[tuple[Entry, Origin]]]:
    run: list[tuple[Entry, Origin]] = []
    for start in range(0, keys, EACH):
        for key, moment, etag, size in LISTED.findall(pages.contents(start, min(keys, start + EACH))):
            path, version = key.decode(), f'"{etag.decode()}"'
            modified = float(calendar.timegm(time.strptime(moment.decode(), "%Y-%m-%dT%H:%M:%S")))
            digest = hashlib.sha256(key).hexdigest()
            entry = Entry(path, int(size), digest, digest[:32])
            url = f"s3://archive/{path}"
            run.append((entry, Origin(path, url, "attested", modified, int(size), modified, version)))
            if is_cut(path):
                yield run
                run = []
    if run:
        yield run


def _put(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
