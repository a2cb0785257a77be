"""Parses directory listings of nginx, Apache, lighttpd, IIS, Python and caddy, in HTML, JSON and XML.

A Link has a size only if the server writes exact bytes: `2.3K` is ignored. Most listings have dates without a zone;
they are taken as UTC. `stamp` keeps the text of the listing, so that a change is noticed.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

from manifests.messages import message
from manifests.readers.autoindex_dates import DATE, seconds
from manifests.readers.autoindex_links import FolderUrl, child_name
from manifests.reading import DocumentError, XmlError, XmlTarget, parse_xml

PIECE = (
    1 << 20
)  # bytes of HTML parsed at once, so that a page of two million links needs no more memory than a small one
MAX_ROW = 8 << 20  # bytes without the end of a row
MAX_NODES = 3_000_000  # elements that a parser may create from one piece, at most
MAX_JSON = 128 << 20  # bytes; it is parsed whole
_BOM = b"\xef\xbb\xbf"


class ListingLink(msgspec.Struct, frozen=True):
    """One child of the listed folder."""

    name: str
    is_folder: bool
    size: int | None = None
    modified: float | None = None
    stamp: str | None = None


def read_links(stream: BinaryIO, folder: FolderUrl, url: str) -> Iterator[ListingLink]:
    """Yield the children that a page lists; raises DocumentError, which begins with `url`, if it is not a listing."""
    head = stream.read(PIECE).removeprefix(_BOM)
    start = head[:1024].lstrip()
    if start[:1] in {b"[", b"{"}:
        return _json(head + stream.read(MAX_JSON), url)
    if re.match(rb"(?:<\?xml[^>]*\?>\s*)?<(?:list[\s>/]|!DOCTYPE\s+list\b)", start) is not None:
        return _xml(stream, head, url)
    return _html(stream, head, folder, url)


# HTML


class _RowParser:
    """The table row of the last link, if there is one, and its text.

    A whole listing may be in one row, or below one parent, which must not be searched again for each link.
    """

    __slots__ = ("_parent", "_row", "_said")

    def __init__(self) -> None:
        self._parent = self._row = 0
        self._said: tuple[str, str, str | None] | None = None

    def said(self, anchor: LexborNode) -> tuple[str, str, str | None] | None:
        """Return the text of a link's row; None if there is no row."""
        node = anchor.parent
        if node is None or node.mem_id == self._parent:
            return self._said if node is not None else None
        self._parent = node.mem_id
        for _ in range(4):
            if node is None or node.tag == "tr":
                break
            node = node.parent
        else:
            node = None
        if node is None:
            self._row, self._said = 0, None
        elif node.mem_id != self._row:
            self._row, self._said = node.mem_id, _in_cells(node)
        return self._said


_TITLE = re.compile(r"\bindex of\b|\b(?:directory|folder) listing\b|\blisting (?:for|of)\b|\S - /", re.IGNORECASE)
_PARENT = re.compile(r"\.\./?|\W*(?:to )?(?:the )?parent (?:directory|folder)\W*", re.IGNORECASE)
_LOGIN = re.compile(r"\blog[ -]?[io]n\b|\bsign[ -]?in\b|authenticat|unauthori[sz]ed", re.IGNORECASE)
_ROUNDED = re.compile(r"-|\d+(?:[.,]\d+)? ?[KMGTPE]?(?:i?B|bytes)?", re.IGNORECASE)
_ASCII_DIGITS = re.compile(r"[0-9]{1,18}")


def _html(stream: BinaryIO, head: bytes, folder: FolderUrl, url: str) -> Iterator[ListingLink]:
    first = True
    apache = False
    for piece in _pieces(stream, head, url):
        _insist_on_shallow(piece, url)
        rows = _RowParser()
        page = LexborHTMLParser(_text(piece))
        anchors = page.css("a[href]")
        hrefs = [anchor.attributes.get("href") or "" for anchor in anchors]
        children = [
            (anchor, child) for anchor, href in zip(anchors, hrefs, strict=True) if (child := folder.child(href))
        ]
        if first:
            _insist_on_listing(page, anchors, children, url)
            # Apache writes plain digits for less than 973 bytes, and rounds the rest
            apache = b"<address>Apache" in piece or any(re.match(r"\?[CNMSD]=", href) for href in hrefs)
            first = False
        for at, (anchor, (name, is_folder)) in enumerate(children, 1):
            if at < len(children) and children[at][1] == (
                name,
                is_folder,
            ):  # its icon; the details follow its name
                continue
            date, size, exact = _date_and_size(anchor, rows)
            yield ListingLink(
                name,
                is_folder,
                None if exact is None or is_folder or apache else int(exact),
                seconds(date) if date else None,
                f"listed:{date}|{size}" if date else None,
            )


