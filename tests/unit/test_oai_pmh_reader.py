"""Repositories that speak OAI-PMH: each record is a file."""

from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers import oai_pmh
from manifests.reading.document import Cursor, Deleted, DocumentError, Gap
from tests.unit.reader_harness import Source, answer, broken, follows, survives, unselected

OAI = "https://repo.example/"


def oai(**options):
    return oai_pmh.open_reader(Source(OAI, oai_pmh.OaiOptions(**{"repository": "oai2d", **options})))


def answered(inside, when="2024-05-01T12:00:00Z"):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b">\n'
        f"<responseDate>{when}</responseDate><request verb='ListRecords'>x</request>{inside}</OAI-PMH>"
    )


def record(name, title="t", stamp="2024-01-01T00:00:00Z", deleted=False, extra=""):
    if deleted:
        return f'<record><header status="deleted"><identifier>{name}</identifier><datestamp>{stamp}</datestamp></header></record>'
    return (
        f"<record {extra}><header><identifier>{name}</identifier><datestamp>{stamp}</datestamp><setSpec>s</setSpec></header>"
        '<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title b="2" a="1">{title}</dc:title><dc:identifier>not the name</dc:identifier>'
        "</oai_dc:dc></metadata></record>"
    )


def listed(*records, token=None, when="2024-05-01T12:00:00Z", count=3):
    end = "" if token is None else f'<resumptionToken completeListSize="{count}" cursor="0">{token}</resumptionToken>'
    return answered(f"<ListRecords>{''.join(records)}{end}</ListRecords>", when)


def query(follow):
    return {key: value[0] for key, value in parse_qs(urlsplit(follow.url).query).items()}


def test_pages_are_read_by_their_tokens_and_each_record_is_a_file():
    reader = oai(sets=["open"], since="2020-01-01")
    (first,) = reader.start()
    assert first.url.startswith(f"{OAI}oai2d?")
    assert query(first) == {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2020-01-01", "set": "open"}
    made, mark, second = unselected(
        reader.read(answer(first, listed(record("oai:repo.example:1"), token=" a/b=c&amp;d ")))
    )
    assert made.path == "oai:repo.example:1.xml"
    assert mark == Cursor("2024-05-01T12:00:00Z")
    assert query(second) == {"verb": "ListRecords", "resumptionToken": "a/b=c&d"}
    body = listed(record("http://hdl.example/10.1/a b"), record("gone", deleted=True), token="")
    (last,) = unselected(reader.read(answer(second, body)))
    assert last.path == "http:%2F%2Fhdl.example%2F10.1%2Fa b.xml"


@pytest.mark.promise("P5")
@pytest.mark.parametrize("end", [None, ""])
def test_records_that_were_announced_and_did_not_come_make_the_inventory_incomplete(end):
    reader = oai()
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, listed(record("a"), token="t", count=9))))
    with pytest.raises(DocumentError, match="9 records were announced, and the list ends after 2"):
        list(reader.read(answer(second, listed(record("b"), token=end, count=9))))


@pytest.mark.promise("P5")
def test_tokens_that_lead_round_in_a_circle_make_the_inventory_incomplete():
    reader = oai()
    (follow,) = reader.start()
    for name, token in (("a", "1"), ("b", "2"), ("c", "1")):
        (follow,) = follows(reader.read(answer(follow, listed(record(name), token=token, count=99))))
    with pytest.raises(DocumentError, match="page 4 of the list repeats an earlier page"):
        list(reader.read(answer(follow, listed(record("b"), token="2", count=99))))


def test_a_record_is_canonical_xml_that_stands_alone():
    def body(text):
        (first,) = oai().start()
        (made, _) = oai().read(answer(first, text))
        return made.body

    one = body(listed(record("a", extra="")))
    root = ET.fromstring(one)
    assert root.tag == "{http://www.openarchives.org/OAI/2.0/}record"
    assert root.find(".//{http://purl.org/dc/elements/1.1/}title").text == "t"
    again = listed(record("a", extra=""), when="2025-01-01T00:00:00Z").replace('b="2" a="1"', "a='1'   b='2'")
    assert body(again) == one
    assert body(listed(record("a", title="other"))) != one
    assert body(listed(record("a", title="x &lt; <b/>&#233;"))).count(b"x &lt; <") == 1


