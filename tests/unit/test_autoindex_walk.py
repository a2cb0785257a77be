"""Folders are walked through their listings, inside the source and never in circles; what a page may cost is bounded."""

import io
import itertools
from typing import Any

import pytest

from manifests.readers import autoindex, autoindex_pieces
from manifests.readers.autoindex import AutoindexReader, open_reader
from manifests.readers.autoindex_links import folder_of
from manifests.readers.folder_loops import MAX_DEPTH
from manifests.reading.document import Document, DocumentError, DocumentRequest, ReaderWarning
from manifests.stat import Stat
from tests.unit.test_autoindex import ROOT, Source, follows, listing, page, read, stats


def walk(pages: dict[str, bytes], reader: Any = None) -> tuple[list[Any], list[str]]:
    """Read every page that is asked for; return the files and the errors."""
    reader = reader or open_reader(Source())
    waiting, files, errors = list(reader.start()), list[Any](), []
    while waiting:
        asked = waiting.pop()
        try:
            for each in reader.read(Document(asked, asked.url, {}, io.BytesIO(pages[asked.url]))):
                if isinstance(each, DocumentRequest):
                    waiting.append(each)
                else:
                    files.append(each)
        except DocumentError as error:
            errors.append(str(error))
    return files, errors


def test_folders_are_walked_and_their_paths_joined():
    files, errors = walk(
        {ROOT: listing("a b/", "top"), ROOT + "a%20b/": listing("c/", "x%y"), ROOT + "a%20b/c/": listing("z")},
    )
    assert sorted(stat.path for stat in files) == ["a b/c/z", "a b/x%y", "top"]
    assert all(stat.urls == () for stat in files)
    assert not errors


