"""Parses directory listings of nginx, Apache, lighttpd, IIS, Python, caddy, dufs and others, in HTML, JSON and XML.

A ListingLink has a size only if the server writes exact bytes: `2.3K` is ignored. Most listings have dates without a
zone; they are taken as UTC. `stamp` keeps the text of the listing, so that a change is noticed.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import msgspec

from manifests.messages import message
from manifests.readers import autoindex_pieces
from manifests.readers.autoindex_charset import WESTERN, page_encoding
from manifests.readers.autoindex_dates import seconds
from manifests.readers.autoindex_dufs import dufs_links, is_dufs, is_dufs_json
from manifests.readers.autoindex_html import AT_CADDY_LIMIT, CADDY_LIMIT, read_html
from manifests.readers.autoindex_links import FolderUrl, ListingLink, child_name
from manifests.reading import (
    Document,
    DocumentError,
    ReaderWarning,
    RecodedStream,
    SkippedEntries,
    XmlError,
    XmlTarget,
    parse_xml,
    recoded,
    refuse_bucket,
    refuse_other_format,
)

MAX_JSON = 128 << 20  # bytes; it is parsed whole
_BOM = b"\xef\xbb\xbf"
_ASCII_DIGITS = re.compile(r"[0-9]{1,18}")
_NO_FILE = ReaderWarning(
    message("an entry that is neither a file nor a folder: a device, or a link that leads nowhere")
)


def read_links(
    document: Document, folder: FolderUrl, skipped: SkippedEntries, encoding: str = "utf-8"
) -> Iterator[ListingLink | ReaderWarning]:
    """Yield the children that a page lists, and add to `skipped` what may be one.

    `encoding` is that of the source; a page of HTML may name its own instead.
    Raises DocumentError, with the document's url in front, if it is no listing or was cut.
    """
    url = document.url
    document = recoded(document)  # from UTF-16, by its mark
    head = document.stream.read(autoindex_pieces.PIECE).removeprefix(_BOM)
    start = head[:1024].lstrip()
    if is_dufs(head) or is_dufs_json(start):
        return dufs_links(_all(document, head), url, skipped)
    if start[:1] == b"{":
        refuse_other_format(head, url)
    if start[:1] in {b"[", b"{"}:
        return _json(head + document.stream.read(MAX_JSON), url, skipped)
    if re.match(rb"(?:<\?xml[^>]*\?>\s*)?<(?:list[\s>/]|!DOCTYPE\s+list\b)", start) is not None:
        return _xml(document.stream, head, url, skipped)
    refuse_bucket(head, url)
    refuse_other_format(head, url)
    found = page_encoding(document.headers, head) if encoding == "utf-8" else encoding
    if found not in {"", "utf-8", WESTERN} and not isinstance(document.stream, RecodedStream):
        document.stream.seek(0)
        document = recoded(document, found)
        head = document.stream.read(autoindex_pieces.PIECE)
    return read_html(document, head, folder, skipped, is_western=found == WESTERN)


def _all(document: Document, head: bytes) -> bytes:
    body = head + document.stream.read(MAX_JSON)
    if len(body) > MAX_JSON:
        raise _too_long(document.url)
    return body


def _too_long(url: str) -> DocumentError:
    return DocumentError(
        message("{url}: longer than the {max_json} bytes allowed for a listing in JSON", url=url, max_json=MAX_JSON)
    )


class _JsonRow(msgspec.Struct):
    """A row of nginx's, lighttpd's (`type`, `mtime`) or caddy's (`is_dir`, `mod_time`) JSON."""

    name: str
    type: str | None = None
    is_dir: bool | None = None
    size: int | None = None
    mtime: str | int | None = None
    mod_time: str | None = None


def _json(body: bytes, url: str, skipped: SkippedEntries) -> Iterator[ListingLink | ReaderWarning]:
    if len(body) > MAX_JSON:
        raise _too_long(url)
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
        if name is None:
            _skip_path(row.name, skipped)
            continue
        if row.type == "other":
            yield _NO_FILE
            continue
        date = row.mod_time if row.mtime is None else row.mtime
        size = None if is_folder or row.size is None or row.size < 0 else row.size
        modified = float(date) if isinstance(date, int) else seconds(date) if date is not None else None
        yield ListingLink(name, is_folder, size, modified, f"listed:{date}|{size}" if date is not None else None)
    if len(rows) == CADDY_LIMIT and rows[0].is_dir is not None:
        skipped.add(AT_CADDY_LIMIT)


def _skip_path(name: str, skipped: SkippedEntries) -> None:
    if name.rstrip("/") not in {".", ".."}:
        skipped.add(message("an entry has the path {name!r} instead of a name", name=name[:100]))


def _rows(body: bytes) -> list[_JsonRow]:
    try:
        body.decode()
    except UnicodeDecodeError:
        # nginx does not escape a name's bytes: such a name is rejected for its surrogates, the others are valid
        return msgspec.convert(json.loads(body.decode("utf-8", "surrogateescape")), type=list[_JsonRow])
    return msgspec.json.decode(body, type=list[_JsonRow])


def _xml(stream: BinaryIO, head: bytes, url: str, skipped: SkippedEntries) -> Iterator[ListingLink | ReaderWarning]:
    """Parse nginx's XML; a DOCTYPE, and with it every entity, is rejected."""
    try:
        yield from parse_xml(chain((head,), iter(lambda: stream.read(autoindex_pieces.PIECE), b"")), _XmlRows(skipped))
    except XmlError as error:
        raise DocumentError(message("{url}: a directory listing that {cause}", url=url, cause=error)) from error


class _XmlRows(XmlTarget[ListingLink | ReaderWarning]):
    """The elements `file` and `directory` that contain nothing but a name."""

    def __init__(self, skipped: SkippedEntries) -> None:
        super().__init__()
        self._skipped = skipped
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
        kind, attributes, shown = self.path.pop(), self._attributes, "".join(self._text)
        self._attributes = None
        self._text.clear()
        if attributes is None or kind == "list":
            return
        if kind not in {"file", "directory"}:
            self.done.append(_NO_FILE)
            return
        name = child_name(shown)
        if name is None:
            _skip_path(shown, self._skipped)
            return
        written, date = attributes.get("size", ""), attributes.get("mtime")
        size = int(written) if kind == "file" and _ASCII_DIGITS.fullmatch(written) is not None else None
        stamp = f"listed:{date}|{size}" if date is not None else None
        self.done.append(
            ListingLink(name, kind == "directory", size, seconds(date) if date is not None else None, stamp)
        )
