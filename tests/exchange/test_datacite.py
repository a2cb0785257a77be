"""DataCite metadata: valid under two kernels, with a CSTR, honest about whose DOI it is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from syncd.exchange import DatasetIdentifier, oai
from syncd.exchange.datacite import datacite
from syncd.exchange.oai_formats import FORMATS
from tests.exchange.publications import BARE, LANDSAT, REGISTERED, VALIDATORS, golden, wild
from tests.exchange.xsd import faults, parsed

pytestmark = VALIDATORS
SPACE = "{http://datacite.org/schema/kernel-4}"


def test_the_document_is_its_golden_file():
    golden("datacite-landsat.xml", datacite(LANDSAT))


@pytest.mark.parametrize("kernel", ["4.6", "4.7"])
@pytest.mark.parametrize("held", [LANDSAT, REGISTERED], ids=lambda held: held.name)
def test_it_is_valid_under_the_kernel_with_a_cstr(kernel, held):
    root = parsed(datacite(held))
    kinds = {one.get("relatedIdentifierType"): one.text for one in root.iter(f"{SPACE}relatedIdentifier")}
    assert kinds["CSTR"] == "31253.11.sciencedb.j00001.00123"
    assert faults(f"datacite-{kernel}/metadata.xsd", root) == []


def test_the_wrapper_is_valid_and_both_names_are_served():
    wrapped = parsed(FORMATS["oai_datacite"].write(LANDSAT))
    assert parsed(FORMATS["datacite"].write(LANDSAT)).tag == f"{SPACE}resource"
    assert [one.tag.rpartition("}")[2] for one in wrapped] == ["schemaVersion", "datacentreSymbol", "payload"]


def test_no_doi_is_made_up():
    assert datacite(BARE) is None
    assert b"10." not in (oai.answer(BARE.node, [("verb", "ListMetadataFormats")], [], 0) or b"")


@settings(max_examples=30)
@given(wild)
def test_any_text_leaves_it_well_formed_and_valid(held):
    held = replace(held, identifiers=(DatasetIdentifier("doi", "10.5072/x"),), licence="")
    assert faults("datacite-4.6/metadata.xsd", parsed(datacite(held))) == []
