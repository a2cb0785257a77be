"""ESGF: where files lie, which address is taken, what is asked for, and counts."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.esgf import EsgfOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://index.example/esg-search/"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FILE: dict[str, Any] = {
    "id": "CMIP6.CMIP.NCC.v1.tas_1850.nc|node.example",
    "dataset_id": "CMIP6.CMIP.NCC.v1|node.example",
    "title": "tas_1850.nc",
    "size": 42,
    "checksum": [SHA256],
    "checksum_type": ["SHA256"],
    "timestamp": "2019-08-15T00:00:00Z",
    "url": [
        "https://node.example/thredds/dodsC/tas_1850.nc.html|application/opendap-html|OPENDAP",
        "https://node.example/thredds/fileServer/tas_1850.nc|application/netcdf|HTTPServer",
    ],
}


def answer(*files, count=None):
    return json.dumps({"response": {"numFound": len(files) if count is None else count, "start": 0, "docs": files}})


def reader(**options):
    return open_reader(Source(ROOT, EsgfOptions(**{"facets": {"source_id": "NorESM2-LM"}, **options})))


def asked(chosen):
    (request,) = chosen.start()
    return request.url


def test_a_file_lies_in_the_folders_of_its_dataset_and_comes_by_plain_http():
    chosen = reader()
    path = "CMIP6/CMIP/NCC/v1/tas_1850.nc"
    assert stats(read_all(chosen, {asked(chosen): answer(FILE)})) == {
        path: Stat(
            path,
            42,
            1565827200.0,
            digests={"sha256": SHA256},
            urls=("https://node.example/thredds/fileServer/tas_1850.nc",),
        )
    }


@pytest.mark.parametrize(
    ("options", "wanted", "unwanted"),
    [
        ({}, {"replica": "false", "latest": "true", "distrib": "true", "type": "File"}, {"data_node"}),
        ({"replicas": True, "nodes": ("b.example",)}, {"data_node": "b.example"}, {"replica"}),
        ({"latest": False, "distributed": False, "page": 7}, {"distrib": "false", "limit": "7"}, {"latest"}),
        ({"facets": {"variable_id": ["tas", "pr"]}}, {"variable_id": "pr"}, {"source_id"}),
    ],
)
def test_a_search_asks_for_what_the_manifest_says(options, wanted, unwanted):
    words = dict(parse_qsl(urlsplit(asked(reader(**options))).query))
    assert wanted.items() <= words.items()
    assert not unwanted & words.keys()


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (answer(count=2), "2 files were announced, and the list ends after 0"),
        ("{}", "not the answer to a search"),
        (answer({**FILE, "url": [FILE["url"][0]]}), "a file without a title, a dataset_id, or a url for downloading"),
    ],
)
def test_a_list_that_is_short_or_has_a_file_that_cannot_be_had_is_incomplete(body, said):
    chosen = reader()
    with pytest.raises(DocumentError, match=said):
        read_all(chosen, {asked(chosen): body})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"facets": {}},
        {"facets": {"limit": 5}},
        {"facets": {"a": "b"}, "replicas": True},
        {"facets": ["a"]},
        {"facets": {"a": "b"}, "page": 20_000},
    ],
)
def test_a_search_needs_facets_and_leaves_paging_to_syncd(options):
    with pytest.raises(ValidationError):
        EsgfOptions.model_validate(options)


@settings(max_examples=100)
@given(body=broken(answer(FILE)))
def test_a_broken_answer_is_said_and_nothing_worse(body):
    chosen = reader()
    survives(chosen, next(iter(chosen.start())), body)
