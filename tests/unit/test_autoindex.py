"""Directory listings of every server we know, and what hostile ones try."""

import html
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from manifests.readers import autoindex
from manifests.readers.autoindex import open_reader
from manifests.readers.objects import open_reader as open_objects
from manifests.reading.document import Document, DocumentError, DocumentRequest, Found, ReaderWarning
from manifests.stat import Promise, Stat, UnsafePath, check_path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "autoindex"
ROOT = "https://archive.example/data/"


@dataclass(frozen=True)
class Source:
    url: str = ROOT
    checksums: tuple[str, ...] = ()

    @property
    def options(self):
        return autoindex.AutoindexOptions(checksums=self.checksums)


def read(
    body: bytes, *, source: Source | None = None, asked: DocumentRequest | None = None, url: str | None = None
) -> list[Found]:
    reader = open_reader(source or Source())
    if asked is None:
        (asked,) = reader.start()
    return list(reader.read(Document(asked, url or asked.url, {}, io.BytesIO(body))))


def read_partly(body: bytes, **more) -> tuple[list[object], str]:
    """What is found in a page, and why it is not complete, "" if it is."""
    reader = open_reader(Source())
    (asked,) = reader.start()
    found: list[object] = []
    try:
        for one in reader.read(Document(asked, asked.url, {}, io.BytesIO(body), **more)):
            found.append(one)
    except DocumentError as error:
        return found, str(error)
    return found, ""