class Endless(dict[str, bytes]):
    """A server on which every folder has the same page."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[str] = []

    def __getitem__(self, url: str) -> bytes:
        self.asked.append(url)
        return self.body


LEFT_OUT = ReaderWarning("folders that are links to a folder above them were left out")


@pytest.mark.fault(18)
def test_a_link_to_its_own_folder_is_left_out_and_the_listing_is_complete():
    server = Endless(listing("file", "loop/"))
    files, errors = walk(server)
    assert (list(stats(files)), [one for one in files if one == LEFT_OUT], errors) == (["file"], [LEFT_OUT], [])
    assert len(server.asked) == 1 + MAX_DEPTH


def test_several_links_to_one_folder_are_left_out():
    server = Endless(listing("a/", "b/", "c/", "file"))
    files, errors = walk(server)
    assert (list(stats(files)), files.count(LEFT_OUT), errors) == (["file"], 3, [])
    assert len(server.asked) == 1 + 3 * MAX_DEPTH


def test_a_link_to_a_folder_further_up_is_left_out():
    class Server(Endless):
        def __getitem__(self, url: str) -> bytes:
            self.asked.append(url)
            return listing("b/", "x") if url.count("/") % 2 else listing("back/", "y")

    server = Server(b"")
    files, errors = walk(server)
    assert (sorted(stats(files)), files.count(LEFT_OUT), errors) == (["back/x", "y"], 1, [])


def test_links_below_and_beside_other_folders_cost_no_file():
    """d has pool/, and the links x -> . and pool/up -> ..; nothing tells links from folders."""

    class Server(Endless):
        def __getitem__(self, url: str) -> bytes:
            here: list[str] = []
            for name in url.removeprefix(ROOT).split("/")[:-1]:
                here = here if name == "x" else here[:-1] if name == "up" else [*here, name]
            return listing("up/", "1", "2") if here else listing("x/", "pool/", "top")

    files, errors = walk(Server(b""))
    assert (sorted(stats(files)), errors) == (["pool/1", "pool/2", "top"], [])
    assert files.count(LEFT_OUT) == 2


@pytest.mark.promise("P5")
@pytest.mark.parametrize("depth", [2, 5])
def test_folders_that_only_look_alike_are_no_links(depth):
    """A tree of tiles: all its folders have the same names, down to the last ones."""

    class Tiles(Endless):
        def __getitem__(self, url: str) -> bytes:
            self.asked.append(url)
            inner = url.removeprefix(ROOT).count("/") < depth
            return listing("0/", "1/", "tile.png") if inner else listing("tile.png")

    server = Tiles(b"")
    files, errors = walk(server)
    wanted = {"/".join((*names, "tile.png")) for n in range(depth + 1) for names in itertools.product("01", repeat=n)}
    assert (set(stats(files)), errors) == (wanted, [])
    assert len(server.asked) < 6 * len(wanted)


def test_a_link_is_found_out_by_the_names_that_the_manifest_encodes():
    body = listing().replace(b"</pre>", b'<a href="%BD%B5/">x</a>\n<a href="file">file</a>\n</pre>')
    root = folder_of(ROOT)
    assert root is not None
    server = Endless(body)
    files, errors = walk(server, AutoindexReader(root, (), encoding="gb18030"))
    assert (list(stats(files)), files.count(LEFT_OUT), errors) == (["file"], 1, [])
    assert server.asked[1] == f"{ROOT}%BD%B5/"


def test_the_first_hour_of_the_first_day_of_the_first_month_is_no_loop():
    pages = {
        ROOT: listing("01/", "02/"),
        ROOT + "01/": listing("01/", "31/"),
        ROOT + "01/01/": listing("01/", "23/"),
        ROOT + "01/01/01/": listing("x"),
    }
    reader = open_reader(Source())
    (asked,) = reader.start()
    for depth in range(4):
        found = list(reader.read(Document(asked, asked.url, {}, io.BytesIO(pages[asked.url]))))
        if depth < 3:
            asked = next(each for each in found if isinstance(each, DocumentRequest))
    assert list(stats(found)) == ["01/01/01/x"]


@pytest.mark.fault(18)
def test_folders_are_followed_to_a_depth_and_no_deeper():
    class Server(Endless):
        def __getitem__(self, url: str) -> bytes:
            self.asked.append(url)
            return listing(f"d{url.count('/')}/")

    server = Server(b"")
    _, errors = walk(server)
    assert len(server.asked) == 1 + MAX_DEPTH
    assert len(errors) == 1
    assert "more than 32 deep" in errors[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://archive.example/login?next=/data/",
        "https://archive.example/data",
        "https://archive.example/database/",
        "https://archive.example/data/../secret/",
        "https://archive.example/data/%2e%2e/secret/",
        "https://archive.example/data/..%2fsecret/",
        "https://elsewhere.example/data/",
        "http://archive.example/data/",
        "https://archive.example:8443/data/",
        "file:///data/",
    ],
)
def test_a_page_that_was_sent_on_out_of_the_source_is_refused(url):
    with pytest.raises(DocumentError, match=f"^{ROOT}: redirected to "):
        read(listing("a"), url=url)


def test_a_folder_that_is_sent_back_up_is_no_listing_of_its_own():
    (folder,) = (each for each in read(listing("gone/")) if isinstance(each, DocumentRequest))
    with pytest.raises(
        DocumentError, match=r"^https://archive.example/data/gone/: redirected back up to https://archive.example/data/"
    ):
        read(listing("gone/", "a"), asked=folder, url=ROOT)


def test_a_folder_that_was_sent_on_to_its_sibling_names_where_its_files_are():
    (folder,) = (each for each in read(listing("latest/")) if isinstance(each, DocumentRequest))
    found = read(listing("a b", "c/"), asked=folder, url=ROOT + "v2/")
    assert stats(found) == {"latest/a b": Stat("latest/a b", urls=(ROOT + "v2/a%20b",))}
    assert follows(found) == [ROOT + "v2/c/"]


def test_a_source_on_http_may_be_sent_on_to_its_https():
    found = read(listing("a", "b/"), source=Source("http://archive.example/data"), url=ROOT)
    assert stats(found) == {"a": Stat("a")}
    assert follows(found) == [ROOT + "b/"]


def test_the_page_s_own_query_is_no_part_of_its_folder():
    assert list(stats(read(listing("a"), url=ROOT + "?F=0"))) == ["a"]


@pytest.mark.promise("P9")
@pytest.mark.fault(18)
def test_links_on_one_page_are_counted(monkeypatch):
    monkeypatch.setattr(autoindex, "MAX_LINKS", 3)
    assert len(read(listing("a", "b", "c"))) == 3
    with pytest.raises(DocumentError, match="more than 3 links on one page"):
        read(listing("a", "b", "c", "d"))


@pytest.mark.parametrize(
    "name", ["nginx.html", "apache_table.html", "apache_pre.html", "lighttpd.html", "iis.html", "python.html"]
)
def test_a_page_is_read_the_same_in_pieces(name, monkeypatch):
    whole = read(page(name))
    monkeypatch.setattr(autoindex_pieces, "PIECE", 1400 if name in {"apache_table.html", "lighttpd.html"} else 500)
    assert set(map(repr, read(page(name)))) == set(map(repr, whole))


def test_a_page_without_rows_is_not_gathered_for_ever(monkeypatch):
    monkeypatch.setattr(autoindex_pieces, "PIECE", 100)
    monkeypatch.setattr(autoindex_pieces, "MAX_ROW", 1000)
    with pytest.raises(DocumentError, match="no end of a row"):
        read(b"x" * 100_000)


@pytest.mark.promise("P9")
@pytest.mark.fault(15, 18)
@pytest.mark.parametrize(
    "bomb",
    [
        b"<div>" * 100_000,
        b"".join(b"<b a=%d>" % i for i in range(500)) + b"<li>x" * 50_000,
        b"<a " + b"".join(b"a%d " % i for i in range(100_000)) + b"href=x>x</a>",
        b"<a " + b"".join(b'a%d"=">" ' % i for i in range(50_000)) + b"href=x>x</a>",
        b"".join(b"<body a%d>" % i for i in range(20_000)),
        b"<table><tr><td>" * 50_000,
    ],
)
def test_a_page_that_costs_far_more_than_its_length_is_not_parsed(bomb):
    with pytest.raises(DocumentError, match="not a directory listing"):
        read(listing("a") + bomb)


def test_a_whole_listing_in_one_table_row_is_not_read_for_each_of_its_links():
    rows = b"".join(b'<a href="f%d">f%d</a>  04-Aug-2023 10:24  %d\n' % (i, i, i) for i in range(5000))
    found = read(b"<title>Index of /</title><table><tr><td><pre>" + rows + b"</pre></td></tr></table>")
    assert [stat.size for stat in stats(found).values()] == list(range(5000))
