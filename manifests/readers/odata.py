"""The reader for the OData catalogue of the Copernicus Data Space: products as archives, or file by file.

Rules:
1. `$skip` is limited to 10,000, so a survey pages by publication date: each page begins where the one before ended.
2. A product's checksums are those of its archive; a missing one is not an error. A length of 0 means unknown.
3. After a complete survey of archives only modified and deleted products are requested.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Flag
from manifests.origins import check_folder_url
from manifests.reading import (
    WEB,
    Box,
    CompletenessProof,
    Deleted,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Gap,
    PageChain,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    When,
    below,
    chosen,
    days,
    dig,
    digests,
    moment,
    read_json,
    read_until,
    size,
    span,
    template,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_PAGE = 256 << 20  # bytes
MAX_PRODUCTS = 1_000  # in one answer
MAX_SKIP = 10_000
MAX_DEPTH = 32  # folders in a product
PLACES = frozenset({"collection", "name", "year", "month", "day"})
_HEADERS = {"accept": "application/json"}


def _download(given: Any) -> Any:
    return check_folder_url(given, WEB) if isinstance(given, str) else given


class OdataOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    collections: tuple[str, ...] = ()
    """The collections wanted, as in SENTINEL-2."""
    datetime: When = ""
    """When products were taken: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""
    bbox: Box = ()
    """The box that products must touch: [west, south, east, north] in degrees."""
    filter: Annotated[str, Field(max_length=4_000)] = ""
    """Further conditions as an OData filter, as in contains(Name,'MSIL2A')."""
    offline: Flag = False
    """Mirror offline products too, which must be ordered first."""
    files: Literal["archive", "nodes"] = "archive"
    """`archive` mirrors each product as one zip, `nodes` the files in it."""
    download: Annotated[str, BeforeValidator(_download)] = "https://download.dataspace.copernicus.eu/odata/v1/"
    """The url that products are downloaded from."""
    page: Annotated[Count, Field(ge=1, le=MAX_PRODUCTS)] = MAX_PRODUCTS
    """Products per request."""
    path: Annotated[str, template(PLACES, "name")] = ""
    """The path of a product in the copy: {collection}, {name}, {year}, {month}, {day}."""

    @property
    def template(self) -> str:
        """Return the path of a product, with the collection if there may be several."""
        return self.path or ("{collection}/" if len(self.collections) != 1 else "") + "{year}/{month}/{day}/{name}"

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if not self.collections and not self.filter:
            raise InvalidValue(
                message("names neither collections nor a filter"),
                message("name the collections wanted, as in [SENTINEL-2]"),
            )
        return self


class OdataState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of document, the position in the walk, and a product's folder."""

    kind: Literal["products", "deleted", "nodes"] = "products"
    by: Literal["PublicationDate", "ModificationDate", "DeletionDate"] = "PublicationDate"
    since: str = ""
    skip: int = 0
    is_first: bool = False
    pages: PageChain = PageChain()
    changes: str = ""
    folder: str = ""
    depth: int = 0


class _Products(msgspec.Struct):
    value: list[object]
    more: object = msgspec.field(default=None, name="@odata.nextLink")
    count: object = msgspec.field(default=None, name="@odata.count")


class _Nodes(msgspec.Struct):
    result: list[object]


def open_reader(source: ReaderSource, today: date) -> "OdataReader":
    """Return the reader for `source`; `today` is where a relative datetime ends."""
    return OdataReader(source.url, chosen(source, OdataOptions), today)