def _pieces(stream: BinaryIO, buffer: bytes, url: str) -> Iterator[bytes]:
    """Split the page between its rows; yield each piece as a page."""
    opening = b""
    while block := stream.read(PIECE):
        cut = _between_rows(buffer)
        if cut is None:
            buffer += block
            if len(buffer) > MAX_ROW:
                raise DocumentError(
                    message(
                        "{url}: no end of a row within {max_row} bytes: not a directory listing",
                        url=url,
                        max_row=MAX_ROW,
                    )
                )
            continue
        yield opening + buffer[:cut]
        low = buffer[:cut].lower()
        begun, ended = low.rfind(b"<table"), low.rfind(b"</table")
        if begun != ended:  # a parser needs the table in front of the rows
            opening = b"<table>" if begun > ended else b""
        buffer = buffer[cut:] + block
    yield opening + buffer


def _between_rows(buffer: bytes) -> int | None:
    """Return where the last complete row ends: between two anchors, so that no tag is split."""
    low = buffer.lower()
    last = len(low)
    for _ in range(64):
        last = low.rfind(b"<a ", 0, last)
        end = low.rfind(b"</a>", 0, max(last, 0))
        if end < 0:
            return None
        between = low[end + 4 : last]
        for mark in (b"</tr>", b"</li>", b"<br>", b"<br />", b"<br/>", b"\n"):
            at = between.find(mark)
            if at >= 0:
                return end + 4 + at + len(mark)
    return None


# The grammar of tags, possessive throughout: every byte is read once.
_SPACE = r"[ \t\n\f\r]"
_ATTRIBUTE = (
    rf"(?:{_SPACE}|/)*+(?:=?+[^ \t\n\f\r/>=]++|=)"
    rf"""(?:{_SPACE}*+={_SPACE}*+(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r>"'][^ \t\n\f\r>]*+)?+)?+"""
)
_ENDS_BY_ITSELF = r"(?:a|p|li|d[dt]|t[drh]|tbody|thead|tfoot|[bh]r|img|input|meta|link|col|option|wbr)(?=[ \t\n\f\r/>])"
_NESTING = re.compile(  # skips the tags that cannot nest, and stops at the others and at those with too many attributes
    rf"(?:[^<]++|<(?!/?[a-z])|</?{_ENDS_BY_ITSELF}(?:{_ATTRIBUTE}){{0,100}}+(?!{_ATTRIBUTE}))*+"
    rf"(?:<(/?)([a-z])[^ \t\n\f\r/>]*+(?:{_ATTRIBUTE}){{0,100}}+({_ATTRIBUTE})?+)?+".encode(),
    re.IGNORECASE,
)


def _insist_on_shallow(piece: bytes, url: str) -> None:
    """Raise DocumentError for a page that costs a parser far more than its length.

    The rules of HTML copy every open element of style into every row, look through all open elements for each, and
    compare every attribute of a tag with all others.
    """
    depth = deepest = 0
    for tag in _NESTING.finditer(piece):
        if tag[3] is not None:
            raise DocumentError(message("{url}: a tag with more than 100 attributes: not a directory listing", url=url))
        if tag[2] is not None:
            depth = max(0, depth - 1) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    if deepest * piece.count(b"<") > MAX_NODES:
        raise DocumentError(
            message("{url}: tags nested {deepest} deep: not a directory listing", url=url, deepest=deepest)
        )


