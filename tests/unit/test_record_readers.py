"""Catalogues whose answers are the dataset: the BIPM's key comparisons, repositories that speak OAI-PMH, ResourceSync."""

import json
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers import kcdb, oai_pmh, resourcesync
from manifests.reading.document import Cursor, Deleted, DerivedFile, DocumentError, DocumentRequest, Gap
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, read_all, stats, survives

# KCDB

KCDB = "https://www.bipm.example/api/kcdb/"


def bipm(**options):
    return kcdb.open_reader(Source(KCDB, kcdb.KcdbOptions(**options)))


def page(cards, number=0, size=2, total=None, version="1.0.9"):
    total = len(cards) if total is None else total
    data = cards[number * size : (number + 1) * size]
    return json.dumps(
        {
            "version": version, "pageNumber": number, "pageSize": size, "numberOfElements": len(data),
            "totalElements": total, "totalPages": -(-total // size), "aggregations": [], "data": data,
        }
    )  # fmt: skip


def card(number, **more):
    return {
        "kcdbCode": f"EURAMET-EM-{number}",
        "status": "Published",
        "id": number,
        "nmi": {"b": "é", "a": 1.50},
        **more,
    }


def test_a_search_is_read_page_by_page_and_each_of_its_cards_is_a_file():
    cards = [card(n) for n in range(5)]
    reader = bipm(searches=["physics"], page_size=2, query={"metrologyAreaLabel": "EM"})
    (first,) = reader.start()
    assert (first.url, first.method, first.headers["content-type"]) == (
        f"{KCDB}cmc/searchData/physics",
        "POST",
        "application/json",
    )
    assert json.loads(first.body) == {"metrologyAreaLabel": "EM", "page": 0, "pageSize": 2, "showTable": False}
    found, asked = [], [first]
    while asked[len(found) :]:
        found.append(list(reader.read(answer(asked[-1], page(cards, len(found))))))
        asked += follows(found[-1])
    assert [json.loads(one.body)["page"] for one in asked] == [0, 1, 2]
    made = {one.path: one.body for here in found for one in here if isinstance(one, DerivedFile)}
    assert sorted(made) == [f"physics/{n}.json" for n in range(5)]
    assert json.loads(made["physics/3.json"]) == cards[3]


@pytest.mark.promise("P5")
def test_a_page_of_a_search_that_comes_twice_makes_the_inventory_incomplete():
    cards = [card(n) for n in range(4)]
    reader = bipm(searches=["physics"], page_size=2)
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, page(cards))))
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        list(reader.read(answer(second, page(cards))))


def test_the_same_card_is_the_same_file_however_it_is_written():
    (first,) = bipm(searches=["radiation"]).start()
    one = {"id": 7, "status": "Published", "a": [1, {"y": 2, "x": "é"}], "n": None}
    other = json.dumps({"n": None, "a": [1, {"x": "é", "y": 2}], "status": "Published", "id": 7}, indent=3)
    bodies = {
        made.body
        for text in (page([one], size=1000), page([json.loads(other)], size=1000, version="2"))
        for made in bipm(searches=["radiation"]).read(answer(first, text))
    }
    assert len(bodies) == 1
    assert bodies.pop().endswith(b"}\n")


def test_what_was_deleted_is_no_file():
    (first,) = bipm(searches=["physics"]).start()
    body = page([card(1, status="Deleted"), card(2, status="Archived"), card(3)], size=1000)
    assert [m.path for m in bipm(searches=["physics"]).read(answer(first, body))] == [
        "physics/2.json",
        "physics/3.json",
    ]
    kept = bipm(searches=["physics"], without=[])
    assert len(list(kept.read(answer(first, body)))) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (page([card(1), card(2)], 1, total=4, version="9"), "4 records of version '1.0.9' became 4 of '9'"),
        (page([card(1), card(2), card(3)], 1, total=5), "4 records .* became 5"),
        (page([card(1), card(2), card(3)], 1, total=4), "page 1 has 1 records, not 2"),
        ('{"data": []}', "does not give the total"),
        ("<html>", "web page"),
    ],
)
def test_a_database_that_changes_while_it_is_read_is_not_mirrored_by_half(body, said):
    reader = bipm(searches=["physics"], page_size=2)
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, page([card(n) for n in range(4)]))))
    with pytest.raises(DocumentError, match=said):
        list(reader.read(answer(second, body)))


