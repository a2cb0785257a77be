"""Pages in every alphabet, and of servers that write them in their own ways."""

import base64
import contextlib
import io
import json
from dataclasses import dataclass

import pytest

from manifests.readers.autoindex import AutoindexOptions, open_reader
from manifests.readers.autoindex_dates import DATE, seconds
from manifests.reading.document import Document, DocumentError, DocumentRequest
from manifests.stat import Stat, UnsafePath, check_path

ROOT = "http://archive.example/data/"
RAIN = {"gb18030": "降水.nc", "shift_jis": "表データ.nc", "euc_kr": "강수.nc", "big5": "雨量表.nc", "gbk": "降水 表.nc"}
LABELS = {"gb18030": "gb2312", "shift_jis": "Shift_JIS", "euc_kr": "EUC-KR", "big5": "Big5", "gbk": "GBK"}


@dataclass(frozen=True)
class Source:
    encoding: str | None = None
    url: str = ROOT

    @property
    def options(self) -> AutoindexOptions:
        return AutoindexOptions()


def read(body: str | bytes, kind: str = "text/html", encoding: str | None = None, url: str = ROOT):
    reader = open_reader(Source(encoding, url))
    (asked,) = reader.start()
    content = body.encode() if isinstance(body, str) else body
    found = list(reader.read(Document(asked, url, {"content-type": kind}, io.BytesIO(content))))
    files = {one.path: one for one in found if isinstance(one, Stat)}
    return files, [one.url.removeprefix(url) for one in found if isinstance(one, DocumentRequest)]


def page(*rows: str, head: str = "", title: str = "Index of /data") -> str:
    lines = "".join(f"{row}   05-Mar-2024 15:12   4\n" for row in rows)
    return (
        f"<html><head>{head}<title>{title}</title></head><body><h1>{title}</h1><pre>"
        f'<a href="../">../</a>\n{lines}</pre></body></html>'
    )


# Encodings


@pytest.mark.parametrize("encoding", RAIN)
@pytest.mark.parametrize("where", ["header", "meta", "meta5", "xml", "manifest"])
def test_names_in_a_page_of_another_encoding_are_requested_as_browsers_do(encoding, where):
    name, label = RAIN[encoding], LABELS[encoding]
    head = {
        "meta": f'<meta http-equiv="Content-Type" content="text/html; charset={label}">',
        "meta5": f"<meta charset={label}>",
    }.get(where, "")
    prolog = f'<?xml version="1.0" encoding="{label}"?>' if where == "xml" else ""
    body = (prolog + page(f'<a href="{name}">{name}</a>', f'<a href="{name}.d/">x</a>', head=head)).encode(encoding)
    kind = f"text/html; charset={label}" if where == "header" else "text/html"
    files, folders = read(body, kind, encoding if where == "manifest" else None)
    assert list(files) == [name]
    assert files[name].urls == ()
    assert folders == [
        f"{''.join(f'%{byte:02X}' if byte > 127 or byte == 32 else chr(byte) for byte in name.encode())}.d/"
    ]


def test_percent_encoded_bytes_are_requested_as_they_are_and_need_an_encoding_for_their_name():
    body = page('<a href="%BD%B5%CB%AE.nc">降水.nc</a>', '<a href="%BD%B5/">降</a>').encode("gb18030")
    files, folders = read(body, "text/html;charset=GBK")
    for path in files:
        with pytest.raises(UnsafePath, match=r"source\.encoding"):
            check_path(path)
    assert (len(files), folders) == (2, [])
    files, folders = read(body, "text/html;charset=GBK", "gb18030")
    assert {path: one.urls for path, one in files.items()} == {"降水.nc": (f"{ROOT}%BD%B5%CB%AE.nc",)}
    assert folders == ["%BD%B5/"]


def test_files_in_a_folder_of_encoded_name_have_urls_of_their_own():
    reader = open_reader(Source("gb18030"))
    (asked,) = reader.start()
    body = page('<a href="%BD%B5/">x</a>').encode()
    (follow,) = reader.read(Document(asked, ROOT, {}, io.BytesIO(body)))
    assert isinstance(follow, DocumentRequest)
    (file,) = reader.read(Document(follow, follow.url, {}, io.BytesIO(page('<a href="a.nc">a.nc</a>').encode())))
    assert isinstance(file, Stat)
    assert (file.path, file.urls) == ("降/a.nc", (f"{ROOT}%BD%B5/a.nc",))


