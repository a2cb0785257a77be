"""What stands beside a link in a listing in HTML: its row, its date, its size, and the list that holds it."""

import re

from selectolax.lexbor import LexborNode

from manifests.readers.autoindex_dates import CLOCK, DATE, is_day_only, with_clock

ROUNDED = re.compile(r"-|\d+(?:[.,]\d+)? ?[KMGTPE]?(?:i?B|bytes)?", re.IGNORECASE)
_ASCII_DIGITS = re.compile(r"[0-9]{1,18}")
_LISTS = frozenset({"pre", "table", "ul", "ol", "dl"})
_ROWS = frozenset({"tr", "li", "dt", "dd"})
_ABOVE = 8  # elements between a link and its row, or its list


class RowParser:
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
            self._row, self._said = node.mem_id, in_cells(node)
        return self._said


def date_and_size(anchor: LexborNode, rows: RowParser) -> tuple[str, str, str | None]:
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
        shown, end = date[0], date.end()
        if is_day_only(shown) and (clock := CLOCK.match(text, end)) is not None:
            shown, end = with_clock(shown, clock), clock.end()
        size = (text[end:].split() or [""])[0]
        written = size if ROUNDED.fullmatch(size) is not None else ""
        return shown, written, written if _ASCII_DIGITS.fullmatch(written) is not None else None
    return "", "", None


def in_cells(row: LexborNode) -> tuple[str, str, str | None]:
    """Return the date, the size as written and the exact size that a row of a table shows."""
    date, size, exact = "", "", None
    clock: re.Match[str] | None = None
    for cell in row.iter():
        text = cell.text(deep=True).strip()
        found = DATE.match(text)
        if found is not None:
            date = date or found[0]
            clock = clock or CLOCK.fullmatch(text, found.end())
        elif (
            ":" in text and clock is None and cell.css_first("a") is None and (at := CLOCK.fullmatch(text)) is not None
        ):
            clock = at
        elif ROUNDED.fullmatch(text) is not None and not size and cell.css_first("a") is None:  # a file may be named 7
            size = text
        value = cell.attributes.get("data-value") if cell.attributes.get("class") == "s" else None  # lighttpd
        if value is not None and _ASCII_DIGITS.fullmatch(value) is not None:
            size = exact = value
    if date and clock is not None and is_day_only(date):
        date = with_clock(date, clock)
    return date, size, exact


def _line(node: LexborNode | None, which: int) -> str:
    """Return the first (0) or the last (-1) line of the text next to a link, "" if something else is there."""
    if node is None or not node.is_text_node:
        return ""
    return (node.text_content or "").split("\n")[which].strip()


def list_of(anchor: LexborNode) -> int:
    """Return the id of the list, table or `pre` in which a link stands; 0 if it stands in none."""
    return _around(anchor, _LISTS)


def row_of(anchor: LexborNode) -> int:
    """Return the id of the row in which a link stands; 0 if there is none, as in a `pre`."""
    return _around(anchor, _ROWS)


def _around(anchor: LexborNode, tags: frozenset[str]) -> int:
    node = anchor.parent
    for _ in range(_ABOVE):
        if node is None:
            return 0
        if node.tag in tags:
            return node.mem_id
        node = node.parent
    return 0