def _text(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return piece.decode("latin-1")  # every byte is a valid character there; names are percent-encoded anyway


def _insist_on_listing(
    page: LexborHTMLParser, anchors: list[LexborNode], children: list[tuple[LexborNode, tuple[str, bool]]], url: str
) -> None:
    """Raise DocumentError, in words for stewards, unless the page is a listing, which may be empty."""
    titles = [node.text(deep=True).strip() for node in page.css("title, h1")]
    password = page.css_first('input[type="password" i]') is not None
    signed = any(_TITLE.search(title) for title in titles) or any(
        _PARENT.fullmatch(anchor.text(deep=True).strip()) for anchor in anchors[:5]
    )
    if signed and (children or not password):
        return
    rows = _RowParser()
    alike = sum(_looks_listed(anchor, child[0], rows) for anchor, child in children[:1000])
    if not password and 2 * alike >= max(1, min(len(children), 1000)):
        return
    title = message(" (its title: {title!r})", title=titles[0][:80]) if titles else ""
    if password or any(_LOGIN.search(title) for title in titles):
        raise DocumentError(
            message(
                "{url}: looks like a login page, not a directory listing{title}: are credentials missing?",
                url=url,
                title=title,
            )
        )
    raise DocumentError(message("{url}: looks like a web page, not a directory listing{title}", url=url, title=title))


def _looks_listed(anchor: LexborNode, name: str, rows: _RowParser) -> bool:
    """Return True if a link looks like one of a listing: its text begins its name, or a date is beside it."""
    text = anchor.text(deep=True).strip().removesuffix("/")
    clipped = re.sub(r"(?:\.\.>?|…)$", "", text)
    return (
        text == name
        or (clipped != text and name.startswith(clipped) and bool(clipped))
        or bool(_date_and_size(anchor, rows)[0])
    )


def _date_and_size(anchor: LexborNode, rows: _RowParser) -> tuple[str, str, str | None]:
    """Return the text beside a link: its date, its size as written ("" if there is none), and its exact bytes."""
    said = rows.said(anchor)
    if said is not None and said[0]:
        return said
    text = _line(anchor.next, 0)  # nginx; Apache without a table
    date = DATE.match(text)
    if date is None:
        text = _line(anchor.prev, -1)  # IIS
        date = DATE.match(text)
    if date is not None:
        size = (text[date.end() :].split() or [""])[0]
        written = size if _ROUNDED.fullmatch(size) is not None else ""
        return date[0], written, written if _ASCII_DIGITS.fullmatch(written) is not None else None
    return "", "", None


def _in_cells(row: LexborNode) -> tuple[str, str, str | None]:
    date, size, exact = "", "", None
    for cell in row.iter():
        text = cell.text(deep=True).strip()
        found = DATE.match(text)
        if found is not None:
            date = date or found[0]
        elif _ROUNDED.fullmatch(text) is not None and not size and cell.css_first("a") is None:  # a file may be named 7
            size = text
        value = cell.attributes.get("data-value") if cell.attributes.get("class") == "s" else None  # lighttpd
        if value is not None and _ASCII_DIGITS.fullmatch(value) is not None:
            size = exact = value
    return date, size, exact


def _line(node: LexborNode | None, which: int) -> str:
    """Return the first (0) or the last (-1) line of the text next to a link, "" if something else is there."""
    if node is None or not node.is_text_node:
        return ""
    return (node.text_content or "").split("\n")[which].strip()


# JSON


class _JsonRow(msgspec.Struct):
    """A row of nginx's, lighttpd's (`type`, `mtime`) or caddy's (`is_dir`, `mod_time`) JSON."""

    name: str
    type: str | None = None
    is_dir: bool | None = None
    size: int | None = None
    mtime: str | int | None = None
    mod_time: str | None = None


def _json(body: bytes, url: str) -> Iterator[ListingLink]:
    if len(body) > MAX_JSON:
        raise DocumentError(
            message("{url}: longer than the {max_json} bytes allowed for a listing in JSON", url=url, max_json=MAX_JSON)
        )
    try:
        rows = _rows(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise DocumentError(
            message("{url}: JSON, but not a directory listing: {cause}", url=url, cause=error)
        ) from error
    for row in rows:
        if row.type is None and row.is_dir is None:
            raise DocumentError(
                message(
                    "{url}: JSON, but not a directory listing: {name!r} is neither a file nor a folder",
                    url=url,
                    name=row.name[:80],
                )
            )
        is_folder = bool(row.is_dir) or row.type in {"directory", "dir"}
        name = child_name(row.name.removesuffix("/") if is_folder else row.name)
        if name is None or row.type == "other":  # a device, a link that leads nowhere
            continue
        date = row.mod_time if row.mtime is None else row.mtime
        size = None if is_folder or row.size is None or row.size < 0 else row.size
        modified = float(date) if isinstance(date, int) else seconds(date) if date is not None else None
        yield ListingLink(name, is_folder, size, modified, f"listed:{date}|{size}" if date is not None else None)


def _rows(body: bytes) -> list[_JsonRow]:
    try:
        body.decode()
    except UnicodeDecodeError:
        # nginx does not escape a name's bytes: such a name is rejected for its surrogates, the others are valid
        return msgspec.convert(json.loads(body.decode("utf-8", "surrogateescape")), type=list[_JsonRow])
    return msgspec.json.decode(body, type=list[_JsonRow])


# XML


def _xml(stream: BinaryIO, head: bytes, url: str) -> Iterator[ListingLink]:
    """Parse nginx's XML; a DOCTYPE, and with it every entity, is rejected."""
    try:
        yield from parse_xml(chain((head,), iter(lambda: stream.read(PIECE), b"")), _XmlRows())
    except XmlError as error:
        raise DocumentError(message("{url}: a directory listing that {cause}", url=url, cause=error)) from error


class _XmlRows(XmlTarget[ListingLink]):
    """The elements `file` and `directory` that contain nothing but a name."""

    def __init__(self) -> None:
        super().__init__()
        self._attributes: dict[str, str] | None = None  # of the element that opened last, until one closes
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.enter(tag)
        self._attributes = attributes
        self._text.clear()

    def text(self, characters: str) -> None:
        self._text.append(characters)

    def end(self, tag: str) -> None:
        del tag
        kind, attributes, name = self.path.pop(), self._attributes, child_name("".join(self._text))
        self._attributes = None
        self._text.clear()
        if name is None or attributes is None or kind not in {"file", "directory"}:
            return
        written, date = attributes.get("size", ""), attributes.get("mtime")
        size = int(written) if kind == "file" and _ASCII_DIGITS.fullmatch(written) is not None else None
        stamp = f"listed:{date}|{size}" if date is not None else None
        self.done.append(
            ListingLink(name, kind == "directory", size, seconds(date) if date is not None else None, stamp)
        )
