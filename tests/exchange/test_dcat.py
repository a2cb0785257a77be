"""The catalogue in DCAT: one graph in three syntaxes, valid under DCAT-AP, honest about copies and licences."""

import json
import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings

from syncd.exchange import dcat
from tests.exchange.publications import ALL, BARE, LANDSAT, NODE, VALIDATORS, golden, schema, wild

pytestmark = [VALIDATORS, pytest.mark.filterwarnings("ignore")]
FORMATS = {"jsonld": "json-ld", "ttl": "turtle", "rdf": "xml"}


def parsed(body, kind="jsonld"):
    rdflib = pytest.importorskip("rdflib", reason="rdflib reads the catalogue back")
    return rdflib.Graph().parse(data=body, format=FORMATS[kind])


@pytest.mark.parametrize("kind", dcat.WRITERS)
def test_the_catalogue_is_its_golden_file(kind):
    golden(f"catalogue.{kind}", dcat.catalogue(NODE, ALL, kind=kind))


def test_the_three_syntaxes_say_the_same():
    compare = pytest.importorskip("rdflib.compare", reason="rdflib compares graphs")
    json_ld, turtle, rdf_xml = (
        compare.to_isomorphic(parsed(dcat.catalogue(NODE, ALL, kind=kind), kind)) for kind in FORMATS
    )
    assert json_ld == turtle == rdf_xml
    assert len(json_ld) > 150


@settings(max_examples=25)
@given(wild)
def test_any_text_leaves_each_syntax_well_formed(held):
    counts = {len(parsed(dcat.catalogue(NODE, [held], kind=kind), kind)) for kind in FORMATS}
    assert len(counts) == 1


def test_forty_mirrors_conform_to_dcat_ap_without_a_network(monkeypatch):
    pyshacl = pytest.importorskip("pyshacl", reason="pyshacl validates DCAT-AP")
    shapes = [schema(f"dcat-ap-3.0.1/{name}.ttl") for name in ("shapes", "range")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asks the network"))
    forty = [replace(ALL[number % 4], name=f"m{number}", node=NODE) for number in range(40)]
    body = dcat.catalogue(NODE, forty, kind="ttl")
    assert len(body) < 1_000_000
    graph = parsed(body, "ttl")
    for shape in shapes:
        conforms, _, said = pyshacl.validate(graph, shacl_graph=str(shape), do_owl_imports=False)
        assert conforms, said[:4_000]


def test_only_licences_that_manifests_state_are_named():
    graph = parsed(dcat.catalogue(NODE, ALL))
    licences = {one for _, name, one in graph if str(name) == "http://purl.org/dc/terms/license"}
    found = {str(label) for one in licences for label in graph.objects(one)}
    assert {one for one in found if not one.startswith("http")} == {"CC-BY-4.0", "PhysioNet Credentialed 1.5.0"}


def test_a_dataset_says_that_it_is_a_copy_and_keeps_its_address():
    node = json.loads(dcat.catalogue(NODE, [LANDSAT]))["@graph"][0]["dcat:dataset"][0]
    assert node["dct:source"]["@id"] == "https://www.example.gov/landsat"
    assert node["dct:source"]["@type"] != "dcat:Dataset"  # a portal would list it as a dataset of ours
    assert [one["foaf:name"][0]["@value"] for one in node["dct:creator"]] == [
        "U.S. Geological Survey",
        "Josiah Carberry",
    ]
    assert node["dct:publisher"]["foaf:name"][0]["@value"] == "Demo Mirror Centre"
    after = replace(LANDSAT, history=LANDSAT.history[1:])
    later = json.loads(dcat.catalogue(NODE, [after]))["@graph"][0]["dcat:dataset"][0]
    assert node["@id"] == later["@id"]
    assert node["dcat:version"] != later["dcat:version"]


def test_a_restricted_mirror_names_neither_files_nor_checksums():
    text = dcat.catalogue(NODE, [ALL[2]]).decode()
    assert "SHA256SUMS" not in text
    assert "files/" not in text.replace('#files"', "")


def test_pages_are_linked_for_portals():
    many = [replace(BARE, name=f"m{number:03}") for number in range(dcat.PAGE * 2 + 1)]
    assert dcat.pages(many) == 3
    seen, links = [], []
    for page in (1, 2, 3):
        root, view, _ = json.loads(dcat.catalogue(NODE, many, kind="jsonld", page=page))["@graph"]
        seen += [one["dct:identifier"][0]["@value"] for one in root["dcat:dataset"]]
        links.append(view.get("hydra:next", {}).get("@id"))
    assert seen == [one.name for one in many]
    assert links == [
        "https://data.example.org/catalogue.jsonld?page=2",
        "https://data.example.org/catalogue.jsonld?page=3",
        None,
    ]
