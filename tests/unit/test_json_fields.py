"""JSON from catalogues: fields of the wrong kind are absent, documents of the wrong kind are named."""

from urllib.parse import urljoin, urlsplit

import msgspec
import pytest
from hypothesis import given, strategies as st

from manifests.reading import json_fields
from manifests.reading.document import DocumentError, DocumentRequest
from manifests.reading.json_fields import (
    absolute,
    digests,
    folders,
    moment,
    next_link,
    page_url,
    read_json,
    size,
    text,
)
from tests.unit.reader_harness import answer as document

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


class Shape(msgspec.Struct):
    name: object = None
    files: list[object] | None = None


def page(body=b"{}", url="https://a.example/api/x?page=1", **headers):
    return document(DocumentRequest("x"), body, url=url, **headers)


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!doctype html><title>Moved</title>", "a web page or XML instead of JSON"),
        (b'{"files": 3}', "JSON with an unexpected structure: .*files"),
        (b"[1]", "JSON with an unexpected structure"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"files": ' + b"[" * 100_000, "JSON with an unexpected structure"),
        (b'{"name": "' + b"x" * 2000 + b'"}', "longer than the 1000 bytes"),
    ],
)
def test_what_is_no_such_json_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_json(page(body), Shape, limit=1000 if len(body) < 5000 else 1 << 20)


def test_a_mark_of_byte_order_is_passed_over():
    assert read_json(page(b'\xef\xbb\xbf{"name": 5}'), Shape).name == 5


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        (0, 0),
        (5, 5),
        ("17", 17),
        (5.0, 5),
        (11.75, None),
        (-1, None),
        (True, None),
        (None, None),
        ("", None),
        ([], None),
        ("1e3", None),
        (1 << 70, None),
        (float("inf"), None),
        (float("nan"), None),
        ("٣", None),
    ],
)
def test_only_an_exact_number_of_bytes_is_a_size(value, bytes_):
    assert size(value) == bytes_


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2024-01-02T00:00:00Z", 1704153600.0),
        ("2024-01-02", 1704153600.0),
        ("2024-01-02T01:00:00.5+01:00", 1704153600.5),
        ("yesterday", None),
        (None, None),
        (5, None),
        ("9999-99-01", None),
    ],
)
def test_a_date_without_a_zone_is_utc(value, seconds):
    assert moment(value) == seconds


def test_digests_carry_their_label_before_a_colon_or_beside_them_or_in_their_length():
    assert digests((None, f"md5:{MD5}")) == {"md5": MD5}
    assert digests(("MD5", MD5.upper())) == {"md5": MD5}
    assert digests((None, MD5)) == {"md5": MD5}
    assert digests(("md5", ""), ("sha256", None), ("UNF", "UNF:6:abc"), ("md5", "xyz"), (None, "sha1:12")) == {}
    assert digests(("md5", MD5), ("md5", "0" * 32)) == {"md5": MD5}


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('<https://a.example/y?cursor=a,b%3D>; rel="next"', "https://a.example/y?cursor=a,b%3D"),
        ('</z>; rel="prev", <?page=2>; title="a, b"; rel=next', "https://a.example/api/x?page=2"),
        ('<y>; rel="last next"', "https://a.example/api/y"),
        ('<y>; rel="nextish"', None),
        ("", None),
        ("rel=next", None),
    ],
)
def test_the_next_page_stands_in_a_link_header(header, url):
    assert next_link(page(link=header)) == url


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("?page=2", "https://a.example/api/x?page=2"),
        ("http://a.example/api/y", "https://a.example/api/y"),
        ("http://a.example:8080/api/y", "http://a.example:8080/api/y"),
        ("http://b.example/api/y", "http://b.example/api/y"),
        ("ftp://a.example/api/y", "ftp://a.example/api/y"),
        ("mailto:x", None),
    ],
)
def test_another_page_of_a_list_is_on_the_server_that_answered_whatever_scheme_it_gives_itself(href, url):
    assert page_url(page(), href) == url


@pytest.mark.parametrize("href", ["", None, 5, "http://[::1", "mailto:x", "a\nb", ["x"]])
def test_what_is_no_link_is_none(href):
    assert absolute(page(), href) is None or href == 5


def test_several_datasets_have_a_folder_each_and_one_has_none():
    assert folders(["doi:10.5/a"]) == {"doi:10.5/a": ""}
    assert folders(["doi:10.5/a", "doi:10.5/b"]) == {"doi:10.5/a": "doi_10.5_a", "doi:10.5/b": "doi_10.5_b"}
    with pytest.raises(ValueError, match="share one folder"):
        folders(["a/b", "a:b"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=4,
    )
)
def test_a_leaf_may_be_anything(value):
    assert isinstance(text(value), str)
    assert (size(value) or 0) >= 0
    assert moment(value) is None or isinstance(moment(value), float)
    assert isinstance(digests((value, value)), dict)
    absolute(page(), value)


@given(st.from_regex(json_fields._PLAIN, fullmatch=True))
def test_a_plain_url_is_taken_as_joining_it_would_give_it(url):
    assert absolute(page(), url) == urljoin(page().url, url) == url
    assert urlsplit(url).netloc
