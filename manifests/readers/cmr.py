"""The reader for NASA's Common Metadata Repository: the granules of collections, and the files of each granule.

Rules:
1. A search continues with the header `CMR-Search-After` until a response has none; a partial response is an error.
2. A file is identified by the last part of its url; its size and digest are those of the entry of the same name, or of
   the only entry of a granule with one file. Rounded sizes are ignored.
3. After a complete survey only revised granules are requested. Deletions are reported by names that are not paths: if
   there are any, everything is read again.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.digest import canonical
from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Flag, like
from manifests.reading import (
    Box,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Gap,
    PageChain,
    Parameters,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    Span,
    When,
    absolute,
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
MAX_GRANULES = 2_000  # in one answer
OLDEST = 360  # days for which the repository reports deletions
PLACES = frozenset({"collection", "granule", "file", "year", "month", "day"})
_HEADERS = {"accept": "application/vnd.nasa.cmr.umm_results+json"}
_DATA = frozenset({"GET DATA", "GET DATA VIA DIRECT ACCESS"})
_METADATA = frozenset({"EXTENDED METADATA"})
_OURS = frozenset({"page_size", "page_num", "offset", "scroll", "revision_date", "sort_key", "collection_concept_id"})

ConceptId = Annotated[
    str, like(r"C[0-9]{1,20}-[A-Z0-9_]{1,40}", "is not a collection", "write its concept id, as in C1996881146-POCLOUD")
]


class CmrOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    collections: tuple[ConceptId, ...] = ()
    """The collections wanted, by their concept ids."""
    short_name: str = ""
    """The short name of the collection wanted, instead of collections."""
    version: str = ""
    """The version of the collection that short_name names."""
    provider: str = ""
    """The provider of the collection that short_name names."""
    datetime: When = ""
    """When granules were taken: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""
    bbox: Box = ()
    """The box that granules must touch: [west, south, east, north] in degrees."""
    search: Parameters = ()
    """Further parameters of the search, as in {day_night_flag: day}."""
    page: Annotated[Count, Field(ge=1, le=MAX_GRANULES)] = MAX_GRANULES
    """Granules per request."""
    prefer: tuple[Literal["https", "http", "s3"], ...] = ("https", "http", "s3")
    """The kinds of url to download from, the preferred one first; others are not used."""
    metadata: Flag = False
    """Mirror a granule's metadata files too."""
    path: Annotated[str, template(PLACES, "file")] = ""
    """The path of a file in the copy: {collection}, {granule}, {file}, {year}, {month}, {day}."""

    @property
    def template(self) -> str:
        """Return the path of a file, with the collection if there are several."""
        return self.path or ("{collection}/" if len(self.collections) > 1 else "") + "{year}/{month}/{day}/{file}"

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if bool(self.collections) == bool(self.short_name):
            raise InvalidValue(
                message("names both collections and a short name, or neither"),
                message("write collections, or short_name"),
            )
        if (self.version or self.provider) and not self.short_name:
            raise InvalidValue(
                message("has a version or a provider, but no short_name"),
                message("write short_name too, or delete them"),
            )
        taken = {name.removesuffix("[]") for name, _ in self.search} & _OURS
        if taken:
            raise InvalidValue(
                message("searches by {taken}, which other keys set", taken=sorted(taken)),
                message("delete it from search"),
            )
        return self


