"""DANDI: the version that is meant, assets and the files inside a Zarr, checksums of both, counts."""

import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.dandi import DandiOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://api.dandi.example/api/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
VERSION = "0.220126.1853"
FILE = {
    "asset_id": "aa-1",
    "blob": "bb-1",
    "zarr": None,
    "path": "sub-1/a b.nwb",
    "size": 5,
    "modified": "2024-01-02T00:00:00Z",
    "metadata": {"digest": {"dandi:dandi-etag": f"{MD5}-1", "dandi:sha2-256": SHA256}},
}
ZARR = {"asset_id": "aa-2", "blob": None, "zarr": "zz-1", "path": "sub-1/i.zarr", "size": 9, "metadata": {}}


def assets(key, version=VERSION):
    return f"{ROOT}dandisets/{key}/versions/{version}/assets/?metadata=true&order=path&page_size=1000"


def page(*rows, count=None, more=None):
    return json.dumps({"count": len(rows) if count is None else count, "next": more, "results": rows})


def reader(*dandisets, **options):
    return open_reader(Source(ROOT, DandiOptions(dandisets=dandisets, **{"version": VERSION, **options})))


def test_an_asset_has_its_sha256_and_is_known_by_its_blob():
    assert stats(read_all(reader("000026"), {assets("000026"): page(FILE)})) == {
        "sub-1/a b.nwb": Stat(
            "sub-1/a b.nwb",
            5,
            version="blob:bb-1",
            digests={"sha256": SHA256},
            urls=(f"{ROOT}assets/aa-1/download/",),
        )
    }


def test_the_files_inside_a_zarr_lie_below_its_path_with_the_md5_of_their_etag():
    files = f"{ROOT}zarr/zz-1/files/"
    row = {"Key": "0/0.0", "LastModified": "2024-01-02T00:00:00+00:00", "ETag": MD5, "Size": 7}
    documents = {
        assets("000026"): page(ZARR),
        f"{files}?limit=1000": json.dumps({"next": f"{files}?limit=1000&after=0%2F0.0", "results": [row]}),
        f"{files}?limit=1000&after=0%2F0.0": json.dumps({"next": None, "results": [{**row, "Key": "0/0.1"}]}),
    }
    found = stats(read_all(reader("000026"), documents))
    assert list(found) == ["sub-1/i.zarr/0/0.0", "sub-1/i.zarr/0/0.1"]
    assert found["sub-1/i.zarr/0/0.0"] == Stat(
        "sub-1/i.zarr/0/0.0",
        7,
        1704153600.0,
        digests={"md5": MD5},
        urls=(f"{files}?prefix=0%2F0.0&download=true",),
    )
    assert stats(read_all(reader("000026", zarr="skip"), {assets("000026"): page(ZARR)})) == {}


@pytest.mark.parametrize(
    ("published", "version"), [({"version": VERSION}, VERSION), (None, "draft")], ids=["published", "never published"]
)
def test_the_latest_published_version_is_meant_or_the_draft(published, version):
    told = {"most_recent_published_version": published, "draft_version": {"version": "draft"}}
    documents = {f"{ROOT}dandisets/000026/": json.dumps(told), assets("000026", version): page(FILE)}
    assert list(stats(read_all(reader("000026", version="latest"), documents))) == ["sub-1/a b.nwb"]


def test_several_dandisets_have_a_folder_each():
    documents = {assets("000026"): page(FILE), assets("000108"): page(FILE)}
    assert list(stats(read_all(reader("000026", "000108"), documents))) == [
        "000026/sub-1/a b.nwb",
        "000108/sub-1/a b.nwb",
    ]


@pytest.mark.promise("P5")
def test_assets_that_were_announced_and_did_not_come_make_a_dandiset_incomplete():
    with pytest.raises(DocumentError, match="3 assets were announced, and the list ends after 1"):
        read_all(reader("000026"), {assets("000026"): page(FILE, count=3)})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"detail": "Not found."}', "not a list of assets"),
        (page({**FILE, "asset_id": None}), "an asset without a path, or without an asset_id"),
        (page({**ZARR, "path": 7}), "a Zarr asset without a path"),
    ],
)
def test_what_is_no_list_and_what_is_no_asset_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_all(reader("000026"), {assets("000026"): body})


@pytest.mark.parametrize(
    "options", [{}, {"dandisets": ()}, {"dandisets": ("26",)}, {"dandisets": ("000026",), "version": "1.0"}]
)
def test_a_dandiset_is_six_digits_and_a_version_is_a_date(options):
    with pytest.raises(ValidationError):
        DandiOptions.model_validate(options)


@settings(max_examples=150)
@given(body=broken(page(FILE, ZARR)))
def test_a_broken_document_is_said_and_nothing_worse(body):
    chosen = reader("000026")
    survives(chosen, next(iter(chosen.start())), body)
