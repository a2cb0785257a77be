"""Zenodo and InvenioRDM: every shape in which a record names its files, newest versions, searches."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers import zenodo
from manifests.readers.zenodo import ZenodoOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

MD5 = "2942bfabb3d05332b66eb128e0842cff"
ROOT = "https://zenodo.example/"
API = f"{ROOT}api/records"


def reader(*records, **options):
    return open_reader(Source(ROOT, ZenodoOptions(records=records, **options)))


def legacy(number=100, key="my-file.zip", **more):
    link = f"{API}/{number}/files/{key}/content"
    file = {"key": key, "checksum": f"md5:{MD5}", "size": 17, "links": {"self": link}}
    return {
        "id": number,
        "conceptrecid": "99",
        "files": [file],
        "links": {"latest": f"{API}/{number}/versions/latest"},
        **more,
    }


RECENT = {"id": "abc-12", "files": {"enabled": True, "count": 1}, "links": {"files": f"{API}/abc-12/files"}}
ENTRIES: dict[str, Any] = {
    "enabled": True,
    "entries": [
        {
            "key": "a b/c#1.nc",
            "checksum": f"md5:{MD5}",
            "size": 5,
            "links": {"self": f"{API}/abc-12/files/a", "content": f"{API}/abc-12/files/a/content"},
        }
    ],
}


def test_a_record_names_its_files_with_md5_and_size():
    (stat,) = read_all(reader("100"), {f"{API}/100": json.dumps(legacy())})
    assert stat == Stat("my-file.zip", 17, digests={"md5": MD5}, urls=(f"{API}/100/files/my-file.zip/content",))


def test_the_shape_of_october_2023_has_bare_md5_and_no_links():
    record = {"files": [{"filename": "my file.zip", "checksum": MD5}]}
    (stat,) = read_all(reader("100"), {f"{API}/100": json.dumps(record)})
    assert stat == Stat("my file.zip", digests={"md5": MD5}, urls=(f"{API}/100/files/my%20file.zip/content",))


def test_a_mixture_of_the_two_shapes_is_a_guess_and_refused():
    record = legacy()
    record["files"].append({"filename": "x", "checksum": MD5})
    with pytest.raises(DocumentError, match="which is ambiguous"):
        read_all(reader("100"), {f"{API}/100": json.dumps(record)})


@pytest.mark.parametrize("inline", [False, True])
def test_invenio_lists_files_on_a_page_of_their_own_or_in_the_record(inline):
    record = {**RECENT, "files": {"entries": {"x": ENTRIES["entries"][0]}}} if inline else RECENT
    (stat,) = read_all(
        reader("abc-12"), {f"{API}/abc-12": json.dumps(record), f"{API}/abc-12/files": json.dumps(ENTRIES)}
    )
    assert stat == Stat("a b/c#1.nc", 5, digests={"md5": MD5}, urls=(f"{API}/abc-12/files/a/content",))


def test_the_newest_version_is_taken_where_it_is_wanted_and_only_there():
    newest = {f"{API}/100": json.dumps(legacy()), f"{API}/100/versions/latest": json.dumps(legacy(101, "new.zip"))}
    assert list(stats(read_all(reader("100"), newest))) == ["my-file.zip"]
    assert list(stats(read_all(reader("100", versions="latest"), newest))) == ["new.zip"]


def test_each_of_several_records_has_a_folder():
    documents = {f"{API}/100": json.dumps(legacy()), f"{API}/200": json.dumps(legacy(200))}
    assert list(stats(read_all(reader("100", "200"), documents))) == ["100/my-file.zip", "200/my-file.zip"]
    assert list(stats(read_all(reader("100", folders=True), documents))) == ["100/my-file.zip"]


def test_a_record_that_shows_no_files_may_be_restricted_and_one_without_any_is_empty():
    with pytest.raises(DocumentError, match="record 100 shows no files: is it restricted"):
        read_all(reader("100"), {f"{API}/100": '{"id": 100}'})
    assert read_all(reader("100"), {f"{API}/100": '{"id": 100, "files": []}'}) == []
    assert read_all(reader("100"), {f"{API}/100": json.dumps({**RECENT, "files": {"enabled": False}})}) == []


@pytest.mark.promise("P5")
@pytest.mark.parametrize("more", [{"access": {"files": "restricted"}}, {"metadata": {"access_right": "embargoed"}}])
def test_a_closed_record_with_an_empty_list_of_files_may_have_some(more):
    body = json.dumps({"id": 100, "files": [], **more})
    with pytest.raises(DocumentError, match="record 100 shows no files: is it restricted or under embargo"):
        read_all(reader("100"), {f"{API}/100": body})


@pytest.mark.promise("P5")
@pytest.mark.parametrize("inline", [True, False])
def test_files_that_a_record_counts_and_does_not_name_make_it_incomplete(inline):
    rows = [{"key": "a", "size": 1}, {"key": "b", "size": 2}]
    files = {"enabled": True, "count": 3, **({"entries": rows} if inline else {})}
    listed = f"{API}/100/files"
    documents = {
        f"{API}/100": json.dumps({"id": 100, "files": files, "links": {"files": listed}}),
        listed: json.dumps({"enabled": True, "entries": rows}),
    }
    with pytest.raises(DocumentError, match=r"3 files.* were announced, and the list ends after 2"):
        read_all(reader("100"), documents)


def page(*records, total=None):
    return json.dumps({"hits": {"hits": records, "total": len(records) if total is None else total}})


def search(number):
    return f"{API}?q=communities%3Awgms&sort=oldest&size=25&page={number}"


def test_a_search_is_read_to_its_end_and_records_keep_their_folder_from_version_to_version():
    first = [legacy(n, conceptrecid=str(n - 1)) for n in range(2, 52, 2)]
    documents = {search(1): page(*first, total=26), search(2): page(legacy(100), total=26)}
    found = stats(read_all(reader(query="communities:wgms"), documents))
    assert len(found) == 26
    assert {"1/my-file.zip", "99/my-file.zip"} < set(found)


def test_a_search_that_ends_early_or_finds_too_much_is_told():
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(reader(query="communities:wgms"), dict.fromkeys((search(1), search(2)), page(legacy(1), total=30)))
    with pytest.raises(DocumentError, match="30 records were announced, and the list ends after 1"):
        read_all(
            reader(query="communities:wgms"),
            {search(1): page(legacy(), total=30), search(2): page(total=30)} | {search(2): page(total=30)},
        )
    with pytest.raises(DocumentError, match="finds 10001 records, of which the site returns 10000: narrow the query"):
        read_all(reader(query="communities:wgms"), {search(1): page(legacy(), total=10001)})


def test_a_search_without_an_end_is_told(monkeypatch):
    monkeypatch.setattr(zenodo, "MOST_FOUND", 3)
    endless = {search(n): json.dumps({"hits": {"hits": [legacy(n)]}}) for n in range(1, 9)}
    with pytest.raises(DocumentError, match="has more than the 3 records"):
        read_all(reader(query="communities:wgms"), endless)


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", ".syncd/x"])
def test_names_leave_as_they_are(key):
    assert list(stats(read_all(reader("100"), {f"{API}/100": json.dumps(legacy(key=key))}))) == [key]


def test_what_names_nothing_or_two_things_is_told():
    for wrong in ({}, {"records": ("1",), "query": "x"}, {"records": ("1/2",)}):
        with pytest.raises(ValidationError):
            ZenodoOptions(**wrong)


@settings(max_examples=40)
@given(broken(json.dumps(legacy())) | broken(json.dumps(RECENT)))
def test_a_broken_record_is_a_document_error(body):
    chosen = reader("100")
    for one in survives(chosen, next(iter(chosen.start())), body):
        assert not isinstance(one, Stat) or set(one.digests) <= {"md5"}


@settings(max_examples=40)
@given(broken(page(legacy())))
def test_a_broken_search_is_a_document_error(body):
    chosen = reader(query="x")
    survives(chosen, next(iter(chosen.start())), body)


def test_a_web_page_in_place_of_an_answer_is_told():
    with pytest.raises(DocumentError, match="a web page"):
        list(reader("100").read(answer(next(iter(reader("100").start())), "<!doctype html>")))