def page(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def stats(found: Iterable[object]) -> dict[str, Stat]:
    return {each.path: each for each in found if isinstance(each, Stat)}


def follows(found: Iterable[object]) -> list[str]:
    return [each.url for each in found if isinstance(each, DocumentRequest)]


def listing(*names: str) -> bytes:
    rows = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
    return f"<html><head><title>Index of /</title></head><body><pre><a href='../'>../</a>\n{rows}</pre></body></html>".encode()


# The servers


def test_nginx_gives_whole_names_exact_sizes_and_dates():
    found = read(page("nginx.html"))
    assert list(stats(found).values()) == [
        Stat("granule+100%_&co.nc", 5231, 1691144640.0, "listed:04-Aug-2023 10:24|5231"),
        Stat(
            "a-name-so-long-that-the-server-cuts-it-where-fifty-characters-end.tif",
            12345678901,
            1709251140.0,
            "listed:29-Feb-2024 23:59|12345678901",
        ),
        Stat("empty.txt", 0, 0.0, "listed:01-Jan-1970 00:00|0"),
        Stat("数据.csv", 17, 1709622480.0, "listed:05-Mar-2024 07:08|17"),
    ]
    assert follows(found) == [ROOT + "level%201/"]


def test_a_rounded_size_is_no_size():
    assert {path: stat.size for path, stat in stats(read(page("nginx_rounded.html"))).items()} == {
        "big.tif": None,
        "mid.tif": None,
        "small.tif": 9999,
    }


@pytest.mark.parametrize("name", ["nginx.json", "nginx.xml", "caddy.json"])
def test_json_and_xml_give_names_as_they_are_and_exact_sizes(name):
    found = read(page(name))
    granule = stats(found)["granule+100%_&co.nc"]
    assert granule.size == 5231
    assert granule.modified is not None
    assert int(granule.modified) == 1691144696
    assert granule.version is not None
    assert granule.version.startswith("listed:")
    assert follows(found) == [ROOT + "level%201/"]
    assert "dangling" not in stats(found)
    notes = [each for each in found if isinstance(each, ReaderWarning)]
    assert len(notes) == (name != "caddy.json")  # a link that leads nowhere is told


def test_percent_signs_in_json_are_literal():
    assert stats(read(page("nginx.json")))["100%25.txt"].size == 0


def test_lighttpd_s_json_is_read():
    found = read(page("lighttpd.json"))
    assert stats(found) == {"granule.nc": Stat("granule.nc", 1258291, 1691144696.0, "listed:1691144696|1258291")}
    assert follows(found) == [ROOT + "level%201/"]


def test_apache_s_table_gives_dates_but_never_a_size():
    found = read(page("apache_table.html"))
    assert list(stats(found).values()) == [
        Stat("granule_with_a_long_n_ame.nc", None, 1691144640.0, "listed:2023-08-04 10:24|2.3K"),
        Stat("tiny.txt", None, 1691144700.0, "listed:2023-08-04 10:25|512"),
        Stat("7", None, 1691144760.0, "listed:2023-08-04 10:26|11M"),
    ]
    assert follows(found) == [ROOT + "level%201/"]


def test_old_apache_in_capitals_gives_dates_but_never_a_size():
    found = read(page("apache_pre.html"))
    assert list(stats(found).values()) == [
        Stat("granule.nc", None, 1691144640.0, "listed:04-Aug-2023 10:24|2.3K"),
        Stat("tiny.txt", None, 1691144700.0, "listed:04-Aug-2023 10:25|512"),
    ]
    assert follows(found) == [ROOT + "level%201/"]


def test_a_linked_icon_does_not_hide_the_date_beside_the_name():
    row = b'<a href="f"><img src="/icons/unknown.gif" alt="[   ]"></a> <a href="f">f</a>   2023-08-04 10:24  2.3K  \n'
    found = read(b"<title>Index of /data</title><pre><a href='?C=N;O=D'>Name</a><hr>" + row + b"</pre>")
    assert found == [Stat("f", None, 1691144640.0, "listed:2023-08-04 10:24|2.3K")]


def test_lighttpd_s_size_is_exact_in_data_value_alone():
    found = read(page("lighttpd.html"))
    assert list(stats(found).values()) == [
        Stat("granule.nc", 1258291, 1691144696.0, "listed:2023-Aug-04 10:24:56|1258291"),
        Stat("older.nc", None, 1691144697.0, "listed:2023-Aug-04 10:24:57|1.2M"),
    ]
    assert follows(found) == [ROOT + "level%201/"]


def test_iis_has_absolute_links_exact_sizes_and_dates_that_may_be_ambiguous():
    found = read(page("iis.html"))
    assert list(stats(found).values()) == [
        Stat("granule 1.nc", 3221225472, None, "listed:5/7/2020|3221225472"),
        Stat("tiny.txt", 512, 1589727420.0, "listed:5/17/2020  2:57 PM|512"),
        Stat("klein.zip", 7580646, 1432944000.0, "listed:30.05.2015|7580646"),
    ]
    assert follows(found) == [ROOT + "level%201/"]


@pytest.mark.parametrize(
    ("name", "files", "folders"),
    [
        ("apache_plain.html", ["granule.nc"], ["level%201/"]),
        ("python.html", ["2024-01-01T00:00.nc", "café.txt"], ["level%201/"]),
        ("bare.html", ["LATEST"], ["7.0/", "7.1/"]),
    ],
)
def test_bare_links_give_names_and_nothing_else(name, files, folders):
    found = read(page(name))
    assert list(stats(found).values()) == [Stat(path) for path in files]
    assert follows(found) == [ROOT + folder for folder in folders]


@pytest.mark.parametrize("name", ["nginx_empty.html", "iis_empty.html", "python_empty.html"])
def test_an_empty_folder_is_a_listing_without_files(name):
    assert read(page(name)) == []


@pytest.mark.parametrize("body", [b"[]", b"<list></list>", b"<?xml version='1.0'?>\n<list/>"])
def test_an_empty_folder_in_json_or_xml_has_no_files(body):
    assert read(body) == []


# Pages that are no listings


def test_a_login_page_says_so_in_a_steward_s_words():
    with pytest.raises(
        DocumentError, match=rf"^{ROOT}: looks like a login page, not a directory listing .*Earth Archive - Login"
    ):
        read(page("login.html"))


def test_a_web_page_with_links_is_no_listing():
    with pytest.raises(
        DocumentError, match=rf"^{ROOT}: looks like a web page, not a directory listing .*Welcome to the archive"
    ):
        read(page("web_page.html"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\x00\x01\x02",
        b"<html><body>It works!</body></html>",
        b"{}",
        b'{"error": "no"}',
        b'["a"]',
        b'[{"name": "a"}]',
        b'[{"name": "a", "type": "file", "size": NaN}]',
        b'[{"name": "a", "type": "file", "size": "12"}]',
        b'[{"name": "a", "type": "file"}',
        b"[" * 200_000,
        b'[{"name": "a", "type": "file", "x": ' + b"[" * 200_000,
        b"<list><file>a</file>",
        b"<list><file>&boom;</file></list>",
    ],
)
def test_what_is_no_listing_is_a_document_error_that_names_its_url(body):
    with pytest.raises(DocumentError, match=f"^{ROOT}: "):
        read(body)


@pytest.mark.fault(16)
def test_a_doctype_in_xml_is_refused():
    body = b'<?xml version="1.0"?><!DOCTYPE list [<!ENTITY a "aaaa">]><list><file mtime="x">&a;</file></list>'
    with pytest.raises(DocumentError, match="document type declaration"):
        read(body)


# Names


@pytest.mark.fault(18)
def test_names_come_only_from_href_and_only_children_count():
    found, _ = read_partly(page("hostile.html"))
    assert [path for path in stats(found) if is_safe(path)] == [
        "other-host.tif",
        "no-scheme.tif",
        "other-scheme.tif",
        "other-port.tif",
        "a%2Fb.tif",
        "around.tif",
        "good.tif",
        "dotted.tif",
        "spaced.tif",
        "whole.tif",
        "port.tif",
        "schemeless.tif",
        "2024-01-01T12:00.tif",
        "twice%41.tif",
    ]
    assert follows(found) == [ROOT + "sub/"]
    assert {url for stat in stats(found).values() for url in stat.urls} == {
        ROOT + "a%2Fb.tif"
    }  # no other host is asked


def test_a_strange_name_comes_out_to_be_refused_and_is_never_followed():
    found, _ = read_partly(page("hostile.html"))
    assert [path for path in stats(found) if not is_safe(path)] == [
        "back\\slash.tif",
        "nul\x00.tif",
        "caf\udce9.tif",
        "up\\..\\",
        ".syncd",
    ]


def is_safe(path: str) -> bool:
    try:
        check_path(path)
    except UnsafePath:
        return False
    return True


def test_a_name_of_raw_bytes_in_json_is_refused_alone():
    body = b'[{"name":"caf\xe9","type":"file","size":1},{"name":"b","type":"file","size":2}]'
    assert [(path, is_safe(path)) for path in stats(read(body))] == [("caf\udce9", False), ("b", True)]


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ".", "", "/etc/passwd"])
def test_a_path_in_json_or_xml_is_no_child_and_makes_the_list_incomplete(name):
    for body in (
        json.dumps([{"name": name, "type": "file", "size": 1}, {"name": "b", "type": "file"}]).encode(),
        f'<list><file mtime="x" size="1">{name}</file><file>b</file></list>'.encode(),
    ):
        found, why = read_partly(body)
        assert list(stats(found)) == ["b"]
        assert why == ("" if name in {".", ".."} else f"{ROOT}: an entry has the path {name!r} instead of a name")


