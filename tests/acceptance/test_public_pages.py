"""The pages and documents by which people and portals find what a node holds."""

import json
import re

import pytest

from tests.acceptance.public_side import OPEN, PublicSide
from tests.fakes import Archive

HOSTILE = OPEN.replace("Scenes of the Earth, zh", '"</script><script>alert(1)</script> <b>Scenes</b>", zh')


@pytest.fixture
def side(tmp_path):
    return PublicSide(tmp_path, Archive({"a.txt": b"a", "b.txt": b"b"}, digests=("sha256",)))


@pytest.mark.parametrize(("accept", "title"), [("en", "Scenes of the Earth"), ("zh-CN,zh;q=0.9", "地球影像")])
async def test_a_landing_page_speaks_the_language_of_its_reader(side, accept, title):
    snapshot = await side.run()
    async with side.serving():
        page = await side.get("/mirrors/scenes/", Accept="text/html", Accept_Language=accept)
        assert page.status == 200
        text = page.body.decode()
        assert f"<h1>{title}</h1>" in text
        assert "CC-BY-4.0" in text
        assert "Someone (2026): Scenes." in text
        assert f"https://data.example.org/mirrors/scenes/snapshots/{snapshot}/files/" in text
        assert "evil.example" not in text
        assert title in (await side.get("/", Accept="text/html", Accept_Language=accept)).body.decode()
        style = re.findall(r'href="(/static/[^"]+\.css)"', text)[0]
        assert (await side.get(style)).headers["content-type"] == "text/css; charset=utf-8"
        other = "zh" if accept == "en" else "en"
        switched = await side.get(f"/mirrors/scenes/?lang={other}", Accept="text/html", Accept_Language=accept)
        assert switched.headers["content-language"].startswith(other)


async def test_what_a_steward_or_an_upstream_wrote_runs_nowhere(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"a"}), publish=HOSTILE)
    await side.run()
    async with side.serving():
        for path in ("/", "/mirrors/scenes/"):
            page = await side.get(path, Accept="text/html")
            text = page.body.decode()
            assert "<script>alert" not in text
            assert "<b>Scenes" not in text
            assert "script-src" not in page.headers["content-security-policy"]
            assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_page_holds_its_dataset_for_search_engines_and_programs(side):
    snapshot = await side.run()
    async with side.serving():
        text = (await side.get("/mirrors/scenes/", Accept="text/html")).body.decode()
        data = json.loads(re.findall(r'<script type="application/ld\+json">(.*?)</script>', text, re.DOTALL)[0])
        assert data["@type"] == "Dataset"
        assert data["version"][:12] == snapshot[:12]
        found = (await side.get("/mirrors/scenes/", Accept="application/json")).json()
        assert (found["snapshot"], found["files"], found["access"]) == (snapshot, 2, "open")
        assert [one["mirror"] for one in (await side.get("/", Accept="application/json")).json()] == ["scenes"]


async def test_portals_find_catalogue_sitemap_feeds_and_citation(side):
    await side.run()
    async with side.serving():
        for path, media in (
            ("/catalogue.jsonld", "application/ld+json"),
            ("/catalogue.ttl", "text/turtle"),
            ("/catalogue.rdf", "application/rdf+xml"),
            ("/sitemap.xml", "application/xml"),
            ("/feed.atom", "application/atom+xml"),
            ("/.well-known/resourcesync", "application/xml"),
            ("/mirrors/scenes/feed.atom", "application/atom+xml"),
            ("/mirrors/scenes/feed.json", "application/feed+json"),
            ("/mirrors/scenes/citation.bib", "application/x-bibtex"),
            ("/mirrors/scenes/croissant.json", "application/ld+json"),
            ("/mirrors/scenes/ro-crate-metadata.json", "application/ld+json"),
        ):
            answer = await side.get(path)
            assert answer.status == 200, path
            assert answer.headers["content-type"].startswith(media), path
            assert b"https://data.example.org/" in answer.body, path
            assert b"evil.example" not in answer.body
            again = await side.get(path, If_None_Match=answer.headers["etag"])
            assert (again.status, again.body) == (304, b""), path
        assert (await side.get("/mirrors/scenes/datacite.xml")).status == 404  # it has no DOI
        assert (await side.get("/catalogue.jsonld?page=2")).status == 404
        assert (await side.get("/catalogue.jsonld?page=x")).status == 404


async def test_a_mirror_appears_only_in_the_lists_that_its_manifest_names(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"a"}), publish=OPEN + "  to: [events]\n")
    await side.run()
    async with side.serving():
        assert b"mirrors/scenes" not in (await side.get("/catalogue.jsonld")).body
        assert b"mirrors/scenes" in (await side.get("/feed.atom")).body
        assert (await side.get("/mirrors/scenes/croissant.json")).status == 404
        assert (await side.get("/mirrors/scenes/", Accept="text/html")).status == 200


async def test_an_empty_node_says_so_and_a_private_mirror_is_nowhere(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"a"}), publish="")
    await side.run()
    async with side.serving():
        for path in ("/", "/catalogue.jsonld", "/catalogue.ttl", "/sitemap.xml", "/feed.atom", "/s3/"):
            answer = await side.get(path, Accept="text/html")
            assert answer.status == 200, path
            assert b"scenes" not in answer.body.lower(), path
        assert "No dataset is published" in (await side.get("/", Accept="text/html")).body.decode()