def test_a_prefix_that_stands_only_in_a_type_is_declared_all_the_same():
    inside = (
        '<record><header><identifier>a</identifier></header><metadata><d xmlns="urn:d" xmlns:terms="urn:terms" '
        'xsi:type="terms:W3CDTF">2020</d></metadata></record>'
    )
    (first,) = oai().start()
    made = next(oai().read(answer(first, answered(f"<ListRecords>{inside}</ListRecords>"))))
    assert b'"urn:terms"' in made.body
    ET.fromstring(made.body)


def test_a_token_that_no_longer_holds_begins_the_list_once_more_but_only_once():
    reader = oai()
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, listed(record("a"), token="t"))))
    gone = answered('<error code="badResumptionToken">too late</error>')
    (again,) = reader.read(answer(second, gone))
    assert query(again) == query(first)
    assert again.state != first.state
    (third,) = follows(reader.read(answer(again, listed(record("a"), token="u"))))
    with pytest.raises(DocumentError, match="badResumptionToken: too late"):
        list(reader.read(answer(third, gone)))


def test_no_records_are_an_empty_list():
    (first,) = oai().start()
    assert list(oai().read(answer(first, answered('<error code="noRecordsMatch"/>')))) == [
        Cursor("2024-05-01T12:00:00Z")
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (answered('<error code="cannotDisseminateFormat">no</error>'), "reports cannotDisseminateFormat: no"),
        (answered("<Identify/>"), "is not a list of OAI-PMH records"),
        (listed("<record><header/></record>"), "a record without an identifier"),
        (listed(record("a"))[:-40], "cannot be read as XML"),
        ("<html/>", "begins with <html>"),
        ('<!DOCTYPE OAI-PMH [<!ENTITY a "b">]>' + answered("").split("?>")[1], "document type"),
        (listed(record("a", title="&nbsp;")), "cannot be read as XML"),
        ('<?xml version="1.0" encoding="null"?><OAI-PMH/>', "cannot be read as XML"),
    ],
)
def test_an_answer_that_is_no_list_says_why(body, said):
    (first,) = oai().start()
    with pytest.raises(DocumentError, match=said):
        list(oai().read(answer(first, body)))


def test_a_token_that_leads_to_itself_is_refused():
    reader = oai()
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, listed(record("a"), token="t"))))
    with pytest.raises(DocumentError, match="leads to itself"):
        list(reader.read(answer(second, listed(record("b"), token="t"))))


def identify(deleted, granularity):
    return answered(
        f"<Identify><deletedRecord>{deleted}</deletedRecord><granularity>{granularity}</granularity></Identify>"
    )


@pytest.mark.parametrize(
    ("granularity", "since"), [("YYYY-MM-DD", "2024-05-01"), ("YYYY-MM-DDThh:mm:ssZ", "2024-05-01T12:00:00Z")]
)
def test_changes_are_asked_for_since_the_mark_as_exactly_as_the_repository_can(granularity, since):
    reader = oai()
    (first,) = reader.resume("2024-05-01T12:00:00Z")
    assert query(first) == {"verb": "Identify"}
    (second,) = reader.read(answer(first, identify("persistent", granularity)))
    assert query(second)["from"] == since
    body = listed(record("a", deleted=True), record("b"), when="2024-05-02T00:00:00+00:00")
    gone, made, mark = reader.read(answer(second, body))
    assert (gone, made.path, mark) == (Deleted("a.xml"), "b.xml", Cursor("2024-05-02T00:00:00Z"))


def test_a_repository_that_does_not_tell_deletions_leaves_a_gap():
    (first,) = oai().resume("2024-05-01T12:00:00Z")
    with pytest.raises(Gap):
        list(oai().read(answer(first, identify("no", "YYYY-MM-DD"))))


def test_dates_of_the_manifest_are_those_of_the_protocol():
    for wrong in ("yesterday", "2024-1-1", "2024-01-01 00:00"):
        with pytest.raises(ValidationError):
            oai_pmh.OaiOptions(since=wrong)


BROKEN = {
    "records": (oai(), listed(record("a"), record("b", deleted=True), token="t"), False),
    "changes": (oai(), identify("persistent", "YYYY-MM-DD"), True),
}


@pytest.mark.parametrize("name", BROKEN)
@given(drawn=st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(name, drawn):
    reader, body, changes = BROKEN[name]
    follow = next(iter(reader.resume("2013-01-03T09:00:00Z") if changes else reader.start()))
    survives(reader, follow, drawn.draw(broken(body)))
