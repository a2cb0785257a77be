"""How long a survey of an S3 Inventory takes, and what memory: `python -m tests.bench.inventory [rows]`.

Lists of a million rows each are written to a temporary folder, then read by the reader alone, and by a whole survey
into a Catalogue. Prints the time, the processor's time, which other work does not lengthen, and the peak of the process's memory.
"""

import asyncio
import gzip
import hashlib
import json
import resource
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from manifests.readers import s3_inventory
from manifests.reading.document import Document
from manifests.stat import Stat
from syncd.catalogue import Catalogue
from syncd.core.ports import Transport
from syncd.engine.build_plan import list_upstream
from syncd.engine.pass_context import PassContext
from tests.unit.reader_harness import Source

LIST = 1_000_000
SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"


def write_lists(folder, rows):
    files = []
    for first in range(0, rows, LIST):
        path = folder / f"{first:09d}.csv.gz"
        with gzip.open(path, "wb", compresslevel=1) as out:
            for start in range(first, min(rows, first + LIST), 10_000):
                out.write(
                    "".join(
                        f'"bucket","scenes/{n % 9999:04d}/LC08_{n:012d}_B%2B1.TIF","null","true","false","{n}",'
                        f'"2024-05-01T10:00:00.000Z","{n:032x}","STANDARD"\n'
                        for n in range(start, min(rows, first + LIST, start + 10_000))
                    ).encode()
                )
        with path.open("rb") as whole:
            md5 = hashlib.file_digest(whole, "md5").hexdigest()
        files.append({"key": path.name, "size": path.stat().st_size, "MD5checksum": md5})
    manifest = {"sourceBucket": "bucket", "fileFormat": "CSV", "fileSchema": SCHEMA, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "manifest.checksum").write_text(hashlib.md5((folder / "manifest.json").read_bytes()).hexdigest() + "\n")


class Lists:
    """A Transport of the folder, whatever bucket is asked for."""

    def __init__(self, folder):
        self.folder = folder

    @asynccontextmanager
    async def open(self, path, **_):
        yield Body(self.folder / path.rpartition("/")[2])


class Body:
    def __init__(self, path):
        self.path, self.url, self.headers = path, f"s3://lists/{path.name}", {}
        self.stat = Stat(path.name, path.stat().st_size)

    async def __aiter__(self):
        with self.path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, 1 << 20):
                yield chunk


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def opened():
    options = s3_inventory.S3InventoryOptions(inventory="s3://lists/", manifest="2024")
    return s3_inventory.open_reader(Source("s3://bucket/", options))


def read_alone(folder):
    reader, count = opened(), 0
    waiting = list(reader.start())
    while waiting:
        follow = waiting.pop()
        with (folder / follow.url.rpartition("/")[2]).open("rb") as stream:
            for found in reader.read(Document(follow, follow.url, {}, stream)):
                if isinstance(found, Stat):
                    count += 1
                else:
                    waiting.append(found)
    return count


async def survey(folder, state):
    from manifests.model.mirror import load_mirror

    mirror = load_mirror(
        'mirror: m\nsource: {url: "s3://bucket/", reader: s3-inventory, inventory: "s3://lists/"}\n', "m.yaml"
    )
    with Catalogue(state) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        lists, nothing = cast("Transport", Lists(folder)), cast("Any", None)  # a survey stores and hashes nothing
        work = PassContext(
            mirror=mirror, reader=opened(), source=lists, store=nothing, catalogue=catalogue, hashing=nothing, spool=state,
        )  # fmt: skip
        inventory, _ = await list_upstream(work, row)
        assert inventory.complete, inventory.failed
        return inventory.files


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as place:
        folder, state = Path(place) / "lists", Path(place) / "state"
        folder.mkdir()
        write_lists(folder, rows)
        print(f"before: {peak()} MiB", flush=True)
        for name, run in (
            ("reader alone", lambda: read_alone(folder)),
            ("survey", lambda: asyncio.run(survey(folder, state))),
        ):
            began, used = time.perf_counter(), time.process_time()
            count = run()
            taken, used = time.perf_counter() - began, time.process_time() - used
            print(f"{name}: {count} rows in {taken:.1f} s, {used:.1f} s of processor, peak {peak()} MiB", flush=True)


if __name__ == "__main__":
    main()