@pytest.mark.parametrize("label", ["windows-1252", "iso-8859-1"])
def test_latin_1_of_a_page_is_that_of_windows(label):
    body = page('<a href="météo–1.nc">météo–1.nc</a>').encode("cp1252")
    assert list(read(body, f"text/html; charset={label}")[0]) == ["météo–1.nc"]


def test_bytes_of_an_unknown_encoding_are_refused_by_name_and_latin_1_is_taken_where_the_page_says_so():
    body = page('<a href="café.nc">café.nc</a>', '<a href="good.nc">good.nc</a>').encode("latin-1")
    assert list(read(body, "text/html; charset=ISO-8859-1")[0]) == ["café.nc", "good.nc"]
    bad, good = read(body)[0]
    assert good == "good.nc"
    with pytest.raises(UnsafePath, match=r"source\.encoding"):
        check_path(bad)


def test_a_name_may_have_raw_bytes_and_escaped_ones():
    for row in (
        '<a href="%C3caf\xe9%41.nc">x</a>',
        '<a href="sub/caf\xe9?q=%C3\xe9">x</a>',
        '<a href="caf\xe9%#">x</a>',
    ):
        with contextlib.suppress(DocumentError):
            for path in read(page(row).encode("latin-1"))[0]:
                with pytest.raises(UnsafePath):
                    check_path(path)


def test_an_unknown_label_changes_nothing_and_utf_16_is_recognised():
    assert list(read(page('<a href="é">é</a>'), "text/html; charset=klingon")[0]) == ["é"]
    assert list(read(page('<a href="降">降</a>').encode("utf-16"))[0]) == ["降"]


# Dates and empty folders of IIS and others


@pytest.mark.parametrize(
    "written",
    [
        "2024年3月5日 15:12", "2024年3月5日    15:12", "2024年3月5日 星期二 下午 3:12", "2024/3/5 15:12",
        "2024/03/05 下午 03:12", "2024/3/5(火) 15:12", "2024年3月5日(火) 午後 3:12", "2024-03-05 오후 3:12",
        "2024년 3월 5일 화요일 오후 3:12", "2024. 3. 5. 오후 3:12", "2024-03-05 15:12:00 +00:00",
    ],
)  # fmt: skip
def test_dates_of_iis_in_chinese_japanese_and_korean(written):
    body = (
        "<html><head><title>archive.example - /data/</title></head><body><H1>archive.example - /data/</H1><hr>\n\n"
        f'<pre><A HREF="/">[转到父目录]</A><br><br> {written}      123456 <A HREF="/data/a.nc">a.nc</A><br>'
        f' {written}        &lt;dir&gt; <A HREF="/data/sub/">sub</A><br></pre><hr></body></html>'
    )
    files, folders = read(body)
    assert (files["a.nc"].size, files["a.nc"].modified) == (123456, 1709651520.0)
    assert folders == ["sub/"]


def test_days_without_a_clock_and_days_that_do_not_exist():
    assert [seconds("2024年3月5日"), seconds("2024/3/5")] == [1709596800.0] * 2
    assert seconds("2024年13月5日 15:12") is None
    assert seconds("2024/2/30 15:12") is None
    found = DATE.match("2024-03-05 12345678")
    assert found is not None
    assert found[0] == "2024-03-05"


@pytest.mark.parametrize(
    "body",
    [
        "<title>archive.example - /data/</title><H1>archive.example - /data/</H1><hr><pre><A HREF='/'>[転送先の親]</A></pre>",
        "<title>Verzeichnisinhalt für [/data/]</title><h1>Verzeichnisinhalt für [/data/] - <a href='/'>Hoch zu [/]</a></h1><table></table>",
        "<title>/data/ のディレクトリの一覧</title><h1>/data/</h1><a href='/'>[/] に移動</a><hr><table></table>",
        "<title>Содержимое папки /data/</title><h1>/data/</h1><a href='..'>Вверх</a><hr>",
    ],
)
def test_an_empty_folder_is_one_in_any_language(body):
    assert read(f"<html><body>{body}</body></html>") == ({}, [])


@pytest.mark.promise("P5")
@pytest.mark.parametrize("said", ["404 Not Found", "未找到", "nicht gefunden", "Error"])
def test_a_page_that_says_that_there_is_nothing_is_no_empty_folder(said):
    with pytest.raises(DocumentError, match="a web page"):
        read(f"<html><title>/data/: {said}</title><body><ul></ul><a href='/'>Home</a></body></html>")


