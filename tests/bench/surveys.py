"""How much memory and time a survey takes, by the size of upstream: a STAC API of so many items, an index of so many links.

    python -m tests.bench.surveys stac 1000000
    python -m tests.bench.surveys index 100000

Upstream is made up page by page in the same process, so the figures are those of the survey and of the Catalogue alone:
the processor seconds are without those that making up took. `python -m tests.bench plan-1m` is the listing of a bucket
of as many files, with its plan.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import cast

from manifests.model.mirror import load_mirror
from manifests.reading.reader import installed
from manifests.stat import Stat
from syncd.catalogue import Catalogue
from syncd.core.ports import Transport
from syncd.engine.selection import SourceSelection
from syncd.engine.survey import Survey
from syncd.process import disable_during_imports, enable_after_imports
from syncd.streams.derived_files import Spool

PAGE = 1000
MANIFESTS = {
    "stac": f"mirror: m\nsource: {{url: 'https://api.example/', reader: stac, collections: [c], page: {PAGE}}}\n",
    "index": "mirror: m\nsource: {url: 'https://www.example/', reader: autoindex}\n",
}


class Answered:
    """A Body made up on the spot."""

    def __init__(self, url, content):
        self.content, self.url, self.headers = content, url, {}
        self.start, self.stop, self.stat = 0, len(content), Stat(url, len(content))

    async def __aiter__(self):
        for at in range(0, len(self.content), 256 << 10):
            yield self.content[at : at + (256 << 10)]
            await asyncio.sleep(0)


class Upstream:
    """A Transport that makes its answers up."""

    def __init__(self, kind, count):
        self.kind, self.count, self.spent = kind, count, 0.0

    @asynccontextmanager
    async def ask(self, method, url, headers=None, body=b""):
        began = time.thread_time()
        content = self.page(json.loads(body)) if self.kind == "stac" else self.folder(url)
        self.spent += time.thread_time() - began
        yield Answered(url, content)

    def open(self, path, **_):
        return self.ask("GET", path)

    def page(self, asked):
        start = int(asked.get("token", 0))
        items = [self.item(n) for n in range(start, min(self.count, start + PAGE))]
        link = {"rel": "next", "href": "search", "method": "POST", "merge": True, "body": {"token": start + PAGE}}
        return json.dumps({"features": items, "links": [link] if start + PAGE < self.count else []}).encode()

    def item(self, n):
        name = f"LC09_L2SP_{n:012}_02_T1"
        sums = f"1220{n:064x}"
        asset = {
            "href": f"https://data.example/{name}/{name}_B2.TIF",
            "type": "image/tiff",
            "roles": ["data"],
            "file:checksum": sums,
        }
        return {
            "type": "Feature",
            "id": name,
            "collection": "c",
            "properties": {"updated": "2024-05-01T00:00:00Z"},
            "assets": {"B2": asset},
        }

    def folder(self, url):
        rest = url.removeprefix("https://www.example/")
        names = [f"f{n:07}/" for n in range(self.count)] if not rest else ["a.dat"]
        rows = "".join(f'<a href="{name}">{name}</a> 2024-05-01 10:00 3\n' for name in names)
        return f"<html><title>Index of /{rest}</title><pre>{rows}</pre></html>".encode()


def peak():
    """MiB of memory at the most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(kind, count):
    mirror = load_mirror(MANIFESTS[kind], "m")
    reader = installed()[mirror.source.reader].opened(mirror.source, date(2024, 5, 1))
    with tempfile.TemporaryDirectory() as folder, Catalogue(Path(folder) / "state") as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/", title="", source="")
        upstream = Upstream(kind, count)
        survey = Survey(
            mirror="m",
            mirror_id=row.id,
            transport=cast("Transport", upstream),
            claims=catalogue.claims,
            frontier=catalogue.frontier,
            links=catalogue.links,
            selection=SourceSelection(mirror.source, reader),
            listener=lambda event: None,
            spool=Path(folder),
            made=Spool(Path(folder) / "made"),
            key="k",
        )
        disable_during_imports()  # as the program does
        enable_after_imports()
        before, began, used = peak(), time.monotonic(), time.process_time()
        inventory = await survey.read(reader)
        seconds, used = time.monotonic() - began, time.process_time() - used - upstream.spent
        assert inventory.complete, inventory.failed[:3]
        print(
            f"{kind}: {inventory.files:,} files of {inventory.documents:,} documents in {seconds:.1f} s, "
            f"{inventory.files / seconds:,.0f} files/s; CPU {used:.1f} s, {used / inventory.files * 1e6:.1f} us a file; memory {before:.0f} MiB before, {peak():.0f} MiB at the most"
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
