"""ISO 19139 and the elements of GB/T 30523: in the order of the schema, and well-formed for any text."""

import pytest
from hypothesis import given, settings

from syncd.exchange.gbt30523 import gbt30523
from syncd.exchange.iso19139 import iso19139
from tests.exchange.publications import ALL, LANDSAT, VALIDATORS, golden, schema, wild
from tests.exchange.xsd import parsed

pytestmark = VALIDATORS


def test_the_documents_are_their_golden_files():
    golden("iso19139-landsat.xml", iso19139(LANDSAT))
    golden("gbt30523-landsat.xml", gbt30523(LANDSAT))


def shape(root):
    """The children of each element, by its name, in their order and once."""
    found = {}
    for one in root.iter():
        found.setdefault(one.tag, list(dict.fromkeys(child.tag for child in one)))
    return found


@pytest.mark.parametrize("held", ALL, ids=lambda held: held.name)
def test_elements_stand_in_the_order_of_a_record_that_is_valid(held):
    wanted, found = shape(parsed(schema("iso19139/minimal-valid.xml").read_bytes())), shape(parsed(iso19139(held)))
    for name, children in wanted.items():
        common = [one for one in found.get(name, ()) if one in children]
        assert common == [one for one in children if one in common], name
    assert wanted[next(iter(wanted))][0] == found[next(iter(found))][0]


def test_chinese_elements_have_the_chinese_texts():
    root = parsed(gbt30523(LANDSAT))
    texts = {one.tag: one.text for one in root}
    assert texts["资源名称"] == "陆地卫星8号，格陵兰"
    assert texts["标识符"] == "CSTR:31253.11.sciencedb.j00001.00123"


@settings(max_examples=30)
@given(wild)
def test_any_text_leaves_them_well_formed(held):
    parsed(iso19139(held))
    parsed(gbt30523(held))