hostile_names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.lists(
        st.sampled_from(["..", "%", "%41", "&amp;", '"', "'", " ", "?", "#", ":", "\\", "é", "<a>", "http:", "a", "+"]),
        min_size=1,
        max_size=5,
    ).map("".join),
).filter(lambda name: "/" not in name and name not in {".", ".."})
entries = st.lists(
    st.tuples(hostile_names, st.booleans(), st.integers(0, 10**15)), max_size=8, unique_by=lambda entry: entry[0]
)


def nginx(files: list[tuple[str, bool, int]]) -> bytes:
    rows = []
    for name, is_folder, size in files:
        href, text = quote(name, safe="") + "/" * is_folder, html.escape(name[:47] + "..>" if len(name) > 50 else name)
        rows.append(f'<a href="{href}">{text}</a>    04-Aug-2023 10:24   {"-" if is_folder else size}\r\n')
    return f'<html><head><title>Index of /</title></head><body><h1>Index of /</h1><hr><pre><a href="../">../</a>\r\n{"".join(rows)}</pre></body></html>'.encode()


def apache(files: list[tuple[str, bool, int]]) -> bytes:
    rows = []
    for name, is_folder, size in files:
        href = html.escape(quote(name, safe="&'+") + "/" * is_folder)
        rows.append(
            f'<tr><td><a href="{href}"><img src="/icons/x.gif"></a></td><td><a href="{href}">{html.escape(name)}</a></td>'
            f'<td align="right">2023-08-04 10:24  </td><td align="right">{"  - " if is_folder else size}</td><td>&nbsp;</td></tr>\n'
        )
    return f'<html><head><title>Index of /</title></head><body><table><tr><th><a href="?C=N;O=D">Name</a></th></tr>{"".join(rows)}</table></body></html>'.encode()