class OdataReader:
    """A Reader: one request for each page of products, and for each folder in them; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: OdataOptions, today: date) -> None:
        self._url = url
        self._options = options
        self._span = span(options.datetime, today)

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections wanted."""
        return tuple(Selected("collections", one) for one in dict.fromkeys(self._options.collections))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of all products."""
        return [self._page(OdataState(is_first=True))]

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request the modified products, then the deleted ones. Raises Gap for a mark that is not a time."""
        if moment(mark) is None or self._options.files != "archive":
            raise Gap(message("{url}: cannot resume from {mark!r}", url=self._url, mark=mark[:40]))
        return [self._page(OdataState(by="ModificationDate", since=mark, is_first=True, changes=mark))]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the products of one page, or the files of one folder of a product."""
        state = msgspec.json.decode(document.asked.state, type=OdataState)
        unread = SkippedEntries(document)
        if state.kind == "nodes":
            yield from self._nodes(document, state, unread)
            unread.raise_if_any()
            return
        page = read_json(document, _Products, limit=MAX_PAGE)
        # the catalogue does not report which files of a modified product were deleted
        if state.is_first and self._options.files == "archive" and (mark := read_until(document)) is not None:
            yield mark
        named = {self._named(row) for row in page.value if isinstance(row, dict)}
        is_clear = named <= {*self._options.collections}  # else the catalogue names them in another form
        yield from (one for one in self.selectors if named and (one.value in named or not is_clear))
        for row in page.value:
            if not isinstance(row, dict) or not text(row.get("Name")) or not text(row.get("Id")):
                unread.add(message("a product without a name or an id"))
            elif state.kind == "deleted":
                yield from self._deleted(document, row)
            else:
                yield from self._product(row)
        pages = state.pages.read(document, (text(dig(row, "Id")) for row in page.value))
        if (following := self._following(document, state, page, pages)) is not None:
            yield following
        else:
            unread.expect(
                page.count,
                state.skip + len(page.value),
                message("products from {since} on", since=state.since or "1970"),
            )
        if following is None and state.changes and state.kind == "products":  # one by one: the last entry counts
            yield self._page(OdataState("deleted", "DeletionDate", state.changes, changes=state.changes))
        unread.raise_if_any()

    def _page(self, state: OdataState) -> DocumentRequest:
        options = self._options
        wanted = [options.filter and f"({options.filter})"]
        if options.collections:
            names = " or ".join(f"Collection/Name eq {_text(name)}" for name in options.collections)
            wanted.append(f"({names})")
        if state.kind == "products":
            wanted += [] if options.offline else ["Online eq true"]
            begins, slash, ends = self._span.written.partition("/")
            if begins not in {"", ".."}:
                wanted.append(f"ContentDate/Start ge {begins}")
            if (ends if slash else begins) not in {"", ".."}:
                wanted.append(f"ContentDate/Start le {ends if slash else begins}")
            if options.bbox:
                wanted.append(f"OData.CSC.Intersects(area=geography'SRID=4326;{_polygon(options.bbox)}')")
        elif options.filter:
            wanted[0] = (
                ""  # deleted products have no attributes left; entries for files that were never mirrored are ignored
            )
        if state.since:
            wanted.append(f"{state.by} ge {state.since}")
        words: dict[str, str | int] = {
            "$filter": " and ".join(one for one in wanted if one),
            "$orderby": f"{state.by} asc",
            "$top": options.page,
            "$count": "True",
        }
        if state.skip:
            words["$skip"] = state.skip
        table = "DeletedProducts" if state.kind == "deleted" else "Products"
        url = f"{self._url}{table}?{urlencode(words, quote_via=quote, safe='$(),;/:')}"
        return DocumentRequest(url, headers=_HEADERS, state=_state(state), max_bytes=MAX_PAGE)

    def _following(
        self, document: Document, state: OdataState, page: _Products, pages: PageChain
    ) -> DocumentRequest | None:
        """Return the page that begins where this one ends, None after the last one; raises DocumentError."""
        count = len(page.value)
        is_short = count < self._options.page and (size(page.count) or 0) <= state.skip + count
        if count == 0 or (is_short and not text(page.more)):
            return None
        dates = [text(row.get(state.by)) if isinstance(row, dict) else "" for row in page.value]
        last = dates[-1]
        if moment(last) is None:
            raise DocumentError(
                message("{url}: the last product has no {by} to continue from", url=document.url, by=state.by)
            )
        same = sum(one == last for one in dates)
        skip = state.skip + count if last == state.since else same
        if skip > MAX_SKIP:
            raise DocumentError(
                message(
                    "{url}: more than {max_skip} products have the same {by}, {last}",
                    url=document.url,
                    max_skip=MAX_SKIP,
                    by=state.by,
                    last=last,
                )
            )
        if moment(state.since) is not None and (moment(last) or 0) < (moment(state.since) or 0):
            raise DocumentError(message("{url}: the products are not sorted by {by}", url=document.url, by=state.by))
        return self._page(msgspec.structs.replace(state, since=last, skip=skip, is_first=False, pages=pages))

    def _named(self, row: Mapping[str, Any]) -> str:
        """Return the collection of a product, or "" if it is unknown."""
        collection = row.get("Collection")
        named = text(collection.get("Name")) if isinstance(collection, dict) else ""
        named = named or (self._options.collections[0] if len(self._options.collections) == 1 else "")
        return named or _collection(text(row.get("S3Path")))

    def _place(self, row: Mapping[str, Any]) -> str:
        taken = row.get("ContentDate")
        start = taken.get("Start") if isinstance(taken, dict) else None
        places = {"collection": self._named(row) or "unknown", "name": text(row.get("Name")), **days(start)}
        return self._options.template.format_map(places).lstrip("/")

    def _product(self, row: Mapping[str, Any]) -> Iterator[Found]:
        place, key = self._place(row), quote(text(row.get("Id")), safe="-")
        product = f"{self._options.download}Products({key})"
        if self._options.files == "nodes":
            state = OdataState("nodes", folder=place)
            yield DocumentRequest(f"{product}/Nodes", headers=_HEADERS, state=_state(state), max_bytes=MAX_PAGE)
            return
        sums = row.get("Checksum")
        promised: dict[str, str] = {}
        for one in sums if isinstance(sums, list) else [sums]:
            if isinstance(one, dict):
                found = digests((one.get("Algorithm"), one.get("Value")))
                if not found and text(one.get("Value")):
                    yield ReaderWarning(
                        message("checksums by {text} cannot be checked", text=text(one.get("Algorithm"))[:20])
                    )
                promised = {**found, **promised}
        modified = text(row.get("ModificationDate"))
        version = None if promised or moment(modified) is None else f"modified:{modified}"
        length = size(row.get("ContentLength")) or None
        path = place if place.lower().endswith(".zip") else f"{place}.zip"
        yield Stat(path, length, None, version, promised, (f"{product}/$value",))

    def _deleted(self, document: Document, row: Mapping[str, Any]) -> Iterator[Deleted]:
        dated = any(place in self._options.template for place in ("{year}", "{month}", "{day}"))
        if dated and not isinstance(row.get("ContentDate"), dict):
            raise Gap(
                message("{url}: products were deleted, and their observation times are not reported", url=document.url)
            )
        place = self._place(row)
        yield Deleted(place if place.lower().endswith(".zip") else f"{place}.zip")

    def _nodes(self, document: Document, state: OdataState, unread: SkippedEntries) -> Iterator[Found]:
        if state.depth > MAX_DEPTH:
            raise DocumentError(
                message("{url}: folders more than {max_depth} deep: a loop?", url=document.url, max_depth=MAX_DEPTH)
            )
        here = document.asked.url
        for row in read_json(document, _Nodes, limit=MAX_PAGE).result:
            name = text(row.get("Name")) if isinstance(row, dict) else ""
            if not name or "/" in name or not isinstance(row, dict):
                unread.add(message("a node without a valid name"))
                continue
            node = f"{here}({quote(name, safe='')})"
            # the product's own folder is the product, whose name is in the path already
            path = state.folder if state.depth == 0 and state.folder.endswith(name) else below(state.folder, name)
            if size(row.get("ChildrenNumber")):
                inner = OdataState("nodes", folder=path, depth=state.depth + 1)
                yield DocumentRequest(f"{node}/Nodes", headers=_HEADERS, state=_state(inner), max_bytes=MAX_PAGE)
            else:
                yield Stat(path, size(row.get("ContentLength")), urls=(f"{node}/$value",))


def _text(written: str) -> str:
    doubled = written.replace("'", "''")
    return f"'{doubled}'"


def _polygon(box: tuple[float, ...]) -> str:
    """Return a box as WKT; one that crosses the antimeridian is two."""
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [f"(({w:g} {south:g},{e:g} {south:g},{e:g} {north:g},{w:g} {north:g},{w:g} {south:g}))" for w, e in parts]
    return f"POLYGON{rings[0]}" if len(rings) == 1 else f"MULTIPOLYGON({','.join(rings)})"


def _collection(place: str) -> str:
    """Return the collection of a product, as in /eodata/Sentinel-2/...; "" if it is unknown."""
    parts = [part for part in place.split("/") if part]
    return parts[1].upper() if len(parts) > 2 and parts[0] == "eodata" else ""


def _state(state: OdataState) -> str:
    return msgspec.json.encode(state).decode()


READER = ReaderKind(
    open_reader,
    OdataOptions,
    dated=True,
    proof=CompletenessProof(
        end="the closing bracket of the JSON",
        count="`@odata.count`",
        limit="10,000 of one date, where `$skip` ends: incomplete",
    ),
)
