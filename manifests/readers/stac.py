"""The reader for SpatioTemporal Asset Catalogs: the results of a search, or a catalogue of linked files.

Rules:
1. Every item is read again in each pass: items are published before their assets are complete.
2. The path of an asset does not depend on its links; if two assets of an item would share one, their keys are added.
3. Links to documents are followed on the source's own origin only; assets may be at any url of a known transport. A
   catalogue on another server is another source; an item or a page there makes the inventory incomplete.
4. A checksum is a multihash; a bare digest is identified by its length, if its publisher writes them so.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import msgspec

from manifests.messages import message
from manifests.origins import origin_of
from manifests.readers.stac_assets import Assets
from manifests.readers.stac_options import StacOptions
from manifests.readers.stac_plain import PlainPage, PlainPageReader
from manifests.readers.stac_search import MAX_EMPTY, Search, follow_next
from manifests.reading import (
    CompletenessProof,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    chosen,
    dig,
    meets,
    page_url,
    read_json,
    size,
    span,
    text,
)
from manifests.stat import Stat

MAX_DEPTH = 32  # catalogues within catalogues
MAX_PAGE = 256 << 20  # bytes
_SELECTING = (("collections", "collection"), ("ids", "id"))
ACCEPT = {"accept": "application/geo+json, application/json;q=0.9, */*;q=0.1"}


class StacPage(msgspec.Struct):
    """The fields of all kinds of document, all optional: a page of items, an item, a collection, a catalogue."""

    type: object = None
    id: object = None
    features: object = None
    links: object = None
    assets: object = None
    stac_version: object = None
    context: object = None
    numberReturned: object = None  # noqa: N815  STAC's own name
    numberMatched: object = None  # noqa: N815  STAC's own name


class StacState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: how deep the document is, and the pages of its list so far."""

    depth: int = 0
    is_search: bool = False
    pages: PageChain = PageChain()


def open_reader(source: ReaderSource, today: date) -> "StacReader":
    """Return the reader for `source`; `today` is where a relative datetime ends."""
    return StacReader(source, chosen(source, StacOptions), today)


