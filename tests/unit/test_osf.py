"""OSF: folders and pages, two digests or none, components, providers."""

import json

import pytest
from hypothesis import given, settings

from manifests.readers.osf import OsfOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://osf.example/v2/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def files(node, provider="osfstorage", kind="nodes"):
    return f"{ROOT}{kind}/{node}/files/{provider}/?page[size]=100"


def file(path, **attributes):
    return {
        "id": "553e69248c5e4a219919ea54",
        "attributes": {
            "kind": "file", "name": path.rpartition("/")[2], "path": "/553e", "materialized_path": path, "size": 5,
            "date_modified": "2024-01-02T00:00:00.000000Z", "provider": "osfstorage",
            "extra": {"hashes": {"md5": MD5, "sha256": SHA256}}, **attributes,
        },
        "links": {"download": f"https://files.osf.example/v1/resources/x/providers/osfstorage{path}", "upload": "x"},
    }  # fmt: skip


def folder(path, href):
    links = {"files": {"links": {"related": {"href": href, "meta": {}}}}}
    return {"id": "5", "attributes": {"kind": "folder", "materialized_path": path}, "relationships": links}


def page(*rows, more=None):
    return json.dumps({"data": rows, "links": {"first": None, "next": more}})


def reader(*nodes, **options):
    return open_reader(Source(ROOT, OsfOptions(nodes=nodes, **options)))


@pytest.mark.promise("P5")
@pytest.mark.parametrize("told", [{"meta": {"total": 3}}, {"links": {"next": None, "meta": {"total": 3}}}])
def test_entries_that_were_announced_and_did_not_come_make_a_folder_incomplete(told):
    body = json.dumps({"data": [file("/a"), file("/b")], "links": {"next": None}, **told})
    with pytest.raises(DocumentError, match="3 entries were announced, and the list ends after 2"):
        read_all(reader("fdkmx"), {files("fdkmx"): body})


@pytest.mark.promise("P5")
def test_a_page_that_leads_back_makes_a_folder_incomplete():
    documents = {files("fdkmx"): page(file("/a"), more=f"{ROOT}p2"), f"{ROOT}p2": page(file("/a"), more=f"{ROOT}p3")}
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(reader("fdkmx"), documents)


def test_folders_and_pages_are_followed_and_paths_are_those_that_osf_shows():
    documents = {
        files("fdkmx"): page(
            file("/a b.csv"), folder("/raw/", f"{ROOT}nodes/fdkmx/files/osfstorage/55/"), more=f"{ROOT}p2"
        ),
        f"{ROOT}p2": page(file("/z.csv", extra={"hashes": None}, size=None)),
        f"{ROOT}nodes/fdkmx/files/osfstorage/55/": page(file("/raw/x#1.nc")),
    }
    found = stats(read_all(reader("fdkmx"), documents))
    assert list(found) == ["a b.csv", "raw/x#1.nc", "z.csv"] or sorted(found) == ["a b.csv", "raw/x#1.nc", "z.csv"]
    url = "https://files.osf.example/v1/resources/x/providers/osfstorage/raw/x#1.nc"
    assert found["raw/x#1.nc"] == Stat(
        "raw/x#1.nc", 5, 1704153600.0, digests={"sha256": SHA256, "md5": MD5}, urls=(url,)
    )
    assert (found["z.csv"].digests, found["z.csv"].size, found["z.csv"].modified) == ({}, None, 1704153600.0)


def test_projects_providers_and_components_have_a_folder_each():
    one = page(file("/x"))
    assert list(stats(read_all(reader("abc", "def"), {files("abc"): one, files("def"): one}))) == ["abc/x", "def/x"]
    providers = ("osfstorage", "github")
    documents = {files("abc", each): one for each in providers}
    assert list(stats(read_all(reader("abc", providers=providers), documents))) == ["osfstorage/x", "github/x"]
    children = f"{ROOT}nodes/{{}}/children/?page[size]=100"
    documents = {files("abc"): one, children.format("abc"): json.dumps({"data": [{"id": "kid1"}]})}
    documents |= {files("kid1"): one, children.format("kid1"): page()}
    assert list(stats(read_all(reader("abc", components=True), documents))) == ["abc/x", "abc/kid1/x"]


def test_registrations_have_their_own_address():
    documents = {files("abc", kind="registrations"): page(file("/x"))}
    assert list(stats(read_all(reader(registrations=("abc",)), documents))) == ["x"]


def test_an_error_is_told_in_the_words_of_the_site_and_a_loop_ends():
    with pytest.raises(DocumentError, match="You do not have permission"):
        read_all(reader("abc"), {files("abc"): '{"errors": [{"detail": "You do not have permission"}]}'})
    looping = {f"{ROOT}loop/{n}": page(folder("/a/", f"{ROOT}loop/{n + 1}")) for n in range(80)}
    with pytest.raises(DocumentError, match="more than 64 deep"):
        read_all(reader("abc"), {files("abc"): page(folder("/a/", f"{ROOT}loop/0")), **looping})


@pytest.mark.parametrize("row", [file(""), {**file("/x"), "links": {}}, folder("/a", None), {}])
def test_a_row_that_cannot_be_used_is_told_after_the_others(row):
    chosen = reader("abc")
    follow = next(iter(chosen.start()))
    assert list(stats(survives(chosen, follow, page(row, file("/y"))))) == ["y"]
    with pytest.raises(DocumentError):
        read_all(chosen, {files("abc"): page(row)})


@pytest.mark.parametrize("path", ["/../x", "//etc/passwd", "/a/../../b"])
def test_paths_leave_as_they_are(path):
    assert list(stats(read_all(reader("abc"), {files("abc"): page(file(path))}))) == [path[1:]]


@settings(max_examples=40)
@given(broken(page(file("/a"), folder("/b/", f"{ROOT}x"))))
def test_a_broken_page_is_a_document_error(body):
    chosen = reader("abc")
    for one in survives(chosen, next(iter(chosen.start())), body):
        assert not isinstance(one, Stat) or "sha1" not in one.digests