# Servers


@pytest.mark.parametrize(
    "rows",
    [
        '<pre><a href="sub">sub/</a>  05-Mar-2024 15:12  -\n<a href="a.nc">a.nc</a>  05-Mar-2024 15:12  4\n</pre>',
        (
            '<ul id="files"><li><a href="/data/sub" class="icon icon-directory" title="sub"><span>sub</span></a></li>'
            '<li><a href="/data/a.nc" class="icon icon-file"><span>a.nc</span></a></li></ul>'
        ),
        (
            '<table><tr class="folder"><td><a href="sub">sub</a></td><td>2024-03-05 15:12</td></tr>'
            '<tr class="file"><td><a href="a.nc">a.nc</a></td><td>2024-03-05 15:12</td></tr></table>'
        ),
    ],
)
def test_a_folder_that_is_linked_without_its_slash_is_a_folder(rows):
    files, folders = read(f"<html><title>Index of /data</title><body>{rows}</body></html>")
    assert (list(files), folders) == (["a.nc"], ["sub/"])


DUFS = json.dumps(
    {
        "href": "/data",
        "kind": "Index",
        "uri_prefix": "/",
        "paths": [
            {"path_type": "Dir", "name": "sub", "mtime": 1709651520123, "size": 3},
            {"path_type": "SymlinkDir", "name": "linked", "mtime": 1709651520123, "size": 0},
            {"path_type": "File", "name": "降 <x>.nc", "mtime": 1709651520123, "size": 123},
        ],
    }
)


@pytest.mark.parametrize(
    "body",
    [
        f"<!DOCTYPE html>\n<html><head><script>\n    DATA = {DUFS}\n  </script></head><body></body></html>",
        '<html><body><template id="index-data">'
        + base64.b64encode(DUFS.encode()).decode()
        + "</template><script src='/x.js'></script></body></html>",
        DUFS,
    ],
    ids=["script", "template", "json"],
)
def test_a_page_of_dufs_is_read_from_what_its_script_shows(body):
    files, folders = read(body)
    assert {path: (one.size, one.modified) for path, one in files.items()} == {"降 <x>.nc": (123, 1709651520.123)}
    assert folders == ["sub/", "linked/"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_page_of_dufs_that_was_cut_is_no_listing(cut):
    body = '<html><template id="index-data">' + base64.b64encode(DUFS.encode()).decode()
    with pytest.raises(DocumentError):
        read(body[:-cut])


MINISERVE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>archive.example/data</title></head><body>
<h1 class="title" dir="ltr"><a href="/"><bdi>archive.example</bdi></a>/<span><bdi>data</bdi></span>/</h1><table><thead>
<th class="name"><span><a href="?sort=name&amp;order=asc">Name</a></span></th></thead><tbody>ROWS</tbody></table>
<div class="version"><a href="https://github.com/svenstaro/miniserve">miniserve</a>/0.29.0</div></body></html>"""
MINISERVE_ROWS = """<tr><td colspan="3"><p><a class="root" href="../">Parent directory</a></p></td></tr>
<tr class="entry-type-directory"><td><p><a class="directory" href="/data/sub/">sub/</a></p></td><td class="size-cell">
</td><td class="date-cell"><span>2024-03-05 15:12:00 +00:00 </span><span class="history">2 days ago</span></td></tr>
<tr class="entry-type-file"><td><p><a class="file" href="/data/a%20b.nc">a b.nc</a><span class="mobile-info size">
<a href="?sort=size&amp;order=asc">1.2 KiB</a></span></p></td><td class="size-cell">1.2 KiB</td><td class="date-cell">
<span>2024-03-05 15:12:00 +00:00 </span></td></tr>
<tr class="entry-type-file"><td><p><a class="symlink" href="/data/l.nc">l.nc<span></span><a class="file">a b.nc</a></a>
</p></td><td class="size-cell">5 B</td><td class="date-cell"><span>2024-03-05 15:12:00 +00:00 </span></td></tr>"""


def test_a_page_of_miniserve_also_an_empty_one_at_the_top():
    files, folders = read(MINISERVE.replace("ROWS", MINISERVE_ROWS))
    assert {path: one.modified for path, one in files.items()} == {"a b.nc": 1709651520.0, "l.nc": 1709651520.0}
    assert folders == ["sub/"]
    assert read(MINISERVE.replace("ROWS", "").replace("/data", "")) == ({}, [])