class StacReader:
    """A Reader: one request for each page of items, catalogue or item; one Stat for each asset that is wanted."""

    native = False

    def __init__(self, source: ReaderSource, options: StacOptions, today: date) -> None:
        self._url = source.url
        self._options = options
        self._span = span(options.datetime, today)
        self._assets = Assets(options, pays=bool(getattr(source, "requester_pays", False)))
        self._plain = PlainPageReader(options, self._assets)
        self._origin = origin_of(source.url)

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections, items and assets wanted."""
        options = self._options
        wanted = {
            "collections": options.collections, "ids": options.ids,
            "assets": options.assets, "roles": options.roles, "types": options.types,
        }  # fmt: skip
        return tuple(Selected(key, value) for key, values in wanted.items() for value in dict.fromkeys(values))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the search, or the catalogue."""
        options = self._options
        self._assets.begin()
        self._plain.begin()
        if not options.catalog:
            return [Search(self._url, options, self._span).first(_state(StacState(is_search=True)))]
        return [DocumentRequest(options.catalog, headers=ACCEPT, state=_state(StacState()), max_bytes=MAX_PAGE)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the assets of one page's items, and the documents that it links to."""
        state = msgspec.json.decode(document.asked.state, type=StacState)
        body = document.read(MAX_PAGE)
        if state.is_search and (found := self._plain.read(body)) is not None:
            yield from self._plain_page(document, state, *found)
            yield from self._assets.take_matched()
            return
        page = read_json(_again(document, body), StacPage)
        unread = SkippedEntries(document)
        if isinstance(page.features, list):
            yield from self._features(document, state, page, unread)
        elif page.type == "Feature":
            yield from self._feature(
                document, read_json(_again(document, body), dict[str, Any]), unread, at=document.url, size=len(body)
            )
        elif isinstance(page.links, list) and not state.is_search and (page.stac_version or page.type):
            yield from self._catalog(document, state, page, body, unread)
        else:
            raise DocumentError(message("{url}: neither items nor a catalogue, but other JSON", url=document.url))
        yield from self._assets.take_matched()
        unread.raise_if_any()

    def _features(
        self, document: Document, state: StacState, page: StacPage, unread: SkippedEntries
    ) -> Iterator[Found]:
        features = page.features
        assert isinstance(features, list)
        self._assets.learn(features)
        yield from self._selected({(key, text(dig(item, field))) for item in features for key, field in _SELECTING})
        for feature in features:
            if isinstance(feature, dict):
                yield from self._feature(document, feature, unread)
            else:
                unread.add(message("an item that is not a STAC item"))
        yield from self._next_page(document, state, page, map(_identity, features), len(features), unread)

    def _plain_page(self, document: Document, state: StacState, page: PlainPage, stats: list[Stat]) -> Iterator[Found]:
        """As `_features`, for a page without anything unusual."""
        unread, items = SkippedEntries(document), page.features
        if self.selectors:
            seen = {("collections", item.collection or "") for item in items}
            yield from self._selected(seen | {("ids", item.id) for item in items})
        yield from stats
        keys = (f"{item.collection or ''}/{item.id}" for item in items)
        yield from self._next_page(document, state, page, keys, len(items), unread)
        unread.raise_if_any()

    def _next_page(
        self,
        document: Document,
        state: StacState,
        page: StacPage | PlainPage,
        keys: Iterable[str],
        count: int,
        unread: SkippedEntries,
    ) -> Iterator[Found]:
        """Compare a page of `count` items with what was announced, and request the next one."""
        pages = state.pages.read(document, keys)
        unread.expect(page.numberReturned, count, message("items of this page"))
        matched = size(page.numberMatched)
        if matched is None:
            matched = size(dig(page.context, "matched"))
        following = follow_next(document, page.links, page.context, _state(_with(state, pages)))
        if following is None:
            unread.expect(matched, pages.entries, message("items"))
        elif pages.empty < MAX_EMPTY:
            yield following
        elif matched is None or pages.entries < matched:
            unread.add(message("{pages} pages without an item, and each names a next one", pages=MAX_EMPTY))

    def _feature(
        self, document: Document, item: dict[str, Any], unread: SkippedEntries, *, at: str = "", size: int | None = None
    ) -> Iterator[Found]:
        name = text(item.get("id"))
        if not name:
            unread.add(message("an item without an id"))
            return
        if not self._options.is_search and not self._fits(item):
            return
        if at:
            self._assets.learn([item])
            yield from self._selected({(key, text(dig(item, field))) for key, field in _SELECTING})
        yield from self._assets.of(document, item, unread)
        if self._options.items:
            path = self._assets.path(item, f"{name.rpartition('/')[2]}.json", "")
            if at:
                yield Stat(path, size, urls=(at,))
            else:
                yield DerivedFile(path, msgspec.json.encode(item, order="sorted"))

    def _selected(self, seen: set[tuple[str, str]]) -> Iterator[Selected]:
        """Yield the wanted ones of the collections and ids seen; an item that names no collection may be of any."""
        of_any = ("collections", "") in seen
        for selector in self.selectors:
            if (selector.key, selector.value) in seen or (of_any and selector.key == "collections"):
                yield selector

    def _fits(self, item: dict[str, Any]) -> bool:
        """Return True if a catalogue's item is wanted; the server filtered those of a search."""
        options = self._options
        if options.ids and text(item.get("id")) not in options.ids:
            return False
        collection = text(item.get("collection"))
        if options.collections and collection and collection not in options.collections:
            return False
        return meets(options.bbox, item.get("bbox")) and self._span.meets(item.get("properties"))

    def _catalog(
        self, document: Document, state: StacState, page: StacPage, body: bytes, unread: SkippedEntries
    ) -> Iterator[Found]:
        options = self._options
        if page.type == "Collection":
            if options.collections and text(page.id) not in options.collections:
                return
            if options.collection_assets:
                whole = read_json(_again(document, body), dict[str, Any])
                self._assets.learn([whole])
                yield from self._assets.of(document, whole, unread)
        if state.depth >= MAX_DEPTH:
            raise DocumentError(
                message("{url}: catalogues more than {max_depth} deep: a loop?", url=document.url, max_depth=MAX_DEPTH)
            )
        assert isinstance(page.links, list)
        inner = _state(StacState(depth=state.depth + 1))
        pages = state.pages.read(document, (text(link.get("href")) for link in page.links if _is_below(link)))
        kinds = {text(link.get("rel")) for link in page.links if isinstance(link, dict)}
        for link in page.links:
            if not isinstance(link, dict):
                continue
            kind = text(link.get("rel"))
            # an API's collection has one link to its items, or a link to each; lists of collections page by `next`
            if kind not in {"child", "item", "items", "next"} or (kind == "items" and "item" in kinds):
                continue
            url = page_url(document, link.get("href"))
            if url is None:
                unread.add(message("a link ({kind}) that is not a url", kind=kind))
            elif self._is_ours(url):
                after = _state(_with(state, pages)) if kind == "next" else inner
                yield DocumentRequest(url, headers=ACCEPT, state=after, max_bytes=MAX_PAGE)
            elif kind == "child":
                yield ReaderWarning(message("catalogues on another server are not read: make a mirror of each"))
            else:
                unread.add(message("a link ({kind}) to another server, which is not followed", kind=kind))

    def _is_ours(self, url: str) -> bool:
        try:
            return origin_of(url) == self._origin
        except ValueError:
            return False


def _with(state: StacState, pages: PageChain) -> StacState:
    return msgspec.structs.replace(state, pages=pages)


def _identity(feature: object) -> str:
    """Return the key of an item among those of a page."""
    return f"{text(dig(feature, 'collection'))}/{text(dig(feature, 'id'))}"


def _is_below(link: object) -> bool:
    return text(dig(link, "rel")) in {"child", "item"}


def _again(document: Document, body: bytes) -> Document:
    """Return content that was read already as a document."""
    return Document(document.asked, document.url, document.headers, io.BytesIO(body))


def _state(state: StacState) -> str:
    return msgspec.json.encode(state).decode()


READER = ReaderKind(
    open_reader,
    StacOptions,
    also=frozenset({"s3"}),
    dated=True,
    proof=CompletenessProof(
        end="the closing bracket of the JSON",
        count="`numberReturned` of a page; `numberMatched`, or `matched` of the older context extension",
    ),
)