class CmrState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: which question it belongs to, whether it is the first page, and the pages so far."""

    kind: Literal["granules", "deleted"] = "granules"
    is_first: bool = False
    pages: PageChain = PageChain()


class _Granule(msgspec.Struct):
    umm: object = None
    meta: object = None


class _CmrPage(msgspec.Struct):
    items: list[object]
    hits: object = None


def open_reader(source: ReaderSource, today: date) -> "CmrReader":
    """Return the reader for `source`; `today` is where a relative datetime ends."""
    return CmrReader(source.url, chosen(source, CmrOptions), today)


class CmrReader:
    """A Reader: one request for each page of granules, one Stat for each file of each granule."""

    native = False

    def __init__(self, url: str, options: CmrOptions, today: date) -> None:
        self._url = url
        self._options = options
        self._span = span(options.datetime, today)
        self._oldest = (today - timedelta(days=OLDEST)).isoformat()

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections wanted."""
        return tuple(Selected("collections", one) for one in dict.fromkeys(self._options.collections))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of all granules."""
        return [self._granules()]

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request revisions and deletions since `mark`; raises Gap if its deletions are no longer reported."""
        if moment(mark) is None or mark < self._oldest:
            raise Gap(message("{url}: deletions before {oldest} are not reported", url=self._url, oldest=self._oldest))
        follows = [self._granules(since=mark)]
        for collection in self._options.collections or ("",):
            words = {"revision_date": mark, "page_size": MAX_GRANULES}
            if collection:
                words["parent_collection_id"] = collection
            elif self._options.provider:
                words["provider"] = self._options.provider
            url = f"{self._url}deleted-granules.json?{urlencode(words)}"
            follows.append(DocumentRequest(url, state=_state(CmrState("deleted")), max_bytes=MAX_PAGE))
        return follows

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of one page's granules, and the page after it."""
        state = msgspec.json.decode(document.asked.state, type=CmrState)
        if state.kind == "deleted":
            if read_json(document, list[object], limit=MAX_PAGE):
                raise Gap(message("{url}: granules were deleted: everything is read again", url=document.url))
            return
        if document.headers.get("cmr-timed-out", "").lower() == "true":
            raise DocumentError(
                message("{url}: the repository broke off: only part of the answer arrived", url=document.url)
            )
        page = read_json(document, _CmrPage, limit=MAX_PAGE)
        if state.is_first and (mark := read_until(document)) is not None:
            yield mark
        unread = SkippedEntries(document)
        named = {text(dig(row, "meta", "collection-concept-id")) for row in page.items}
        yield from (one for one in self.selectors if one.value in named or "" in named)
        for row in page.items:
            yield from self._granule(document, row, unread)
        pages = state.pages.read(document, map(_identity, page.items))
        after = document.headers.get("cmr-search-after", "")
        if after and page.items:
            headers = {**document.asked.headers, "cmr-search-after": after}
            following = msgspec.structs.replace(document.asked, headers=headers, state=_state(CmrState(pages=pages)))
            if following.headers == document.asked.headers:
                raise DocumentError(message("{url}: names itself as its next page", url=document.url))
            yield following
        else:
            hits = document.headers.get("cmr-hits") if page.hits is None else page.hits
            unread.expect(hits, pages.entries, message("granules"))
        unread.raise_if_any()

    def _granules(self, since: str = "") -> DocumentRequest:
        options = self._options
        words: list[tuple[str, str]] = [("page_size", str(options.page))]
        words += [("collection_concept_id[]", one) for one in options.collections]
        words += [(name, value) for name in ("short_name", "version", "provider") if (value := getattr(options, name))]
        if self._span.written:
            words.append(("temporal[]", _temporal(self._span)))
        if options.bbox:
            half = len(options.bbox) // 2
            box = (*options.bbox[:2], *options.bbox[half : half + 2])
            words.append(("bounding_box[]", ",".join(f"{one:g}" for one in box)))
        words += options.search
        if since:
            words.append(("revision_date[]", f"{since},"))
        url = f"{self._url}granules.umm_json?{urlencode(words, safe=',:')}"
        return DocumentRequest(url, headers=_HEADERS, state=_state(CmrState(is_first=True)), max_bytes=MAX_PAGE)

    def _granule(self, document: Document, row: object, unread: SkippedEntries) -> Iterator[Found]:
        umm = row.get("umm") if isinstance(row, dict) else None
        meta = row.get("meta") if isinstance(row, dict) else None
        if not isinstance(umm, dict):
            unread.add(message("a granule that is not an object"))
            return
        name = text(umm.get("GranuleUR")) or (text(meta.get("native-id")) if isinstance(meta, dict) else "")
        files, foreign = self._files(document, umm)
        if not files:
            if foreign:
                wanted = ", ".join(self._options.prefer)
                unread.add(
                    message(
                        "granule {name}: has no url of {wanted}: name its kind of url in prefer",
                        name=name,
                        wanted=wanted,
                    )
                )
            else:
                yield ReaderWarning(message("granules without a file were skipped"))
            return
        entries = list(_entries(umm.get("DataGranule")))
        data = [file for file, (is_data, _) in files.items() if is_data]
        places = self._places(umm, meta, name)
        revised = text(meta.get("revision-date")) if isinstance(meta, dict) else ""
        for file, (_, urls) in files.items():
            entry = _entry(entries, file, data)
            sums = entry.get("Checksum")
            promised = digests((sums.get("Algorithm"), sums.get("Value"))) if isinstance(sums, dict) else {}
            if isinstance(sums, dict) and not promised and text(sums.get("Value")):
                told = text(sums.get("Algorithm"))[:20]
                known = canonical(told) is not None
                yield ReaderWarning(
                    message("invalid checksums of kind {kind} were ignored", kind=told)
                    if known
                    else message("checksums by {kind} cannot be checked", kind=told)
                )
            version = None if promised or moment(revised) is None else f"revised:{revised}"
            path = self._options.template.format_map({**places, "file": file}).lstrip("/")
            yield Stat(path, size(entry.get("SizeInBytes")), None, version, promised, urls)

    def _files(
        self, document: Document, umm: Mapping[str, Any]
    ) -> tuple[dict[str, tuple[bool, tuple[str, ...]]], bool]:
        """Return each file's urls by its name, the preferred first, data or not; and True if others were left out."""
        found: dict[str, dict[str, list[str]]] = {}
        data: set[str] = set()
        foreign = False
        listed = umm.get("RelatedUrls")
        for one in listed if isinstance(listed, list) else ():
            kind = text(one.get("Type")).upper() if isinstance(one, dict) else ""
            if kind not in _DATA and not (self._options.metadata and kind in _METADATA):
                continue
            url = absolute(document, one.get("URL"))
            scheme = "" if url is None else url.partition("://")[0].lower()
            file = "" if url is None else unquote(urlsplit(url).path).rpartition("/")[2]
            if url is None or scheme not in self._options.prefer or not file:
                foreign = foreign or kind in _DATA
                continue
            urls = found.setdefault(file, {}).setdefault(scheme, [])
            if url not in urls:
                urls.append(url)
            if kind in _DATA:
                data.add(file)
        return {
            file: (file in data, tuple(url for scheme in self._options.prefer for url in by_scheme.get(scheme, ())))
            for file, by_scheme in found.items()
        }, foreign

    def _places(self, umm: Mapping[str, Any], meta: object, name: str) -> dict[str, str]:
        reference = umm.get("CollectionReference")
        collection = ""
        if isinstance(reference, dict):
            parts = (text(reference.get("ShortName")), text(reference.get("Version")))
            collection = ".".join(part for part in parts if part)
        if not collection and isinstance(meta, dict):
            collection = text(meta.get("collection-concept-id"))
        return {"collection": collection or "unknown", "granule": name, **days(_taken(umm.get("TemporalExtent")))}


