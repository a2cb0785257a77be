"""ResourceSync: resource lists, their indexes, and change lists."""

import gzip

import pytest
from hypothesis import given, strategies as st

from manifests.readers import resourcesync
from manifests.reading.document import Cursor, Deleted, DocumentError, DocumentRequest, Gap
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

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


def test_a_packed_sitemap_and_its_packed_parts_are_read():
    packed = {url: gzip.compress(body.encode()) for url, body in WELL_KNOWN.items()}
    assert read_all(rs(), packed, base=SYNC) == read_all(rs(), WELL_KNOWN, base=SYNC)
    index = sitemap("resourcelist", entry(f"{SYNC}1.xml.gz", name="sitemap"), root="sitemapindex")
    documents = {"sitemap.xml.gz": gzip.compress(index.encode()), f"{SYNC}1.xml.gz": gzip.compress(LIST.encode())}
    assert {"res1", "a b/res2"} <= set(stats(read_all(rs(start="sitemap.xml.gz"), documents, base=SYNC)))


@pytest.mark.promise("P5")
def test_a_packed_sitemap_that_was_cut_is_an_error():
    body = gzip.compress(LIST.encode())
    for cut in (body[:-1], body[:-8], body[:40], body[:2]):
        with pytest.raises(DocumentError):
            read_all(rs(start="sitemap.xml.gz"), {"sitemap.xml.gz": cut}, base=SYNC)


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