@given(entries)
def test_what_nginx_lists_is_read_back(files):
    found = read(nginx(files))
    assert {path: stat.size for path, stat in stats(found).items() if is_safe(path)} == {
        name: size for name, is_folder, size in files if is_safe(name) and not is_folder
    }
    assert follows(found) == [
        f"{ROOT}{quote(name, safe=autoindex_safe)}/" for name, is_folder, _ in files if is_folder and is_safe(name)
    ]
    assert set(stats(found)) == {name for name, is_folder, _ in files if not (is_folder and is_safe(name))}


@given(entries)
def test_what_apache_lists_is_read_back_once(files):
    found = read(apache(files))
    assert [each.path for each in found if isinstance(each, Stat)] == [
        name for name, is_folder, _ in files if not (is_folder and is_safe(name))
    ]
    assert all(stat.size is None for stat in stats(found).values())
    assert len(follows(found)) == sum(is_folder and is_safe(name) for name, is_folder, _ in files)


autoindex_safe = "!$&'()*+,;=:@~"


@pytest.mark.fault(18)
@given(st.lists(st.text(max_size=30), max_size=10))
def test_whatever_the_links_nothing_outside_the_folder_comes_out(hrefs):
    rows = "".join(f'<a href="{html.escape(href)}">x</a>\n' for href in hrefs)
    found, _ = read_partly(f"<title>Index of /</title><pre>{rows}</pre>".encode("utf-8", "surrogatepass"))
    assert all("/" not in each.path and each.path not in {"", ".", ".."} for each in found if isinstance(each, Stat))
    assert all(url.startswith(ROOT) and url.endswith("/") and "/" not in url[len(ROOT) : -1] for url in follows(found))


# Checksum lists on the way


def test_a_list_met_on_the_way_is_a_file_and_its_digests_are_promised():
    source = Source(checksums=("**/SHA256SUMS", "**/*.md5"))
    digest, md5 = "ab" * 32, "cd" * 16
    (folder,) = (each for each in read(listing("sub/"), source=source) if isinstance(each, DocumentRequest))
    found = read(listing("SHA256SUMS", "a", "b c.md5"), source=source, asked=folder)
    assert list(stats(found)) == ["sub/SHA256SUMS", "sub/a", "sub/b c.md5"]
    sums, sidecar = (each for each in found if isinstance(each, DocumentRequest))
    assert (sums.url, sidecar.url) == (ROOT + "sub/SHA256SUMS", ROOT + "sub/b%20c.md5")
    assert read(f"{digest}  a\n{digest}  SHA256SUMS\nSM3 (x) = {digest}\n".encode(), source=source, asked=sums) == [
        Promise("sub/a", {"sha256": digest}, "sub/SHA256SUMS")
    ]
    assert read(f"{md5}\n".encode(), source=source, asked=sidecar) == [Promise("sub/b c", {"md5": md5}, "sub/b c.md5")]
    with pytest.raises(DocumentError, match=r"^sub/SHA256SUMS: looks like a web page"):
        read(page("login.html"), source=source, asked=sums)


# Opening


def test_other_schemes_have_no_directory_listings():
    for url in ("s3://bucket/prefix/", "file:///data/", "data", "https://"):
        with pytest.raises(ValueError, match="has no directory listings to read"):
            open_reader(Source(url))


def test_the_first_page_is_the_source_as_a_folder():
    reader = open_reader(Source("https://Archive.example:443/my data%2F/x"))
    assert [follow.url for follow in reader.start()] == ["https://archive.example/my%20data%2F/x/"]
    assert not reader.native


def test_objects_leaves_the_listing_to_the_transport():
    reader = open_objects(Source("s3://bucket/"))
    assert reader.native
    assert list(reader.start()) == []
    assert list(reader.read(Document(DocumentRequest(""), "", {}, io.BytesIO()))) == []
