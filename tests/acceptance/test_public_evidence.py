"""The evidence about files, as pages for people: verdicts, checksums, where a file came from, where it is on Earth."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest

from syncd.face.footprints import outlines
from tests.acceptance import public_side
from tests.acceptance.public_side import OPEN, PublicSide
from tests.fakes import Archive

HOSTILE = "a/<b onmouseover=alert(1)>&'.txt"
SOURCE = 'source: {{url: "file:///archive/", settle: 0s}}'
PLACED = OPEN + "  spatial: [-60, 65, -20, 80]\n  temporal: ['2020-01-01', '..']\n"


def item(name, geometry=None, **more):
    return json.dumps(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "c",
            "bbox": [-43.2, 70.9, -34.9, 73.4],
            "geometry": geometry or {"type": "Polygon", "coordinates": [[[-43, 71], [-35, 71], [-35, 73], [-43, 71]]]},
            "properties": {"datetime": "2020-01-01T00:00:00Z"},
            "links": [{"rel": "license", "href": "../terms"}, {"rel": "x", "href": "javascript:alert(1)"}],
            "assets": {"data": {"href": f"data/{name}.tif"}, "away": {"href": "https://o.example/b.tif"}},
            **more,
        }
    ).encode()


@pytest.fixture
def side(tmp_path):
    return PublicSide(tmp_path, Archive({"a.txt": b"a", HOSTILE: b"b"}, digests=("sha256",)))


async def test_a_page_and_its_json_say_how_many_files_are_verified_and_how_many_attested(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"aa", "b.txt": b"b"}))
    await side.run()
    side.archive.digests = ("sha256",)
    side.archive.files["c.txt"] = b"ccc"
    await side.run()
    async with side.serving():
        found = (await side.get("/mirrors/scenes/", Accept="application/json")).json()["verdicts"]
        assert sorted((one["verdict"], one["files"], one["bytes"]) for one in found) == [
            ("attested", 2, 3),
            ("verified", 1, 3),
        ]
        text = (await side.get("/mirrors/scenes/", Accept="text/html")).body.decode()
        assert "<td>attested</td>" in text
        assert "<td>verified</td>" in text
        assert "file:///" not in text  # no path of this machine


async def test_the_evidence_about_a_file_is_a_page_for_people_and_json_for_programs(side):
    await side.run()
    async with side.serving():
        page = await side.get("/mirrors/scenes/evidence/a.txt", Accept="text/html", Accept_Language="zh")
        found = (await side.get("/mirrors/scenes/evidence/a.txt")).json()
        assert page.status == 200
        assert page.headers["content-language"].startswith("zh")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        text = page.body.decode()
        assert text.count(found["sha256"]) >= 2  # ours, and upstream's
        assert found["xxh3-128"] in text
        assert found["origin"]["verdict"] == "verified"
        assert "file:///" not in text + json.dumps(found)
        also = await side.get("/mirrors/scenes/evidence/a.txt?format=json", Accept="text/html")
        assert also.json() == found
        assert (await side.get("/mirrors/scenes/evidence/none", Accept="text/html")).status == 404


async def test_the_form_of_a_page_leads_to_the_evidence_and_never_elsewhere(side):
    await side.run()
    base = "https://data.example.org/mirrors/scenes/evidence/"
    async with side.serving():
        for asked, place in (("a.txt", "a.txt"), ("//evil.example/x", "evil.example/x"), ("%0d%0aX:1", "%0D%0AX%3A1")):
            answer = await side.get(f"/mirrors/scenes/evidence?path={asked}")
            if asked.startswith("%"):
                assert answer.status == 404 or answer.headers["location"].startswith(base)
                continue
            assert (answer.status, answer.headers["location"]) == (302, base + place)
        assert (await side.get("/mirrors/scenes/evidence?path=")).status == 404


async def test_names_of_upstream_are_text_on_the_page_of_evidence(side):
    await side.run()
    async with side.serving():
        asked = await side.get("/mirrors/scenes/evidence?path=" + "a/%3Cb%20onmouseover%3Dalert(1)%3E%26%27.txt")
        path = asked.headers["location"].removeprefix("https://data.example.org")
        text = (await side.get(path, Accept="text/html")).body.decode()
        assert "<b onmouseover" not in text
        assert "&lt;b onmouseover=alert(1)&gt;" in text


async def test_where_files_came_from_is_told_without_logins_and_paths_of_this_machine(side):
    snapshot = await side.run()
    async with side.serving():
        rows = (await side.get(f"/mirrors/scenes/snapshots/{snapshot}/origins")).body.decode()
        assert rows.count('"verdict":"verified"') == 2
        assert "file:///" not in rows


@pytest.fixture
def stac_side(tmp_path, monkeypatch):
    text = public_side.MANIFEST.replace(
        SOURCE, 'source: {{url: "https://o.example/", reader: stac, collections: [c], items: true}}'
    )
    monkeypatch.setattr(public_side, "MANIFEST", text)
    files = {f"i{n}/i{n}.json": item(f"i{n}") for n in range(3)}
    files |= {f"i{n}/i{n}.tif": b"%d" % n for n in range(3)}
    files |= {"bad/bad.json": b"[" * 5_000, "no/other.json": item("i9"), "list/list.json": b'{"type": "Feature"}'}
    return PublicSide(tmp_path, Archive(files, digests=("sha256",)), publish=PLACED)


async def until_ready(side, path):
    async with asyncio.timeout(30):
        while (answer := await side.get(path)).status == 503:
            await asyncio.sleep(0.02)
    return answer


async def test_the_items_that_a_mirror_holds_are_served_with_our_addresses_and_nothing_else_is_an_item(stac_side):
    side = stac_side
    await side.run()
    async with side.serving():
        collection = (await until_ready(side, "/stac/scenes/collection.json")).json()
        parts = [one["href"] for one in collection["links"] if one["rel"] == "child"]
        assert parts == ["https://data.example.org/stac/scenes/items/1.json"]
        listed = (await side.get("/stac/scenes/items/1.json")).json()
        items = [one["href"] for one in listed["links"] if one["rel"] == "item"]
        assert [one.rpartition("/")[2] for one in items] == ["i0.json", "i1.json", "i2.json"]
        found = await side.get(items[1].removeprefix("https://data.example.org"))
        assert found.headers["content-type"] == "application/geo+json"
        item_of = found.json()
        assert item_of["collection"] == "scenes"
        assert item_of["assets"]["away"]["href"] == "https://o.example/b.tif"
        assert not [one for one in item_of["links"] if one["href"].startswith("javascript")]
        for path in ("bad/bad.json", "no/other.json", "list/list.json", "i0/i0.tif", "none.json"):
            assert (await side.get(f"/stac/scenes/item/{path}")).status == 404, path
        assert (await side.get("/stac/scenes/items/2.json")).status == 404


async def test_the_outlines_of_items_are_drawn_on_a_map_that_asks_no_one_else(stac_side):
    side = stac_side
    await side.run()
    async with side.serving():
        await until_ready(side, "/stac/scenes/collection.json")
        text = (await side.get("/mirrors/scenes/", Accept="text/html")).body.decode()
        assert "The outlines of 3 items." in text
        assert len(re.findall(r'<path d="M', text)) == 3
        land = re.findall(r'href="(/static/[^"]+land\.svg)"', text)[0]
        assert (await side.get(land)).headers["content-type"].startswith("image/svg+xml")


async def test_without_items_the_map_shows_the_place_that_the_manifest_states(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"a"}), publish=PLACED)
    await side.run()
    async with side.serving():
        text = (await side.get("/mirrors/scenes/", Accept="text/html")).body.decode()
        assert "The area that the manifest states." in text
        assert len(re.findall(r'<path d="M', text)) == 1


async def test_what_was_published_and_is_not_any_more_answers_410_with_the_reason_at_every_door(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"a"}), publish=PLACED)
    snapshot = await side.run()
    async with side.mirroring.open() as (_, catalogue):
        catalogue.publications.begin("scenes", 1.0)
        catalogue.publications.end("scenes", datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp(), "withdrawn")
        catalogue.settings.set("withdrawn:scenes", "yes")
    base = "/mirrors/scenes"
    async with side.serving():
        for path in (
            base, f"{base}/", f"{base}/latest/a.txt", f"{base}/head.json", f"{base}/feed.atom", f"{base}/evidence/a.txt",
            f"{base}/snapshots/{snapshot}/files/a.txt", f"{base}/snapshots/{snapshot}/SHA256SUMS",
            f"{base}/shards/{'0' * 64}", f"{base}/changelist.xml", "/waf/scenes.xml", "/stac/scenes/collection.json",
        ):  # fmt: skip
            answer = await side.get(path)
            assert answer.status == 410, path
            assert "withdrawn on 2026-05-04" in answer.json()["error"], path
        answer = await side.get("/s3/scenes?list-type=2")
        assert (answer.status, b"NoSuchBucket" in answer.body) == (410, True)
        assert (await side.get("/mirrors/never/")).status == 404
        for path in ("/", "/catalogue.jsonld", "/sitemap.xml", "/stac/catalog.json", "/waf/"):
            assert b"scenes" not in (await side.get(path)).body.lower(), path


async def test_a_tag_leads_to_its_snapshot(side):
    first = await side.run()
    async with side.mirroring.open() as (store, catalogue):
        from syncd.engine import Tagging

        await Tagging(store, catalogue, catalogue.history.mirror("scenes")).tag(first, "v2026.1", "anna")
    async with side.serving():
        answer = await side.get("/mirrors/scenes/snapshots/v2026.1/SHA256SUMS")
        assert answer.status == 302
        assert answer.headers["location"].endswith(f"/snapshots/{first}/SHA256SUMS")


@pytest.mark.parametrize(
    "given",
    [
        {"geometry": {"type": "Polygon", "coordinates": [[[1e9, 0], [0, 0], [1, 1]]]}},
        {"geometry": {"type": "Polygon", "coordinates": "x"}},
        {"geometry": {"type": "MultiPolygon", "coordinates": [3, None, [[["a", "b"]]]]}},
        {"geometry": None, "bbox": ["a", 1, 2, 3]},
        {"geometry": {"type": "Point", "coordinates": [True]}},
    ],
)
def test_a_geometry_that_is_nowhere_on_earth_is_not_drawn(given):
    assert outlines(given) == ()
