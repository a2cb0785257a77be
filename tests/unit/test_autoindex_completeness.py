"""A directory listing is complete if the page came to its end and no row was passed over in silence."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from manifests.readers import autoindex_html, autoindex_pieces
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.stat import Stat
from tests.unit.test_autoindex import FIXTURES, ROOT, Source, entries, follows, nginx, page, read, read_partly, stats

PAGES = sorted(
    each.name for each in FIXTURES.iterdir() if each.name not in {"hostile.html", "login.html", "web_page.html"}
)
DATE = "02-Jan-2026 03:04"


def rows(*links: tuple[str, str], date: str = DATE, title: str = "Index of /data/") -> bytes:
    """A page of nginx: `(href, text)` of each row."""
    listed = "".join(f'<a href="{href}">{html.escape(text)}</a>      {date}       3\n' for href, text in links)
    return (
        f'<html><head><title>{title}</title></head><body><h1>{title}</h1><hr><pre><a href="../">../</a>\n'
        f"{listed}</pre><hr></body></html>"
    ).encode()


def table(*cells: str) -> bytes:
    listed = "".join(f"<tr>{each}</tr>" for each in cells)
    return f"<html><title>Index of /data/</title><body><table>{listed}</table></body></html>".encode()


# The end


@pytest.mark.parametrize("name", PAGES)
def test_a_whole_page_of_each_server_is_complete(name):
    assert read_partly(page(name))[1] == ""


def shown(found: list[object]) -> set[str]:
    return {repr(each) for each in found if not isinstance(each, ReaderWarning)}


@pytest.mark.promise("P4")
@pytest.mark.parametrize("name", [each for each in PAGES if each != "bare.html"])
def test_a_page_that_was_cut_before_the_last_of_its_rows_is_incomplete(name):
    body = page(name)
    whole = shown(read_partly(body)[0])
    step = max(1, len(body) // 400)
    lies = []
    for at in range(0, len(body), step):
        found, why = read_partly(body[:at])
        if not why and shown(found) != whole:
            lies.append(at)
    assert lies == []


def test_a_page_of_bare_links_says_once_that_it_proves_nothing_and_is_incomplete_within_a_row():
    body = page("bare.html")
    found, why = read_partly(body)
    assert why == ""
    notes = [each for each in found if isinstance(each, ReaderWarning)]
    assert notes == [ReaderWarning("a page of bare links, which do not show whether the page is complete")]
    for at in range(1, len(body)):
        assert read_partly(body[:at])[1] or body[:at].endswith(b"\n")
    assert "it was cut" in read_partly(body, is_bounded=False)[1]  # nor did the response say where it ends


@given(entries.filter(bool), st.data())
def test_no_cut_of_a_page_of_any_names_passes_for_the_whole(files, data):
    body = nginx(files)
    at = data.draw(st.integers(0, len(body)))
    found, why = read_partly(body[:at])
    assert why or shown(found) == shown(read_partly(body)[0])


def test_the_end_of_a_header_s_own_page_is_not_the_end_of_the_listing():
    header = b"<html><body><h2>Welcome</h2><ul><li>hello</li></ul></body></html>\n"
    listed = rows(("a", "a"), ("b", "b"))
    assert read_partly(header + listed)[1] == ""
    assert "it was cut" in read_partly(header + listed[:-60])[1]


def test_folders_of_a_page_that_was_cut_are_surveyed_all_the_same():
    found, why = read_partly(rows(("a", "a"), ("sub/", "sub/"))[:-30])
    assert why.endswith("the page ends before its end tags: it was cut")
    assert (list(stats(found)), follows(found)) == (["a"], [f"{ROOT}sub/"])


def test_the_end_is_found_in_pieces_too(monkeypatch):
    monkeypatch.setattr(autoindex_pieces, "PIECE", 300)
    body = rows(*((f"f{number}", f"f{number}") for number in range(50)))
    assert read_partly(body)[1] == ""
    assert "it was cut" in read_partly(body[:-30])[1]


# Rows that lead elsewhere


@pytest.mark.parametrize(
    ("href", "text", "stat"),
    [
        ("http://data.example.org/data/a.txt", "a.txt", Stat("a.txt")),
        ("http://archive.example/data/a.txt", "a.txt", Stat("a.txt")),
        ("//data.example.org:8080/data/a.txt", "a.txt", Stat("a.txt")),
        ("/DATA/a.txt", "a.txt", Stat("a.txt")),
        ("/data/../data/./a.txt", "a.txt", Stat("a.txt")),
        ("c#1.txt", "c#1.txt", Stat("c#1.txt")),
        ("#1.txt", "#1.txt", Stat("#1.txt")),
        ("/data/c%20#1.txt", "c #1.txt", Stat("c #1.txt")),
        ("what?.txt", "what?.txt", Stat("what?.txt")),
        ("run:1.txt", "run:1.txt", Stat("run:1.txt")),
        ("a%2Fb.txt", "a/b.txt", Stat("a%2Fb.txt", urls=(f"{ROOT}a%2Fb.txt",))),
        ("a.txt?download=1", "a.txt", Stat("a.txt", urls=(f"{ROOT}a.txt?download=1",))),
    ],
)
def test_a_row_whose_link_leads_to_a_child_in_another_way_is_taken(href, text, stat):
    found, why = read_partly(rows((href, text), ("ok.txt", "ok.txt")))
    assert why == ""
    assert list(stats(found)) == [stat.path, "ok.txt"]
    assert stats(found)[stat.path].urls == stat.urls


def test_a_folder_whose_link_keeps_the_sort_order_is_followed_without_it():
    found, why = read_partly(rows(("sub/?C=M;O=D", "sub/"), ("https://public.example/data/other/", "other/")))
    assert (follows(found), why) == ([f"{ROOT}sub/", f"{ROOT}other/"], "")


def test_a_page_that_shows_its_own_path_is_read_under_that_path():
    body = rows(("/internal/store/a.txt", "a.txt"), ("/internal/store/sub/", "sub/"), title="Index of /internal/store/")
    found, why = read_partly(body)
    assert (list(stats(found)), follows(found), why) == (["a.txt"], [f"{ROOT}sub/"], "")


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("href", "text"),
    [
        ("/other/a.txt", "a.txt"),
        ("../sibling/a.txt", "a.txt"),
        ("https://cdn.example/x/a.txt", "a.txt"),
        ("ftp://archive.example/data/a.txt", "a.txt"),
        ("javascript:get('a.txt')", "a.txt"),
        ("/cgi-bin/get.pl?file=a.txt", "a.txt"),
        ("?file=/x/y/a.txt&dl=1", "a.txt"),
        ("sub/deeper/a.txt", "a.txt"),
        ("..%2Fup.txt", "up.txt"),
        ("a%2Fb/", "a/b"),
    ],
)
def test_a_row_that_leads_elsewhere_makes_the_list_incomplete_and_is_told(href, text):
    for date in (DATE, ""):
        found, why = read_partly(rows((href, text), ("ok.txt", "ok.txt"), date=date))
        assert list(stats(found)) == ["ok.txt"]
        assert "an entry links to " in why
    _, why = read_partly(rows((href, text)))
    assert why  # there are files, but none that we can take: never an empty folder


def test_rows_without_a_link_and_rows_that_a_script_makes_are_no_empty_folder():
    row = "<td>a.txt</td><td>2026-01-02 03:04</td><td>3K</td>"
    assert "(2 times)" in read_partly(table(row, row))[1]
    body = b"<html><head><title>Index of /data/</title></head><body><div></div><script>list()</script></body></html>"
    assert "a script makes the rows" in read_partly(body)[1]


@pytest.mark.parametrize(
    "extra",
    [
        '<a href="/">Home</a> <a href="/data/">data</a>',
        '<a href="https://nginx.example/">served by nginx</a>',
        '<a href="mailto:a@b.example">mail</a> <a href="javascript:history.back()">Parent Directory</a>',
        '<ul><li><a href="/about/">about</a></li><li><a href="https://blog.example/news.html">news.html</a></li></ul>',
        '<p>2026-01-02 <a href="/news/1.html">We moved</a></p>',
        '<a href="?C=N;O=D">Name</a> <a href="?sort=size&amp;order=asc">size</a> <a href="?ND">Name</a>',
        '<form action="/search"><a href="#">search</a></form>',
    ],
)
def test_links_around_the_rows_are_no_rows(extra):
    listed = rows(("a", "a")).replace(b"<hr><pre>", f"{extra}<hr><pre>".encode())
    assert read_partly(listed)[1] == ""
    assert read_partly(listed.replace(b"<hr></body>", f"{extra}</body>".encode()))[1] == ""


def test_a_second_link_in_a_row_that_has_its_file_is_no_row():
    cells = (
        '<td><a href="a.txt">a.txt</a></td><td><a href="/show?f=a.txt">view</a></td><td>2026-01-02 03:04</td>',
        '<td><a href="b.txt">b.txt</a></td><td><a href="/show?f=b.txt">view</a></td><td>2026-01-02 03:04</td>',
    )
    found, why = read_partly(table(*cells))
    assert (list(stats(found)), why) == (["a.txt", "b.txt"], "")


def test_a_row_that_leads_below_a_folder_of_the_page_is_found_there():
    found, why = read_partly(rows(("2026/", "2026/"), ("2026/latest.nc", "latest.nc")))
    assert (follows(found), list(stats(found)), why) == ([f"{ROOT}2026/"], [], "")


def test_a_listing_of_several_pages_is_incomplete():
    for link in ('<a href="?page=2">Next</a>', '<a rel="next" href="?start=100">&gt;</a>'):
        body = rows(("a", "a")).replace(b"</body>", f"{link}</body>".encode())
        assert "the listing continues on another page" in read_partly(body)[1]


# Limits and other documents


@pytest.mark.promise("P4")
def test_a_folder_of_exactly_as_many_entries_as_caddy_lists_at_most_is_incomplete():
    def listed(count: int, **kind: object) -> bytes:
        return json.dumps([{"name": f"f{number}", "size": 1, **kind} for number in range(count)]).encode()

    assert "Caddy lists no more" in read_partly(listed(10_000, is_dir=False))[1]
    assert read_partly(listed(9_999, is_dir=False))[1] == ""
    assert read_partly(listed(10_001, is_dir=False))[1] == ""
    assert read_partly(listed(10_000, type="file"))[1] == ""  # nginx has no such limit


def test_caddy_s_page_counts_its_entries(monkeypatch):
    def listed(files: int) -> bytes:
        meta = f"<b>1</b> directory <b>{files}</b> files"
        return rows(("a", "a"), ("b/", "b/")).replace(
            b"</body>", f'{meta}<a href="https://caddyserver.com">Caddy</a></body>'.encode()
        )

    assert read_partly(listed(1))[1] == ""
    assert "41 entries were announced, and the list ends after 2" in read_partly(listed(40))[1]
    monkeypatch.setattr(autoindex_html, "CADDY_LIMIT", 2)
    assert "Caddy lists no more" in read_partly(listed(1))[1]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{ROOT}", "write url: s3://noaa-x/data/, reader: objects, endpoint: https://archive.example"),
        ("https://noaa-x.s3.amazonaws.com/", "write url: s3://noaa-x/, reader: objects"),
        ("https://s3.us-east-1.amazonaws.com/noaa-x/a/b/", "write url: s3://noaa-x/a/b/, reader: objects"),
    ],
)
def test_the_listing_of_a_bucket_says_how_to_read_it(url, said):
    body = b'<?xml version="1.0"?>\n<ListBucketResult xmlns="x"><Name>noaa-x</Name></ListBucketResult>'
    with pytest.raises(DocumentError) as error:
        read(body, source=Source(url))
    assert str(error.value) == f"{url}: the listing of a bucket: {said}"
    with pytest.raises(DocumentError, match="s3://BUCKET/"):
        read(b"<ListAllMyBucketsResult><Name>x</Name></ListAllMyBucketsResult>", source=Source("https://s3.example/"))
    with pytest.raises(DocumentError, match="Azure"):
        read(b"<EnumerationResults/>", source=Source(url))


def test_the_scripts_of_a_page_are_no_tags():
    found, why = read_partly(page("lighttpd_script.html"))
    assert (follows(found), why) == ([f"{ROOT}er/"], "")
    script = b"<script>for(var i=0;i<n && a<b;i++){" + b" x" * 300 + b"}</script>"
    assert read_partly(rows(("a", "a")).replace(b"</body>", script + b"</body>"))[1] == ""


def test_quotes_in_names_are_read():
    name = 'it\'s "x" & <y>.txt'
    found, why = read_partly(rows((quote(name), name)))
    assert (list(stats(found)), why) == ([name], "")
