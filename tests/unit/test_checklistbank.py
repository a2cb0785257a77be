"""ChecklistBank: the latest and the annual releases of the Catalogue of Life, exports and archives with their md5."""

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.checklistbank import ChecklistbankOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

ROOT = "https://api.checklistbank.example/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
RELEASE = {"key": 9910, "alias": "COL23.9", "origin": "release", "sourceKey": 3, "attempt": 290, "license": "cc by"}


def reader(**options):
    return open_reader(Source(ROOT, ChecklistbankOptions(**options)))


def exports(key, form="COLDP"):
    return f"{ROOT}export?{urlencode({'datasetKey': key, 'format': form, 'status': 'finished', 'limit': 100})}"


def export_zip(key, form="COLDP"):
    return f"{ROOT}dataset/{key}/export.zip?format={form}&extended=true"


def job(**more):
    return {
        "key": "4d3b", "datasetKey": 9910, "status": "finished", "finished": "2023-09-20T00:00:00", "deleted": None,
        "request": {"format": "COLDP", "extended": True, "root": None}, "size": 123, "md5": MD5, **more,
    }  # fmt: skip


def both(found):
    """What the survey makes of two Stats of one path: they are joined."""
    merged = {}
    for stat in found:
        before = merged.get(stat.path, Stat(stat.path))
        merged[stat.path] = Stat(
            stat.path,
            stat.size if before.size is None else before.size,
            version=before.version or stat.version,
            digests={**stat.digests, **before.digests},
            urls=before.urls or stat.urls,
        )
    return merged


def test_the_latest_release_keeps_its_name_and_has_the_md5_of_its_newest_export():
    other = [
        job(finished="2024-01-01T00:00:00", md5="0" * 32, **change)
        for change in (
            {"request": {"format": "COLDP", "extended": False}},
            {"request": {"format": "DWCA", "extended": True}},
            {"request": {"format": "COLDP", "extended": True, "root": {"id": "P"}}},
            {"deleted": "2024-02-01T00:00:00"},
            {"status": "running"},
            {"datasetKey": 1},
        )
    ]
    older = job(finished="2023-09-01T00:00:00", md5="1" * 32)
    documents = {
        f"{ROOT}dataset/3LR": json.dumps(RELEASE),
        exports(9910): json.dumps({"offset": 0, "total": 8, "result": [older, job(), *other]}),
    }
    assert both(read_all(reader(releases="latest"), documents)) == {
        "latest/coldp.zip": Stat(
            "latest/coldp.zip", 123, version="release:9910", digests={"md5": MD5}, urls=(export_zip(9910),)
        )
    }


def test_without_a_list_of_exports_the_export_itself_is_asked_for():
    documents = {f"{ROOT}dataset/3LXR": json.dumps({**RELEASE, "origin": "xrelease"})}
    (stat,) = read_all(reader(releases="latest", extended=True, format="DWCA"), documents)
    assert stat == Stat("latest/dwca.zip", version="release:9910", urls=(export_zip(9910, "DWCA"),))


def releases(begin):
    words = {"origin": "release", "releasedFrom": 3, "limit": 1000, "offset": begin}
    return f"{ROOT}dataset?{urlencode(words)}"


def page(*rows, last=True, total=None):
    return json.dumps({"offset": 0, "limit": 1000, "total": total, "result": rows, "last": last})


def test_annual_releases_are_known_by_a_year_without_a_month_and_pages_are_read_to_the_end():
    rows = [
        RELEASE,
        {**RELEASE, "key": 2, "alias": "COL2022"},
        {**RELEASE, "key": 3, "alias": "COL24"},
        {**RELEASE, "key": 4, "alias": "COL23", "sourceKey": 12},
        {**RELEASE, "key": 5, "alias": "COL21", "private": True},
        {**RELEASE, "key": 6, "alias": None},
    ]
    documents = {releases(0): page(*rows[:3], last=False, total=6), releases(3): page(*rows[3:], total=6)}
    assert list(stats(read_all(reader(releases="annual"), documents))) == ["COL2022/coldp.zip", "COL24/coldp.zip"]
    everything = list(stats(read_all(reader(releases="all"), documents)))
    assert everything == ["COL23.9/coldp.zip", "COL2022/coldp.zip", "COL24/coldp.zip", "6/coldp.zip"]


@pytest.mark.promise("P5")
def test_a_list_of_releases_that_ends_early_is_told():
    with pytest.raises(DocumentError, match="5 releases were announced, and the list ends after 1"):
        read_all(reader(releases="annual"), {releases(0): page(RELEASE, last=True, total=5)})
    with pytest.raises(DocumentError, match="5 releases were announced, and the list ends after 1"):
        read_all(
            reader(releases="all"),
            {releases(0): page(RELEASE, last=False, total=5), releases(1): page(last=False, total=5)},
        )


@pytest.mark.parametrize("shape", [lambda last: last, lambda last: [last, {"attempt": 1, "md5": "0" * 32}]])
def test_the_archive_of_a_dataset_has_the_md5_of_its_last_import(shape):
    last = {"attempt": 12, "md5": MD5, "finished": "2024-01-01", "downloadUri": "https://source.example/x.zip"}
    documents = {f"{ROOT}dataset/2144": '{"key": 2144}', f"{ROOT}dataset/2144/import": json.dumps(shape(last))}
    assert read_all(reader(datasets=("2144",), take="archive"), documents) == [
        Stat("2144/archive.zip", version="attempt:12", digests={"md5": MD5}, urls=(f"{ROOT}dataset/2144/archive",))
    ]


def test_a_dataset_that_is_none_is_told():
    with pytest.raises(DocumentError, match="a dataset without a key"):
        read_all(reader(datasets=("COL23.9",)), {f"{ROOT}dataset/COL23.9": "{}"})
    for wrong in ({}, {"datasets": ("../x",)}, {"releases": "monthly"}):
        with pytest.raises(ValidationError):
            ChecklistbankOptions(**wrong)


@settings(max_examples=40)
@given(broken(page(RELEASE, {**RELEASE, "alias": "COL24"}, total=2)))
def test_a_broken_list_is_a_document_error(body):
    chosen = reader(releases="all")
    survives(chosen, next(iter(chosen.start())), body)


@settings(max_examples=40)
@given(broken(json.dumps({"result": [job(), job()]})))
def test_a_broken_list_of_exports_invents_no_digest(body):
    chosen = reader(releases="latest")
    (_, follow) = chosen.read(_latest(chosen))
    for stat in survives(chosen, follow, body):
        for digest in stat.digests.values():  # as hex, or as base64, which hex that is cut short may be taken for
            written = (digest.encode(), base64.b64encode(bytes.fromhex(digest)).rstrip(b"="))
            assert any(form in body for form in written)


def _latest(chosen):
    return answer(next(iter(chosen.start())), json.dumps(RELEASE))