def _identity(row: object) -> str:
    """Return the key of a granule among those of a page."""
    return f"{text(dig(row, 'meta', 'concept-id'))} {text(dig(row, 'umm', 'GranuleUR'))}"


def _temporal(wanted: Span) -> str:
    begins, slash, ends = wanted.written.partition("/")
    return f"{begins},{ends if slash else begins}".replace("..", "")


def _taken(extent: object) -> str:
    """Return when a granule was taken."""
    if not isinstance(extent, dict):
        return ""
    between = extent.get("RangeDateTime")
    if isinstance(between, dict):
        return text(between.get("BeginningDateTime"))
    return text(extent.get("SingleDateTime"))


def _entries(granule: object) -> Iterator[Mapping[str, Any]]:
    """Yield the description of each file, including those within packages."""
    listed = granule.get("ArchiveAndDistributionInformation") if isinstance(granule, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            yield entry
            inner = entry.get("Files")
            yield from (one for one in inner if isinstance(one, dict)) if isinstance(inner, list) else ()


def _entry(entries: list[Mapping[str, Any]], file: str, data: list[str]) -> Mapping[str, Any]:
    """Return the description of a file: the one of its name, or the only one of a granule with one file."""
    named = [entry for entry in entries if text(entry.get("Name")) == file]
    if len(named) == 1:
        return named[0]
    nameless = [entry for entry in entries if text(entry.get("Name")) in {"", "Not provided"}]
    return nameless[0] if len(entries) == len(nameless) == len(data) == 1 and data == [file] else {}


def _state(state: CmrState) -> str:
    return msgspec.json.encode(state).decode()


READER = ReaderKind(
    open_reader,
    CmrOptions,
    also=frozenset({"s3"}),
    dated=True,
    proof=CompletenessProof(end="the closing bracket of the JSON", count="`hits`"),
)