def test_a_card_without_an_id_cannot_be_named():
    (first,) = bipm(searches=["physics"]).start()
    with pytest.raises(DocumentError, match="without an id"):
        list(bipm(searches=["physics"]).read(answer(first, page([{"status": "Published"}], size=1000))))


def test_options_of_the_database_are_checked():
    for wrong in ({"searches": ["astrology"]}, {"page_size": 0}, {"page_size": 10_001}, {"searches": []}):
        with pytest.raises(ValidationError):
            kcdb.KcdbOptions(**wrong)


# OAI-PMH

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
    made, mark, second = reader.read(answer(first, listed(record("oai:repo.example:1"), token=" a/b=c&amp;d ")))
    assert made.path == "oai:repo.example:1.xml"
    assert mark == Cursor("2024-05-01T12:00:00Z")
    assert query(second) == {"verb": "ListRecords", "resumptionToken": "a/b=c&d"}
    body = listed(record("http://hdl.example/10.1/a b"), record("gone", deleted=True), token="")
    (last,) = reader.read(answer(second, body))
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


# ResourceSync

SYNC = "https://data.example/"
LIST = """<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:rs="http://www.openarchives.org/rs/terms/">
  <rs:ln rel="up" href="http://data.example/capabilitylist.xml"/>
  <rs:md capability="resourcelist" at="2013-01-03T09:00:00Z" completed="2013-01-03T09:01:00Z"/>
  <url><loc>https://data.example/res1</loc><lastmod>2013-01-02</lastmod></url>
  <url><loc>https://data.example/a%20b/res2</loc><lastmod>2013-01-02T14:00:00Z</lastmod>
      <rs:md hash="md5:1e0d5cb8ef6ba40c99b14c0237be735e
                   sha-256:854f61290e2e197a11bc91063afce22e43f8ccc655237050ace766adc68dc784"
             length="14599" type="application/pdf"/>
      <rs:ln rel="duplicate" pri="2" href="https://mirror2.example/res2"/>
      <rs:ln rel="duplicate" pri="1" href="https://mirror1.example/res2"/>
      <rs:ln rel="describedby" href="https://data.example/about"/></url>
</urlset>"""


def rs(**options):
    return resourcesync.open_reader(Source(SYNC, resourcesync.ResyncOptions(**options)))


def sitemap(capability, *entries, root="urlset", **described):
    words = "".join(f' {key}="{value}"' for key, value in {"capability": capability, **described}.items())
    return (
        f'<{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:rs="http://www.openarchives.org/rs/terms/">'
        f"<rs:md{words}/>{''.join(entries)}</{root}>"
    )


def entry(loc, lastmod="", name="url", **described):
    words = "".join(f' {key}="{value}"' for key, value in described.items())
    stamp = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    return f"<{name}><loc>{loc}</loc>{stamp}<rs:md{words}/></{name}>"


WELL_KNOWN = {
    ".well-known/resourcesync": sitemap("description", entry(f"{SYNC}cl.xml", capability="capabilitylist")),
    f"{SYNC}cl.xml": sitemap(
        "capabilitylist",
        entry("rl.xml", capability="resourcelist"),
        entry("dump.xml", capability="resourcedump"),
        entry("changes.xml", capability="changelist"),
    ),
    f"{SYNC}rl.xml": LIST,
}


def test_a_resource_list_is_found_from_the_description_and_names_files():
    assert read_all(rs(), WELL_KNOWN, base=SYNC) == [
        Stat("res1", None, 1357084800.0),
        Stat(
            "a b/res2",
            14599,
            1357135200.0,
            digests={
                "md5": "1e0d5cb8ef6ba40c99b14c0237be735e",
                "sha256": "854f61290e2e197a11bc91063afce22e43f8ccc655237050ace766adc68dc784",
            },
            urls=("https://data.example/a%20b/res2", "https://mirror1.example/res2", "https://mirror2.example/res2"),
        ),
        Cursor("2013-01-03T09:00:00.000000Z"),
    ]


