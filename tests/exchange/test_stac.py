"""The STAC catalogue: valid offline, collections only where place and time are stated, items that stay upstream's own."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from syncd.exchange import json_document, stac
from tests.exchange.publications import ALL, BARE, FILES, LANDSAT, NODE, RESTRICTED, VALIDATORS, golden, schema, wild

pytestmark = [VALIDATORS, pytest.mark.filterwarnings("ignore")]
ORIGINAL: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
    "id": "LC08_1",
    "collection": "landsat-c2",
    "bbox": [-43.2, 70.9, -34.9, 73.4],
    "geometry": {"type": "Polygon", "coordinates": [[[-43, 71], [-35, 71], [-35, 73], [-43, 71]]]},
    "properties": {
        "datetime": None,
        "start_datetime": "2015-07-10T15:00:00Z",
        "end_datetime": "2015-07-10T15:01:00Z",
        "eo:cloud_cover": 12,
    },
    "links": [{"rel": "self", "href": "https://o.example/1"}, {"rel": "license", "href": "https://o.example/terms"}],
    "assets": {
        "B4": {"href": "https://o.example/a.tif", "type": "image/tiff", "eo:bands": [{"name": "red"}]},
        "index": {"href": "https://o.example/index.html"},
    },
}


def test_the_documents_are_their_golden_files():
    golden("stac-catalog.json", json_document(stac.catalog(NODE, ALL)))
    golden("stac-collection.json", json_document(stac.collection(LANDSAT)))
    golden("stac-item.json", json_document(item(), is_complete=True))


def item():
    return stac.feature(LANDSAT, ORIGINAL, "https://o.example/1", {"B4": FILES[0]})


def test_pystac_finds_them_valid_without_a_network(monkeypatch):
    validation = pytest.importorskip("pystac.validation", reason="pystac validates STAC")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("asks the network"))
    for tree in (
        stac.catalog(NODE, ALL),
        stac.collection(LANDSAT),
        stac.collection(RESTRICTED),
    ):
        validation.validate_dict(json.loads(json_document(tree)))
    found = {**item(), "stac_extensions": []}
    validation.validate_dict(json.loads(json_document(found, is_complete=True)))


def test_an_item_is_valid_by_the_file_extension():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema validates the extension")
    described = json.loads(schema("stac/file-v2.1.0.json").read_text("utf-8"))
    found = jsonschema.Draft7Validator(described["definitions"]["fields"] | {"definitions": described["definitions"]})
    assert [str(one.message) for one in found.iter_errors(item()["assets"]["B4"])] == []
    assert stac.FILE in item()["stac_extensions"]


def test_an_item_keeps_what_upstream_said_and_leads_back():
    found = item()
    asset = found["assets"]["B4"]
    assert (asset["file:checksum"], asset["file:size"]) == (f"1220{FILES[0].sha256}", FILES[0].size)
    assert asset["href"] == LANDSAT.file_url("a.tif")
    assert asset["alternate"]["original"]["href"] == "https://o.example/a.tif"
    assert asset["eo:bands"] == [{"name": "red"}]
    assert found["assets"]["index"] == ORIGINAL["assets"]["index"]
    assert found["properties"]["eo:cloud_cover"] == 12
    rels = {one["rel"]: one["href"] for one in found["links"]}
    assert rels["derived_from"] == "https://o.example/1"
    assert rels["license"] == "https://o.example/terms"
    assert "self" not in rels


@pytest.mark.parametrize(
    ("temporal", "interval"),
    [
        (("1984", "1985"), ["1984-01-01T00:00:00Z", "1985-12-31T23:59:59Z"]),
        (("2015-11", "2016-02"), ["2015-11-01T00:00:00Z", "2016-02-29T23:59:59Z"]),
        (("2015-07-10", ".."), ["2015-07-10T00:00:00Z", None]),
    ],
)
def test_a_month_or_year_is_covered_to_its_end(temporal, interval):
    found = stac.collection(replace(LANDSAT, temporal=temporal))
    assert found["extent"]["temporal"]["interval"] == [interval]


def test_a_mirror_without_place_or_time_has_no_collection():
    links = [one["href"] for one in stac.catalog(NODE, [BARE, LANDSAT])["links"] if one["rel"] == "child"]
    assert links == ["https://data.example.org/stac/landsat/collection.json"]


@settings(max_examples=15)
@given(wild)
def test_any_text_leaves_them_valid(held):
    validation = pytest.importorskip("pystac.validation", reason="pystac validates STAC")
    if stac.has_collection(held):
        validation.validate_dict(json.loads(json_document(stac.collection(held))))
