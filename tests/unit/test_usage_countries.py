"""Files of countries in three formats are read, and what is wrong with one is named."""

import contextlib
import ipaddress
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, strategies as st

from syncd.core import ConfigError
from syncd.usage.countries import CountryRanges, read_countries
from syncd.usage.mmdb import MARKER, CountryTree


def country(found, address):
    return found.country(ipaddress.ip_address(address))


def text(value):
    raw = value.encode()
    return bytes([2 << 5 | len(raw)]) + raw


def packed(value):
    if isinstance(value, dict):
        return bytes([7 << 5 | len(value)]) + b"".join(text(key) + packed(one) for key, one in value.items())
    if isinstance(value, list):  # an extended type: its number less 7 in the next byte
        return bytes([len(value), 11 - 7]) + b"".join(map(packed, value))
    if isinstance(value, str):
        return text(value)
    raw = value.to_bytes(4)
    return bytes([6 << 5 | len(raw)]) + raw


ABOUT = {
    "database_type": "country",
    "binary_format_major_version": 2,
    "binary_format_minor_version": 0,
    "build_epoch": 1_700_000_000,
    "description": {},
    "languages": [],
}


@pytest.fixture
def tree(tmp_path):
    """Open the content of an MMDB file."""

    def opened(content):
        (tmp_path / "countries.mmdb").write_bytes(content)
        return CountryTree(str(tmp_path / "countries.mmdb"))

    return opened


def mmdb(networks, *, bits=24, version=6, record=lambda code: {"country_code": code}):
    """Write a tree with these networks, given as a text and a country."""
    nodes: list[list[Any]] = [[None, None]]
    data, places = b"", {}
    for network, code in networks:
        parsed = ipaddress.ip_network(network)
        length, number = parsed.prefixlen, int(parsed.network_address)
        if parsed.version == 4 and version == 6:
            length += 96
        total = 32 if version == 4 else 128
        node = 0
        for place in range(length):
            side = (number >> (total - 1 - place)) & 1
            if place == length - 1:
                if code not in places:
                    places[code] = len(data)
                    data += packed(record(code))
                nodes[node][side] = ("data", places[code])
                break
            if nodes[node][side] is None:
                nodes.append([None, None])
                nodes[node][side] = len(nodes) - 1
            node = nodes[node][side]
    tree = b""
    for pair in nodes:
        values = [
            len(nodes) if one is None else len(nodes) + 16 + one[1] if isinstance(one, tuple) else one for one in pair
        ]
        if bits == 28:
            left, right = values
            middle = bytes([(left >> 24) << 4 | right >> 24])
            tree += (left & 0xFFFFFF).to_bytes(3) + middle + (right & 0xFFFFFF).to_bytes(3)
        else:
            tree += b"".join(one.to_bytes(bits // 8) for one in values)
    about = {"node_count": len(nodes), "record_size": bits, "ip_version": version} | ABOUT
    return tree + bytes(16) + data + MARKER + packed(about)


NETWORKS = [("159.226.0.0/16", "CN"), ("134.155.0.0/16", "DE"), ("2001:da8::/32", "CN"), ("128.0.0.0/9", "US")]


@pytest.mark.parametrize("bits", [24, 28, 32])
def test_a_tree_of_any_width_gives_the_country(tree, bits):
    found = tree(mmdb(NETWORKS[:3], bits=bits))
    assert [country(found, one) for one in ("159.226.1.1", "134.155.1.1", "2001:da8::1")] == ["cn", "de", "cn"]
    assert [country(found, one) for one in ("8.8.8.8", "2001:da9::1")] == ["", ""]


def test_a_tree_of_ipv4_knows_no_other_addresses(tree):
    found = tree(mmdb([("1.0.0.0/24", "AU")], version=4))
    assert [country(found, one) for one in ("1.0.0.5", "1.0.1.5", "2001:da8::1")] == ["au", "", ""]


@pytest.mark.parametrize(
    "record",
    [
        lambda code: {"country": {"iso_code": code}},
        lambda code: {"registered_country": {"iso_code": code}},
        lambda code: {"country": code},
    ],
)
def test_records_of_other_providers_are_read(tree, record):
    assert country(tree(mmdb(NETWORKS[:1], record=record)), "159.226.1.1") == "cn"


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_tree_raises_nothing_but_what_is_named(place, value):
    content = bytearray(mmdb(NETWORKS[:3]))
    content[place % len(content)] = value
    with TemporaryDirectory() as folder:
        file = Path(folder, "countries.mmdb")
        file.write_bytes(content)
        with contextlib.suppress(ValueError):
            country(CountryTree(str(file)), "159.226.1.1")


CSV = "ip_range_start,ip_range_end,country_code\n1.0.1.0,1.0.3.255,CN\n2001:da8::,2001:da8:ffff::,CN\n"
REGISTRY = (
    "2|apnic|20261129|3|19830613|20261128|+1000\napnic|*|asn|*|1|summary\n"
    "apnic|CN|ipv4|1.0.1.0|768|20110414|allocated\napnic|CN|ipv6|2001:da8::|32|20000426|allocated\n"
    "apnic|JP|asn|173|1|20020801|allocated\n"
)


@pytest.mark.parametrize("text", [CSV, REGISTRY, "1.0.1.0/24,CN\n1.0.2.0/23,CN\n2001:da8::/32,CN\n"])
def test_lists_give_the_country(text):
    found = CountryRanges(text)
    known = [country(found, one) for one in ("1.0.1.0", "1.0.3.255", "2001:da8::1")]
    assert known == ["cn", "cn", "cn"]
    assert [country(found, one) for one in ("1.0.0.255", "1.0.4.0", "::1", "0.0.0.0")] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b,c\n1.0.1.0,1.0.3.255,CN\n1.0.1.0;CN\n", "line 3"),
        (b"a,b\n1.0.3.0,1.0.1.0,CN\n", "line 2: ends before it begins"),
        (b"\xff\xfe", "utf-8"),
        (MARKER, "no MMDB file, or damaged"),
        (MARKER + packed({"node_count": 0}), "no MMDB file, or damaged"),
    ],
)
def test_a_file_that_is_none_is_named_with_the_place(tmp_path, content, why):
    path = tmp_path / "countries"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        read_countries(path)
    assert str(path) in str(caught.value)


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    (tmp_path / "countries.mmdb").write_bytes(mmdb(NETWORKS[:1]))
    with pytest.raises(ConfigError, match=r"pip install 'syncd\[countries\]'"):
        read_countries(tmp_path / "countries.mmdb")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_countries(tmp_path / "none.mmdb")