def test_a_large_list_has_parts_that_an_index_names():
    documents = {
        "index.xml": sitemap(
            "resourcelist",
            entry("p1.xml", name="sitemap"),
            entry("p2.xml", name="sitemap"),
            root="sitemapindex",
            at="2013-01-04",
        ),
        f"{SYNC}p1.xml": LIST,
        f"{SYNC}p2.xml": sitemap("resourcelist", entry(f"{SYNC}x"), at="2013-01-05"),
    }
    found = read_all(rs(start="index.xml"), documents, base=SYNC)
    assert sorted(stats(found)) == ["a b/res2", "res1", "x"]
    assert [one for one in found if isinstance(one, Cursor)] == [Cursor("2013-01-04T00:00:00.000000Z")]


@pytest.mark.promise("P5")
def test_a_part_of_an_index_leads_to_the_index():
    part = f'<rs:ln rel="index" href="{SYNC}index.xml"/>' + entry(f"{SYNC}a")
    documents = {
        "list.xml": sitemap("resourcelist", part),
        f"{SYNC}index.xml": sitemap(
            "resourcelist", *(entry(f"{SYNC}{n}.xml", name="sitemap") for n in "ab"), root="sitemapindex"
        ),
        f"{SYNC}a.xml": sitemap("resourcelist", part),
        f"{SYNC}b.xml": sitemap("resourcelist", entry(f"{SYNC}b")),
    }
    assert sorted(stats(read_all(rs(start="list.xml"), documents, base=SYNC))) == ["a", "b"]


@pytest.mark.promise("P5")
def test_a_list_as_long_as_one_may_be_does_not_prove_that_there_is_no_more(monkeypatch):
    monkeypatch.setattr("manifests.readers.resourcesync.MAX_URLS", 2)
    body = sitemap("resourcelist", *(entry(f"{SYNC}{n}") for n in range(2)))
    with pytest.raises(DocumentError, match="lists 2 resources, the most that one list may have"):
        read_all(rs(start="list.xml"), {"list.xml": body})


@pytest.mark.promise("P5")
@pytest.mark.parametrize("root", ["urlset", "sitemapindex"])
def test_an_archive_of_earlier_resource_lists_is_not_the_present_one(root):
    name = "url" if root == "urlset" else "sitemap"
    listed = entry(f"{SYNC}2013.xml", name=name, capability="resourcelist")
    with pytest.raises(DocumentError, match="resourcelist-archive"):
        read_all(rs(start="list.xml"), {"list.xml": sitemap("resourcelist-archive", listed, root=root)})


def test_a_plain_sitemap_is_a_resource_list():
    body = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://data.example/p</loc></url></urlset>'
    assert read_all(rs(start="sitemap.xml"), {"sitemap.xml": body}, base=SYNC) == [Stat("p")]


def changed(mark, documents):
    reader, found = rs(), []
    waiting = list(reader.resume(mark))
    while waiting:
        follow = waiting.pop(0)
        for one in reader.read(answer(follow, documents[follow.url], base=SYNC)):
            (waiting if isinstance(one, DocumentRequest) else found).append(one)
    return found


CHANGES = sitemap(
    "changelist",
    entry(f"{SYNC}old", change="deleted", datetime="2013-01-01T00:00:00Z"),
    entry(f"{SYNC}res2.pdf", change="deleted", datetime="2013-01-03T14:00:00Z"),
    entry(f"{SYNC}res3.tiff", "2011-01-01T00:00:00Z", change="created", datetime="2013-01-03T15:00:00Z", length="7"),
    **{"from": "2013-01-01T00:00:00Z"},
)


