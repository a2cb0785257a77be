"""Cuts a page in HTML into pieces between its rows, refuses what costs a parser too much, and proves the page's end.

A page has ended if `</html>` or `</body>` stands behind its last row, or the end tag of the list that holds the rows.
Go and XRootD write no more, nor do Apache and nginx where a footer replaces theirs. A page of bare links, without any
element around them, cannot prove that it is whole.
"""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from manifests.messages import message
from manifests.reading import DocumentError

PIECE = 1 << 20  # bytes of HTML parsed at once: two million links need no more memory than a few
MAX_ROW = 8 << 20  # bytes without the end of a row
MAX_NODES = 3_000_000  # elements that a parser may create from one piece, at most

_AROUND = re.compile(rb"<(?:!doctype|html|head|body|pre|table|ul|ol|dl)[\s>]")
_LIST_TAG = re.compile(rb"<(/?)(?:pre|table|ul|ol|dl)[\s>]")
_HREF = re.compile(rb"""<a\s[^<>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
_SCRIPT = re.compile(rb"<script\b[^<>]*+>(?:[^<]++|<(?!/?script|a[\s>]))*+</script\s*+>", re.IGNORECASE)


class PageEnd:
    """How the page ended whose pieces were read."""

    def __init__(self, is_row: Callable[[str], bool]) -> None:
        """`is_row` returns True for an `href` that leads to a child."""
        self._is_row = is_row
        self._is_bare = True
        self._last = b""

    def read(self, piece: bytes) -> None:
        """Take the next piece, which may be the last one."""
        self._last = piece
        if self._is_bare:
            self._is_bare = _AROUND.search(piece.lower()) is None

    def is_bare(self) -> bool:
        """Return True if no element surrounds the links and the last line is whole: the page can prove no more."""
        return self._is_bare and self._last.endswith(b"\n")

    def is_proved(self) -> bool:
        """Return True if the page came whole, or at least all of its rows."""
        low = self._last.lower()
        at = max(low.rfind(b"</html"), low.rfind(b"</body"))
        if at >= 0 and not self._has_rows(at):
            return True
        tags = list(_LIST_TAG.finditer(low))
        return bool(tags and tags[-1][1]) and not self._has_rows(tags[-1].end())

    def _has_rows(self, at: int) -> bool:
        return any(
            self._is_row((found[1] or found[2] or found[3] or b"").decode("utf-8", "replace"))
            for found in _HREF.finditer(self._last, at)
        )


def pieces(stream: BinaryIO, buffer: bytes, url: str) -> Iterator[bytes]:
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


def without_scripts(piece: bytes) -> bytes:
    """Return a piece without its scripts, whose comparisons (`a<b`) look like tags; one that has links stays."""
    return _SCRIPT.sub(b"", piece)


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


def insist_on_shallow(piece: bytes, url: str) -> None:
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
