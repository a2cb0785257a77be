"""XML from strangers: parts as they close, nothing between them kept, no document types."""

import contextlib
import io

import pytest
from hypothesis import given, strategies as st

from manifests.reading import xml
from manifests.reading.document import Document, DocumentError, DocumentRequest
from manifests.reading.xml import XmlElement, elements, events

GOOD = b"""<?xml version="1.0"?>
<a:list xmlns:a="urn:one" xmlns="urn:two"><head>x</head>
 <file name="&lt;1&gt;" a:kind="k"><size> 5 </size><more><deep>d&#233;</deep></more></file>
 <file name="2"/></a:list>"""


def document(body):
    return Document(DocumentRequest("list.xml"), "https://archive.example/list.xml", {}, io.BytesIO(body))


def read(body, *wanted, root=""):
    return list(elements(document(body), wanted, root=root))


def test_a_wanted_element_comes_with_all_that_is_in_it():
    one, two = read(GOOD, "file", root="list")
    assert (one.name, one.space, one.attributes) == ("file", "urn:two", {"name": "<1>", "kind": "k"})
    assert (one.text_of("size"), one.text_of("more", "deep"), one.text_of("nothing", "there")) == ("5", "dé", "")
    assert two == XmlElement("file", "urn:two", {"name": "2"})


def test_what_is_inside_a_wanted_element_is_not_yielded_once_more():
    (outer,) = read(b"<r><x n='1'><x n='2'/></x></r>", "x")
    assert [part.attributes["n"] for part in outer.all("x")] == ["2"]


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'<!DOCTYPE list [<!ENTITY a "b">]><list><file>&a;</file></list>', "document type"),
        (b"<!DOCTYPE html><html><body>log in</body></html>", "document type"),
        (b"<html><body>log in</body></html>", "begins with <html>"),
        (b"<list><file>", "cannot be read as XML"),
        (b"<list>&undefined;</list>", "cannot be read as XML"),
        (b"", "cannot be read as XML"),
        (b'<?xml version="1.0" encoding="klingon"?><list/>', "cannot be read as XML"),
        (b"<list>" + b"<a>" * 100, "nested more than"),
    ],
)
def test_what_is_refused_is_named(body, said):
    with pytest.raises(DocumentError, match=said) as raised:
        read(body, "file", root="list")
    assert str(raised.value).startswith("https://archive.example/list.xml: ")


def test_what_came_whole_before_a_break_is_yielded():
    walk = elements(document(b"<list><file name='1'/><file name='2'"), {"file"})
    assert next(walk).attributes == {"name": "1"}
    with pytest.raises(DocumentError):
        next(walk)


@pytest.mark.promise("P9")
@pytest.mark.fault(16)
def test_one_element_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(xml, "MAX_PART", 1000)
    assert len(read(b"<list>" + b"<file>12345</file>" * 500 + b"</list>", "file")) == 500
    with pytest.raises(DocumentError, match="of more than 1000"):
        read(b"<list><file>" + b"<a/>" * 500 + b"</file></list>", "file")


@given(st.integers(0, len(GOOD)), st.binary(max_size=4), st.integers(1, 70))
def test_whatever_is_broken_only_a_document_error_comes_of_it(at, junk, piece):
    body = GOOD[:at] + junk + GOOD[at + len(junk) :]
    stream = document(body)
    whole = stream.stream.read
    stream.stream.read = lambda size: whole(min(size, piece))  # pieces may end anywhere
    with contextlib.suppress(DocumentError):
        list(elements(stream, {"file"}))


def test_every_element_is_told_as_it_opens_and_as_it_closes():
    walk = events(document(GOOD), root="list")
    told = [(opens, part.name, "" if opens else part.text.strip()) for opens, part in walk]
    assert told[:4] == [(True, "list", ""), (True, "head", ""), (False, "head", "x"), (True, "file", "")]
    assert told[-1] == (False, "list", "")
    assert sum(opens for opens, _, _ in told) * 2 == len(told)


@pytest.mark.parametrize(
    "body", [b"<!DOCTYPE a><list/>", b"<html/>", b"<list><a></list>", b"", b"<list>" + b"<a>" * 100]
)
def test_a_walk_refuses_what_parts_refuse(body):
    with pytest.raises(DocumentError):
        list(events(document(body), root="list"))


def test_no_text_of_a_walk_can_fill_the_memory(monkeypatch):
    monkeypatch.setattr(xml, "MAX_PART", 1000)
    with pytest.raises(DocumentError, match="of more than 1000"):
        list(events(document(b"<list>" + b"12345 <b/>" * 500 + b"</list>")))


@pytest.mark.parametrize("encoding", ["null", "utf-99", "rot13"])
def test_an_encoding_that_nothing_knows_makes_the_document_unreadable(encoding):
    with pytest.raises(DocumentError):
        read(f'<?xml version="1.0" encoding="{encoding}"?><list/>'.encode(), "file", root="list")
