"""Feeds of versions: an entry is the same in each feed, and nothing in a title breaks one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from syncd.exchange import PublishedVersion, feeds
from tests.exchange.publications import ALL, BARE, LANDSAT, NODE, NOW, RESTRICTED, VALIDATORS, golden, wild
from tests.exchange.xsd import parsed

pytestmark = VALIDATORS
ATOM = "{http://www.w3.org/2005/Atom}"


def test_the_feeds_are_their_golden_files():
    golden("feed.atom", feeds.atom(LANDSAT))
    golden("feed.json", feeds.json_feed(LANDSAT))
    golden("node.atom", feeds.node_atom(NODE, ALL))


def test_an_entry_has_the_same_id_in_every_feed():
    in_atom = [one.findtext(f"{ATOM}id") for one in parsed(feeds.atom(LANDSAT)).iter(f"{ATOM}entry")]
    in_json = [one["id"] for one in json.loads(feeds.json_feed(LANDSAT))["items"]]
    of_node = [one.findtext(f"{ATOM}id") for one in parsed(feeds.node_atom(NODE, ALL)).iter(f"{ATOM}entry")]
    assert in_atom == in_json
    assert set(in_atom) <= set(of_node)
    assert in_atom[0].startswith("tag:data.example.org,2026:landsat/2e971bd3fac3")


def test_a_feed_is_bounded_and_has_the_newest_first():
    history = tuple(PublishedVersion(f"{number:064x}", NOW - number, 1, 1, "0" * 64) for number in range(200))
    root = parsed(feeds.atom(replace(BARE, history=history)))
    stamps = [one.findtext(f"{ATOM}updated") for one in root.iter(f"{ATOM}entry")]
    assert len(stamps) == feeds.ENTRIES
    assert stamps == sorted(stamps, reverse=True)
    assert root.findtext(f"{ATOM}updated") == stamps[0]


def test_a_node_without_mirrors_has_an_empty_feed():
    assert parsed(feeds.node_atom(NODE, [])).findall(f"{ATOM}entry") == []


@pytest.mark.parametrize("write", [feeds.atom, feeds.json_feed])
def test_a_restricted_mirror_links_no_difference(write):
    assert b"/diff/" not in write(RESTRICTED)
    assert b"/diff/" in write(LANDSAT)


@given(wild)
def test_any_text_leaves_a_feed_well_formed(held):
    for root in (parsed(feeds.atom(held)), parsed(feeds.node_atom(held.node, [held, BARE]))):
        assert all(root.findtext(f"{ATOM}{name}") for name in ("id", "title", "updated"))
        assert all(one.findtext(f"{ATOM}title") for one in root.iter(f"{ATOM}entry"))
    json.loads(feeds.json_feed(held))
