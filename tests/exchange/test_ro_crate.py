"""The RO-Crate of a version: one flat graph whose references all lead somewhere, read by our own reader."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from manifests.readers import ro_crate as reader
from syncd.exchange.ro_crate import ro_crate
from tests.exchange.publications import ALL, LANDSAT, golden, wild
from tests.unit.reader_harness import Source, read_all, stats


def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for one in value.values():
            yield from references(one)
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def check(held):
    graph = json.loads(ro_crate(held))["@graph"]
    known = [one["@id"] for one in graph]
    assert len(known) == len(set(known))
    assert set(references(graph)) - set(known) <= {"https://w3id.org/ro/crate/1.2"}
    assert graph[0]["@id"] == "ro-crate-metadata.json"
    assert all("@type" in one for one in graph)
    return graph


@pytest.mark.parametrize("held", ALL, ids=lambda held: held.name)
def test_every_reference_leads_to_an_entity(held):
    check(held)


@given(wild)
def test_any_text_leaves_the_graph_whole(held):
    check(held)


def test_the_crate_is_its_golden_file():
    golden("ro-crate-metadata.json", ro_crate(LANDSAT))


def test_our_own_reader_finds_the_files_with_their_checksums():
    url = "https://data.example.org/mirrors/landsat/"
    kind = reader.READER
    found = stats(read_all(kind.open(Source(url, kind.options())), {"ro-crate-metadata.json": ro_crate(LANDSAT)}))
    assert {path: one.digests["sha256"] for path, one in found.items() if one.digests} == {
        one.path: one.sha256 for one in LANDSAT.files
    }
    assert found["a.tif"].urls == (LANDSAT.file_url("a.tif"),)


def test_a_large_mirror_has_its_list_of_checksums_instead_of_files():
    graph = check(replace(LANDSAT, files=()))
    assert [one["name"] for one in graph if one["@type"] == "File"] == ["SHA256SUMS"]