def test_changes_since_the_mark_are_told_in_their_order():
    documents = {**WELL_KNOWN, f"{SYNC}changes.xml": CHANGES}
    assert changed("2013-01-03T09:00:00.000000Z", documents) == [
        Deleted("res2.pdf"),
        Stat("res3.tiff", 7, 1293840000.0),
        Cursor("2013-01-03T15:00:00.000000Z"),
    ]


def test_change_lists_that_an_index_names_are_read_one_behind_the_other_from_the_mark_on():
    def part(name, day):
        return entry(f"{name}.xml", name="sitemap", **{"from": f"2013-01-0{day}", "until": f"2013-01-0{day + 1}"})

    index = sitemap("changelist", part("c3", 3), part("c1", 1), part("c2", 2), root="sitemapindex")
    documents = {**WELL_KNOWN, f"{SYNC}changes.xml": index}
    for day in (1, 2, 3):
        documents[f"{SYNC}c{day}.xml"] = sitemap(
            "changelist", entry(f"{SYNC}f", change="updated", datetime=f"2013-01-0{day}T12:00:00Z", length=str(day))
        )
    del documents[f"{SYNC}c1.xml"]
    found = changed("2013-01-02T06:00:00.000000Z", documents)
    assert [one.size for one in found if isinstance(one, Stat)] == [2, 3]


@pytest.mark.parametrize(
    "documents",
    [
        {**WELL_KNOWN, f"{SYNC}changes.xml": CHANGES.replace("2013-01-01T00:00:00Z", "2013-02-01T00:00:00Z")},
        {**WELL_KNOWN, f"{SYNC}cl.xml": sitemap("capabilitylist", entry("rl.xml", capability="resourcelist"))},
        {".well-known/resourcesync": LIST},
        {
            **WELL_KNOWN,
            f"{SYNC}changes.xml": sitemap(
                "changelist", entry("c.xml", name="sitemap", **{"from": "2013-05-01"}), root="sitemapindex"
            ),
        },
    ],
)
def test_what_does_not_reach_back_to_the_mark_is_a_gap(documents):
    with pytest.raises(Gap):
        changed("2013-01-03T09:00:00.000000Z", documents)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (sitemap("resourcedump"), "is a resourcedump"),
        (sitemap("capabilitylist"), "names no resourcelist"),
        ("<html/>", "begins with <html>"),
        (LIST[:300], "cannot be read as XML"),
        (sitemap("resourcelist", "<url><loc> </loc></url>", entry(f"{SYNC}x")), "a resource without a loc"),
        (sitemap("changelist", entry(f"{SYNC}x")), "is a changelist"),
    ],
)
def test_a_list_that_is_none_says_why(body, said):
    (first,) = rs().start()
    with pytest.raises(DocumentError, match=said):
        list(rs().read(answer(first, body, base=SYNC)))


BROKEN = {
    "kcdb": (bipm(), page([card(1), card(2)], size=1000), False),
    "oai": (oai(), listed(record("a"), record("b", deleted=True), token="t"), False),
    "oai-changes": (oai(), identify("persistent", "YYYY-MM-DD"), True),
    "resourcelist": (rs(), LIST, False),
    "changelist": (rs(), CHANGES, True),
}


@pytest.mark.parametrize("name", BROKEN)
@given(drawn=st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(name, drawn):
    reader, body, changes = BROKEN[name]
    follow = next(iter(reader.resume("2013-01-03T09:00:00Z") if changes else reader.start()))
    survives(reader, follow, drawn.draw(broken(body)))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), st.integers(0, 99), max_size=10
    )
)
def test_what_a_resource_list_says_is_read(files):
    from urllib.parse import quote
    from xml.sax.saxutils import escape

    files = {name: size for name, size in files.items() if name.strip() == name and name.isprintable()}
    entries = [entry(escape(f"{SYNC}{quote(name)}"), length=str(size)) for name, size in files.items()]
    (first,) = rs().start()
    found = stats(rs().read(answer(first, sitemap("resourcelist", *entries), base=SYNC)))
    assert {path: stat.size for path, stat in found.items()} == files
