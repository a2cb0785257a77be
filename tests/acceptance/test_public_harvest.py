"""Harvesters at the public side: what is published is listed, what was is a tombstone, and no list is too short."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from manifests.model import load_mirror
from manifests.readers import resourcesync
from manifests.reading import Cursor, Deleted
from syncd.exchange import update_listed
from syncd.face import node_of, read_listed, read_publication, write_listed
from tests.acceptance.cli import Folder, run
from tests.acceptance.public_side import MANIFEST, OPEN, PublicSide
from tests.fakes import Archive
from tests.unit.reader_harness import Source, answer, stats

MORE = """
  identifiers: [{doi: 10.5072/scenes}]
  spatial: [-43.2, 70.9, -34.9, 73.4]
  temporal: ["2015", ".."]
  themes: [earth]
"""
LISTS = [
    ("/stac/catalog.json", "application/json"),
    ("/waf/", "text/html"),
    ("/oai?verb=ListRecords&metadataPrefix=oai_dc", "text/xml"),
]
ONES = ["/stac/scenes/collection.json", "/waf/scenes.xml"]


async def note(side, names=("scenes",)):
    """Record what is listed, as the daemon does."""
    async with side.mirroring.open() as (store, catalogue):
        node, now = (
            node_of((await asyncio.to_thread(side.config)).serve),
            datetime.fromtimestamp(side.mirroring.now, UTC),
        )
        found = []
        for name in names:
            mirror = load_mirror(catalogue.settings.get(f"manifest:{name}"), name)
            row = catalogue.history.mirror(name)
            found.append(await read_publication(store, catalogue, node, mirror, row, now, with_files=False))
        before = read_listed(catalogue.settings)
        write_listed(catalogue.settings, update_listed(before, list(filter(None, found)), time.time()))


@pytest.fixture
async def side(tmp_path):
    made = PublicSide(tmp_path, Archive({"a b.tif": b"1", "数据.nc": b"22"}), publish=OPEN.rstrip() + MORE)
    await made.run()
    await note(made)
    return made


async def test_every_list_and_document_is_served_with_its_type(side):
    async with side.serving():
        for path, media in LISTS:
            found = await side.get(path)
            assert (found.status, found.headers["content-type"].partition(";")[0]) == (200, media), path
            assert b"scenes" in found.body, path
        for path in ONES:
            assert (await side.get(path)).status == 200, path


async def test_nothing_tells_of_a_private_mirror(side):
    side.publish = ""
    await side.run()
    async with side.serving():
        for path, _ in LISTS:
            found = await side.get(path)
            assert found.status == 200
            assert b"scenes" not in found.body, path
        unknown = await side.get("/waf/nosuch.xml")
        for path in ONES:
            found = await side.get(path)
            assert (found.status, found.body) == (404, unknown.body), path


async def test_a_withdrawn_mirror_is_a_tombstone_for_harvesters(side):
    side.publish = ""
    await side.run()
    await note(side)
    async with side.serving():
        found = await side.get("/oai?verb=ListRecords&metadataPrefix=oai_dc")
        assert b'status="deleted"' in found.body
        assert b"oai:data.example.org:scenes" in found.body
        assert b"oai_dc:dc" not in found.body


async def test_a_list_is_never_short_while_the_store_is_away(side):
    (side.folder / "store").rename(side.folder / "unmounted")
    async with side.serving():
        for path, _ in LISTS:
            assert (await side.get(path)).status == 503, path
        side.bugs.clear()  # they say that the store is away


async def test_publish_to_limits_the_lists(side):
    side.publish = OPEN.rstrip() + "\n  to: [oai]\n"
    await side.run()
    async with side.serving():
        assert b"scenes" not in (await side.get("/waf/")).body
        assert (await side.get("/waf/scenes.xml")).status == 404
        assert b"scenes" in (await side.get("/oai?verb=ListIdentifiers&metadataPrefix=oai_dc")).body


async def test_a_harvester_may_send_a_form(side):
    async with side.serving():
        form = b"verb=ListIdentifiers&metadataPrefix=oai_dc"
        head = (
            b"POST /oai HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        )
        raw = await side.exchange(head + b"Content-Length: %d\r\n\r\n" % len(form) + form)
        assert b"oai:data.example.org:scenes" in raw
        raw = await side.exchange(head + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000)
        assert raw.startswith(b"HTTP/1.1 400")
        raw = await side.exchange(head.replace(b"/oai", b"/waf/") + b"Content-Length: 0\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 405")


async def test_our_own_reader_mirrors_the_repository_and_removes_what_is_withdrawn(side, tmp_path):
    manifest = tmp_path / "harvest.yaml"
    store, state = Folder(tmp_path / "copy"), tmp_path / "copy-state"

    def harvest(port):
        manifest.write_text(
            f"mirror: harvest\nsource: {{url: 'http://127.0.0.1:{port}/', reader: oai-pmh}}\nguard: {{max_removed: 100%}}\n"
        )
        origin = f"http://127.0.0.1:{port}"
        return json.loads(run(store, state, "sync", manifest, "--json", "--allow-private", origin))

    async with side.mirroring.open() as (_, catalogue):  # a second mirror, so that not everything is withdrawn
        text = MANIFEST.format(name="other", publish=side.publish)
        row = catalogue.history.ensure_row(load_mirror(text, "other"))
        first_row = catalogue.history.mirror("scenes")
        snapshot = catalogue.history.snapshots(first_row.id)[0]
        catalogue.history.publish(row.id, msgspec.structs.replace(snapshot, mirror="other"))
        catalogue.settings.set("manifest:other", text)
    await note(side, ("scenes", "other"))
    async with side.serving():
        first = await asyncio.to_thread(harvest, side.port)
        again = await asyncio.to_thread(harvest, side.port)
        assert (first["fetched"], again["fetched"], again["removed"]) == (2, 0, 0)
        files = sorted((tmp_path / "copy" / "harvest").iterdir())
        assert [file.name for file in files] == ["oai:data.example.org:other.xml", "oai:data.example.org:scenes.xml"]
        assert "地球影像" in files[1].read_text("utf-8")
        side.publish = ""
        await side.run()
        await note(side, ("scenes", "other"))
        last = await asyncio.to_thread(harvest, side.port)
        assert (last["fetched"], last["removed"]) == (0, 1)
        assert [file.name for file in (tmp_path / "copy" / "harvest").iterdir()] == ["oai:data.example.org:other.xml"]


ROOT = "https://data.example.org/mirrors/scenes/"


async def followed(side, mark=None):
    """Read the ResourceSync lists of the node with our own reader: what it found, by path."""
    kind = resourcesync.READER
    reader: Any = kind.open(Source(ROOT, kind.options(start="capabilitylist.xml")))
    found = []
    waiting = list(reader.start() if mark is None else reader.resume(mark))
    while waiting:
        asked = waiting.pop(0)
        path = (
            asked.url.removeprefix("https://data.example.org") if "://" in asked.url else f"/mirrors/scenes/{asked.url}"
        )
        answered = await side.get(path)
        assert answered.status == 200, (path, side.bugs)
        for one in reader.read(answer(asked, answered.body, base=ROOT)):
            (waiting if hasattr(one, "state") else found).append(one)
    return found


async def until(side, path, text):
    """Ask until the public side has looked at the Catalogue again."""
    async with asyncio.timeout(120):
        while text not in (await side.get(path)).body:
            await asyncio.sleep(0.05)


async def test_our_own_reader_follows_the_files_by_lists_and_then_by_changes(tmp_path):
    side = PublicSide(tmp_path, Archive({"a b.tif": b"1", "x/old.csv": b"22", "z": b"333"}))
    await side.run()
    async with side.serving():
        first = await followed(side)
        assert sorted(stats(first)) == ["latest/a b.tif", "latest/x/old.csv", "latest/z"]
        (mark,) = (one.value for one in first if isinstance(one, Cursor))
        for path, one in stats(first).items():
            moved = await side.get(quote(f"/mirrors/scenes/{path}"))
            assert moved.status == 302
            found = await side.get(moved.headers["location"].removeprefix("https://data.example.org"))
            assert found.headers["etag"] == f'"{one.digests["sha256"]}"'
        side.archive.files.update({"new": b"4444", "z": b"55555"})
        del side.archive.files["x/old.csv"]
        await side.run()
        await until(side, "/mirrors/scenes/changelist.xml", b"latest/new")
        later = await followed(side, mark)
        assert sorted(stats(later)) == ["latest/new", "latest/z"]
        assert [one.path for one in later if isinstance(one, Deleted)] == ["latest/x/old.csv"]
        for path in ("resourcelist.xml?part=1", "resourcelist.xml?part=x"):
            assert (await side.get(f"/mirrors/scenes/{path}")).status == 404
        side.publish = OPEN.replace("access: open", "access: restricted")
        await side.run()
        await until(side, "/.well-known/resourcesync", b'capability="description"/></urlset>')
        for name in ("resourcelist.xml", "changelist.xml"):
            assert (await side.get(f"/mirrors/scenes/{name}")).status == 401
