"""The reader for LAADS and LANCE, NASA's archives of MODIS and VIIRS: folders that are listed as JSON or as CSV.

A folder `archive/allData/61/MOD09GA/` is listed at `archive/allData/61/MOD09GA.json`; an entry without a size is a
folder. Each day is a folder, `<year>/<day of the year>/`, so folders outside the wanted time are not read. If an answer
says that there are further pages (a link, or their number), they are requested.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from pydantic import BaseModel

from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    SkippedEntries,
    When,
    absolute,
    below,
    chosen,
    dig,
    digests,
    moment,
    next_link,
    page_url,
    read_json,
    size,
    span,
    text,
)
from manifests.stat import Stat, UnsafePath, check_path
from manifests.yaml import STRICT

MAX_PAGE = 256 << 20  # bytes
MAX_DEPTH = 8  # folders below the source
MAX_LINE = 1 << 16  # bytes

_PAGES = ("numPages", "totalPages", "pages", "pageCount")  # how the number of pages may be called


class LaadsOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    listing: Literal["json", "csv"] = "json"
    """The format in which listings of folders are requested."""
    datetime: When = ""
    """The days wanted: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""


class LaadsState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the folder's path in the copy, its url and depth, and the pages of it that were read."""

    url: str
    path: str = ""
    depth: int = 0
    page: int = 1
    pages: PageChain = PageChain()


def open_reader(source: ReaderSource, today: date) -> "LaadsReader":
    """Return the reader for `source`; `today` is where a relative datetime ends."""
    return LaadsReader(source.url, chosen(source, LaadsOptions), today)


class LaadsReader:
    """A Reader: one request for each folder, one Stat for each file."""

    native = False

    def __init__(self, url: str, options: LaadsOptions, today: date) -> None:
        self._url = url
        self._form = options.listing
        wanted = span(options.datetime, today)
        self._begins = _day(wanted.begins, date.min)
        self._ends = _day(wanted.ends, date.max)

    def start(self) -> Iterable[DocumentRequest]:
        """Request the listing of the source's own folder."""
        return [self._listing(LaadsState(self._url))]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of one folder, and the folders in it."""
        state = msgspec.json.decode(document.asked.state, type=LaadsState)
        unread = SkippedEntries(document)
        if state.depth > MAX_DEPTH:
            raise DocumentError(
                message("{url}: folders more than {max_depth} deep: a loop?", url=document.url, max_depth=MAX_DEPTH)
            )
        names: list[str] = []
        listing = _Listing(document)
        for row in listing.rows(self._form):
            name = text(row.get("name"))
            names.append(name)
            if not name or "/" in name or name in {".", ".."}:
                unread.add(message("a row without a valid name"))
                continue
            length = size(row.get("size"))
            sums = text(row.get("md5sum"))
            if length == 0 and not sums:
                yield from self._folder(state, name)
                continue
            promised = digests(("md5", sums)) if sums else {}
            if sums and not promised:
                yield ReaderWarning(message("invalid checksums were ignored"))
            url = absolute(document, row.get("downloadsLink")) or f"{state.url}{quote(name, errors='surrogateescape')}"
            modified = _modified(row)
            yield Stat(below(state.path, name), length, modified, None, promised, (url,))
        following = listing.following(state.page)
        if following is not None:
            pages = state.pages.read(document, names)
            further = msgspec.structs.replace(state, page=state.page + 1, pages=pages)
            yield DocumentRequest(following, state=msgspec.json.encode(further).decode(), max_bytes=MAX_PAGE)
        unread.raise_if_any()

    def _folder(self, state: LaadsState, name: str) -> Iterator[Found]:
        path = below(state.path, name)
        try:
            check_path(path)
        except UnsafePath:
            yield Stat(path)  # `check_path` rejects it, and the survey reports it
            return
        if self._wants(state.path, name):
            yield self._listing(LaadsState(f"{state.url}{quote(name)}/", path, state.depth + 1))

    def _listing(self, state: LaadsState) -> DocumentRequest:
        url = f"{state.url.rstrip('/')}.{self._form}"
        return DocumentRequest(url, state=msgspec.json.encode(state).decode(), max_bytes=MAX_PAGE)

    def _wants(self, above: str, name: str) -> bool:
        """Return True if a folder may contain wanted days: also if it is neither a year nor a day."""
        if len(name) == 4 and name.isdigit() and name.isascii() and name > "0000":
            return self._begins.year <= int(name) <= self._ends.year
        year = (above or self._url.rstrip("/")).rpartition("/")[2]
        if len(name) == 3 and name.isdigit() and len(year) == 4 and year.isdigit() and "0001" <= year <= "9990":
            day = date(int(year), 1, 1) + timedelta(days=int(name) - 1)
            return self._begins <= day <= self._ends
        return True


class _Listing:
    """One page of the listing of a folder."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._said: Mapping[str, Any] = {}

    def rows(self, form: str) -> Iterator[Mapping[str, Any]]:
        """Yield the rows; raises DocumentError if it is no listing."""
        if form == "csv":
            yield from _table(self._document)
            return
        listed = read_json(self._document, object, limit=MAX_PAGE)
        rows = listed.get("content") if isinstance(listed, dict) else listed
        if not isinstance(rows, list):
            raise DocumentError(message("{url}: not a listing, but other JSON", url=self._document.url))
        self._said = listed if isinstance(listed, dict) else {}
        for row in rows:
            yield row if isinstance(row, dict) else {}

    def following(self, number: int) -> str | None:
        """Return the url of the next page if the answer says that there is one; `number` is that of this page."""
        document, said = self._document, self._said
        links = (said.get("nextPageLink"), said.get("next"), dig(said.get("links"), "next"))
        for href in links:
            if (url := page_url(document, dig(href, "href") or href)) is not None:
                return url
        if (url := next_link(document)) is not None:
            return url
        count = next((found for name in _PAGES if (found := size(said.get(name))) is not None), 0)
        if number >= count:
            return None
        parts = urlsplit(document.url)
        query = [(name, value) for name, value in parse_qsl(parts.query) if name != "page"]
        return parts._replace(query=urlencode([*query, ("page", str(number + 1))])).geturl()


def _table(document: Document) -> Iterator[Mapping[str, Any]]:
    names: list[str] = []
    for line in document.lines(MAX_LINE, whole=True):
        written = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").rstrip("\r")
        if not written.strip():
            continue
        try:
            row = [field.strip() for field in next(csv.reader([written], skipinitialspace=True))]
        except (csv.Error, StopIteration) as error:
            raise DocumentError(
                message("{url}: a line that is not CSV: {cause}", url=document.url, cause=error)
            ) from error
        if names:
            yield dict(zip(names, row, strict=False))
        elif "name" in row:
            names = row
        else:
            raise DocumentError(message("{url}: not a listing: its first line names no columns", url=document.url))
    if not names:
        raise DocumentError(message("{url}: an empty response is not a listing", url=document.url))


def _modified(row: Mapping[str, Any]) -> float | None:
    for name in ("mtime", "last-modified"):
        told = row.get(name)
        if isinstance(told, int | float) and not isinstance(told, bool) and 0 < told < 1 << 34:
            return float(told)
        found = moment(text(told))
        if found is not None:
            return found
    return None


def _day(when: float | None, otherwise: date) -> date:
    return otherwise if when is None else date(1970, 1, 1) + timedelta(days=int(when // 86_400))


READER = ReaderKind(
    open_reader,
    LaadsOptions,
    dated=True,
    proof=CompletenessProof(
        end="the closing bracket of the JSON; the line end of the last line of CSV",
        count="the number of pages, where the answer has one",
        unseen="lines",
    ),
)
