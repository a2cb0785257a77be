"""CKAN: names from links, promises only where they are some, portals that answer in HTML."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings

from manifests.readers.ckan import CkanOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

ROOT = "https://ckan.example/"
SHOW = f"{ROOT}api/3/action/package_show?id=air-quality"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def link(number, url, **more):
    return {
        "id": f"id-{number}",
        "url": url,
        "name": "A title",
        "format": "CSV",
        "size": None,
        "hash": "",
        "last_modified": None,
        **more,
    }


def package(*links, name="air-quality"):
    return {
        "name": name,
        "id": "1-2-3",
        "license_id": "cc-by",
        "metadata_modified": "2024-01-01T00:00:00",
        "resources": links,
    }


def shown(*links):
    return json.dumps({"help": "x", "success": True, "result": package(*links)})


def reader(**options):
    return open_reader(Source(ROOT, CkanOptions(**({"packages": ("air-quality",)} | options))))


def read(*links, **options):
    return stats(read_all(reader(**options), {SHOW: shown(*links)}))


def test_what_stewards_typed_is_no_promise_and_what_the_portal_holds_is():
    typed = link(1, "https://elsewhere.example/data/no2%202024.csv?x=1", size=11.75)
    held = link(2, f"{ROOT}dataset/1/resource/2/download/o3.csv", size=17, url_type="upload", hash=f"sha1:{SHA1}")
    dated = link(3, "https://elsewhere.example/pm.csv", last_modified="2024-01-02T00:00:00", hash=SHA1, size="900")
    assert list(read(typed, held, dated).values()) == [
        Stat("no2 2024.csv", urls=("https://elsewhere.example/data/no2%202024.csv?x=1",)),
        Stat("o3.csv", 17, digests={"sha1": SHA1}, urls=(f"{ROOT}dataset/1/resource/2/download/o3.csv",)),
        Stat("pm.csv", None, 1704153600.0, digests={"sha1": SHA1}, urls=("https://elsewhere.example/pm.csv",)),
    ]
    assert read(dated, trust_hash=False)["pm.csv"].digests == {}


def test_files_that_would_share_a_name_have_a_folder_each():
    twice = [link(n, f"https://h.example/{n}/Data.csv") for n in (1, 2)]
    api = link(3, "https://h.example/api/")
    assert list(read(*twice, api)) == ["id-1/Data.csv", "id-2/Data.csv", "id-3/file"]
    assert list(read(link(1, "https://h.example/x.csv"), names="ids")) == ["id-1/x.csv"]


def test_only_the_formats_wanted_are_taken():
    links = (link(1, "https://h.example/x.csv"), link(2, "https://h.example/x.nc", format="NetCDF"))
    assert list(read(*links, formats=("netcdf",))) == ["x.nc"]


def test_a_refusal_is_told_in_the_portals_words():
    refused = '{"success": false, "error": {"message": "Not found", "__type": "Not Found Error"}}'
    with pytest.raises(DocumentError, match="Not found"):
        read_all(reader(), {SHOW: refused})
    with pytest.raises(DocumentError, match="a web page"):
        read_all(reader(), {SHOW: "<html>moved</html>"})


def test_a_link_without_a_url_is_told_after_the_others():
    chosen = reader()
    follow = next(iter(chosen.start()))
    assert list(stats(survives(chosen, follow, shown(link(1, ""), link(2, "https://h.example/x.csv"))))) == ["x.csv"]
    with pytest.raises(DocumentError, match="'air-quality' has a file without a url"):
        read(link(1, "http://[::1"))


@pytest.mark.promise("P5")
def test_a_package_that_names_fewer_files_than_it_counts_is_incomplete():
    body = json.loads(shown(link(1, "https://h.example/x.csv")))
    body["result"]["num_resources"] = 2
    chosen = reader()
    follow = next(iter(chosen.start()))
    with pytest.raises(DocumentError, match="2 files of package air-quality were announced, and the list ends after 1"):
        list(chosen.read(answer(follow, json.dumps(body))))


def search(begin):
    words = {"fq": "organization:usgs", "rows": 1000, "start": begin, "sort": "name asc"}
    return f"{ROOT}api/3/action/package_search?{urlencode(words)}"


def test_a_search_is_read_to_its_end():
    def page(*packages):
        return json.dumps({"success": True, "result": {"count": 2, "results": packages}})

    documents = {
        search(0): page(package(link(1, "https://h.example/x.csv"))),
        search(1): page(package(link(1, "https://h.example/x.csv"), name="water")),
    }
    chosen = reader(packages=(), query="organization:usgs")
    assert list(stats(read_all(chosen, documents))) == ["air-quality/x.csv", "water/x.csv"]
    with pytest.raises(DocumentError, match="2 packages were announced, and the list ends after 1"):
        read_all(chosen, documents | {search(1): page()})
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(chosen, documents | {search(1): documents[search(0)]})


@settings(max_examples=40)
@given(broken(shown(link(1, "https://h.example/x.csv", size=3, url_type="upload"), link(2, "ftp://h/y"))))
def test_a_broken_package_is_a_document_error(body):
    chosen = reader()
    for stat in survives(chosen, next(iter(chosen.start())), body):
        assert set(stat.digests) <= {"md5", "sha1"}
