"""The schema.org Dataset of a landing page: what search engines need, and no way out of its script element."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given

from syncd.exchange import json_document, json_in_html, schema_org
from tests.exchange.publications import BARE, LANDSAT, RESTRICTED, golden, wild


@pytest.mark.parametrize("held", [LANDSAT, BARE, RESTRICTED], ids=lambda held: held.name)
def test_the_dataset_is_its_golden_file(held):
    golden(f"schema-org-{held.name}.json", json_document(schema_org.dataset(held)))


def test_a_mirror_without_a_description_states_what_is_known():
    (text,) = (schema_org.dataset(BARE)["description"],)
    assert 50 <= len(text) <= 5_000
    assert "2 files, 300 bytes" in text


def test_a_licence_that_is_not_stated_is_not_given():
    assert "license" not in json.loads(json_document(schema_org.dataset(BARE)))


class _Scripts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.body = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.body += data


@given(wild)
def test_no_text_ends_the_script_element(held):
    tree = schema_org.dataset(held)
    page = _Scripts()
    page.feed(f'<script type="application/ld+json">{json_in_html(tree)}</script>')
    assert page.tags == ["script"]
    assert json.loads(page.body) == json.loads(json_document(tree))
