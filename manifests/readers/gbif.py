"""The reader for GBIF and for the IPTs behind it: the archives of datasets, and downloads that were prepared before.

Rules:
1. The registry gives the url of an archive, but no version, so the archive's server is asked whether it changed.
2. An IPT lists its archives' versions in its inventory; its feed (`rss.do`) has only the newest few.
3. The registry returns at most the first 100,000 rows of a list; a longer list is an error that names a remedy.
4. A download has a size and no digest; while it is being prepared, the survey is incomplete.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec
from pydantic import BaseModel, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, like
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
    Selected,
    SkippedEntries,
    XmlElement,
    absolute,
    below,
    chosen,
    digests,
    elements,
    folders,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

LIMIT = 1000  # rows to ask for at once: the most that the registry returns
REACH = 100_000  # rows of a list that the registry returns
FEED = 10  # datasets from which on the feed of an IPT may leave out older ones

Key = Annotated[
    str,
    like(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "is not a UUID", "write the one in its address"),
]
Filter = Annotated[str, like("[A-Za-z]{1,40}", "is not a filter of the registry", "write it as in type or country")]
Download = Annotated[str, like(r"\d{7}-\d{15,20}", "is not a download key", "write it as in 0040513-240906103802322")]
Kind = Literal["DWC_ARCHIVE", "COLDP", "CAMTRAP_DP", "EML"]


class GbifOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    datasets: tuple[Key, ...] = ()
    """Datasets of the registry, by key."""
    publishers: tuple[Key, ...] = ()
    """Organisations, by key, of which all datasets are mirrored."""
    search: dict[Filter, str] = {}
    """Filters of the registry's list of datasets, as in {type: CHECKLIST}; all matching datasets are mirrored."""
    endpoints: Annotated[tuple[Kind, ...], AtLeastOne] = ("DWC_ARCHIVE",)
    """The endpoints to mirror of each dataset: DWC_ARCHIVE, COLDP, CAMTRAP_DP, EML."""
    downloads: tuple[Download, ...] = ()
    """Occurrence downloads, by key, as in 0040513-240906103802322."""
    ipt: Literal["inventory", "feed"] | None = None
    """The url is an IPT: read its inventory of all datasets, or its feed of the newest."""

    @model_validator(mode="after")
    def _validate(self) -> "GbifOptions":
        asks = bool(self.datasets or self.publishers or self.search or self.downloads)
        if not asks and self.ipt is None:
            raise InvalidValue(
                message("selects nothing to mirror"), message("name datasets, publishers, a search, downloads, or ipt")
            )
        if asks and self.ipt is not None:
            raise InvalidValue(
                message("combines ipt with keys of the registry"), message("delete ipt, or all the other keys")
            )
        return self


class _GbifState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of document, a list and its pages so far, or a key and its folder."""

    kind: str
    key: str = ""
    folder: str = ""
    pages: PageChain = PageChain()


class _Endpoint(msgspec.Struct):
    type: object = None
    url: object = None


class _GbifDataset(msgspec.Struct):
    key: object = None
    deleted: object = None
    endpoints: list[_Endpoint] | None = None


class _GbifPage(msgspec.Struct, rename="camel"):
    end_of_records: object = None
    count: object = None
    results: list[_GbifDataset] | None = None


class _Download(msgspec.Struct, rename="camel"):
    status: object = None
    download_link: object = None
    size: object = None


class _IptDataset(msgspec.Struct, rename="camel"):
    gbif_key: object = None
    eml: object = None
    dwca: object = None
    version: object = None
    last_published: object = None


class _IptInventory(msgspec.Struct, rename="camel"):
    registered_resources: list[_IptDataset] | None = None


def open_reader(source: ReaderSource) -> "GbifReader":
    """Return the reader for `source`."""
    return GbifReader(source.url, chosen(source, GbifOptions))


class GbifReader:
    """A Reader: one request for each dataset, download or page of a list; one Stat for each archive."""

    native = False

    def __init__(self, url: str, options: GbifOptions) -> None:
        self._url = url
        self._options = options
        alone = not options.publishers and not options.search and not options.downloads
        self._folders = (
            folders(options.datasets) if options.datasets and alone else {key: key for key in options.datasets}
        )

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The publishers wanted; a dataset or download that does not exist is an error."""
        return tuple(Selected("publishers", key) for key in dict.fromkeys(self._options.publishers))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the datasets, the first page of each list, the downloads; or the IPT's own list."""
        options = self._options
        if options.ipt == "inventory":
            yield _follow(f"{self._url}inventory/dataset", _GbifState("inventory"))
        elif options.ipt == "feed":
            yield _follow(f"{self._url}rss.do", _GbifState("feed"))
        for key, folder in self._folders.items():
            yield _follow(f"{self._url}dataset/{key}", _GbifState("dataset", key, folder))
        for key in dict.fromkeys(options.publishers):
            yield self._page(f"organization/{key}/publishedDataset?", PageChain())
        if options.search:
            yield self._page(f"dataset?{urlencode(options.search)}&", PageChain())
        for key in dict.fromkeys(options.downloads):
            yield _follow(f"{self._url}occurrence/download/{key}", _GbifState("download", key))

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the archives that one document names."""
        note = msgspec.json.decode(document.asked.state, type=_GbifState)
        if note.kind == "feed":
            yield from self._feed(document)
        elif note.kind == "inventory":
            yield from self._inventory(document)
        elif note.kind == "download":
            yield self._download(document, note.key)
        elif note.kind == "dataset":
            unread, dataset = SkippedEntries(document), read_json(document, _GbifDataset)
            yield from self._dataset(document, dataset, note.folder, unread)
            self._has_any(dataset, unread)
            unread.raise_if_any()
        else:
            yield from self._datasets(document, note)

    def _datasets(self, document: Document, note: _GbifState) -> Iterator[Found]:
        page = read_json(document, _GbifPage)
        if page.results is None:
            raise DocumentError(message("{url}: not a list of datasets", url=document.url))
        count = size(page.count)
        if count is not None and count > REACH:
            raise DocumentError(
                message(
                    "{url}: has {count} datasets, of which the registry returns {reach}: narrow the "
                    "search, or make several mirrors of it",
                    url=document.url,
                    count=count,
                    reach=REACH,
                )
            )
        unread = SkippedEntries(document)
        if page.results and note.key.startswith("organization/"):
            yield Selected("publishers", note.key.split("/")[1])
        for dataset in page.results:
            key = text(dataset.key)
            if key:
                yield from self._dataset(document, dataset, key, unread)
                if dataset.deleted is None and self._kinds(dataset).isdisjoint(self._options.endpoints):
                    wanted = ", ".join(self._options.endpoints)
                    yield ReaderWarning(
                        message("datasets without an endpoint of {wanted} have no file to copy", wanted=wanted)
                    )
            else:
                unread.add(message("a dataset without a key"))
        pages = note.pages.read(document, (text(dataset.key) for dataset in page.results))
        if page.end_of_records is True:
            unread.expect(count, pages.entries, message("datasets"))
        elif not page.results:
            unread.add(message("a page without datasets that is not the last"))
        elif pages.entries + LIMIT > REACH:
            unread.add(
                message("has more than the {reach} rows that the registry returns: narrow the search", reach=REACH)
            )
        else:
            yield self._page(note.key, pages)
        unread.raise_if_any()

    def _dataset(
        self, document: Document, dataset: _GbifDataset, folder: str, unread: SkippedEntries
    ) -> Iterator[Stat]:
        if dataset.deleted is not None:  # gone from the registry, and so from the inventory
            return
        found = {text(each.type): each.url for each in reversed(dataset.endpoints or [])}
        for kind in dict.fromkeys(self._options.endpoints):
            if kind not in found:
                continue
            url = absolute(document, found[kind])
            if url is None:
                unread.add(
                    message(
                        "dataset {text} has an endpoint {kind} without a url", text=text(dataset.key)[:60], kind=kind
                    )
                )
            else:
                yield Stat(below(folder, _file(kind)), urls=(url,))

    def _kinds(self, dataset: _GbifDataset) -> set[str]:
        return {text(each.type) for each in dataset.endpoints or ()}

    def _has_any(self, dataset: _GbifDataset, unread: SkippedEntries) -> None:
        """Report a dataset that the manifest names and that has none of the wanted endpoints."""
        kinds = self._kinds(dataset)
        if dataset.deleted is None and kinds.isdisjoint(self._options.endpoints):
            wanted, there = ", ".join(self._options.endpoints), ", ".join(sorted(kinds)) or "none"
            unread.add(
                message(
                    "has no endpoint of {wanted}; it has {there}: set endpoints to those that are wanted",
                    wanted=wanted,
                    there=there,
                )[:1000]
            )

    def _download(self, document: Document, key: str) -> Stat:
        found = read_json(document, _Download)
        status = text(found.status)
        if status in ("PREPARING", "RUNNING", "SUSPENDED"):
            raise DocumentError(
                message(
                    "{url}: download {key} is still being prepared ({status}): a later pass will download it",
                    url=document.url,
                    key=key,
                    status=status,
                )
            )
        if status != "SUCCEEDED":
            raise DocumentError(
                message(
                    "{url}: download {key} is not available ({status}): delete it from the manifest, or "
                    "ask GBIF for a new one",
                    url=document.url,
                    key=key,
                    status=status or message("no status"),
                )
            )
        url = absolute(document, found.download_link) or f"{self._url}occurrence/download/request/{key}.zip"
        return Stat(f"{key}.zip", size(found.size), version=f"download:{key}", digests=digests(), urls=(url,))

    def _inventory(self, document: Document) -> Iterator[Found]:
        published = read_json(document, _IptInventory).registered_resources
        if published is None:
            raise DocumentError(message("{url}: not the inventory of an IPT", url=document.url))
        unread = SkippedEntries(document)
        for each in published:
            version = f"{text(each.version)}/{text(each.last_published)}".strip("/")
            yield from self._of_ipt(document, each.dwca, each.eml, text(each.gbif_key), version, unread)
        unread.raise_if_any()

    def _feed(self, document: Document) -> Iterator[Found]:
        unread, number = SkippedEntries(document), 0
        for part in elements(document, {"item"}, root="rss"):
            number += 1
            guid = part.text_of("guid")
            archive, metadata = _link(part, "dwca", "archive"), _link(part, "eml", "metadata")
            yield from self._of_ipt(document, archive, metadata, guid.partition("/")[0], guid, unread)
        if number >= FEED:
            unread.add(
                message(
                    "a feed of {number} datasets may leave out older ones: read the inventory (ipt: inventory)",
                    number=number,
                )
            )
        unread.raise_if_any()

    def _of_ipt(
        self, document: Document, archive: object, metadata: object, key: str, version: str, unread: SkippedEntries
    ) -> Iterator[Found]:
        if not text(archive):
            yield ReaderWarning(message("datasets that have metadata only have no archive to copy"))
        for link, name in ((archive, "dwca.zip"), (metadata, "eml.xml")):
            if (name == "eml.xml" and "EML" not in self._options.endpoints) or not text(link):
                continue  # a dataset of metadata only has no archive
            url = absolute(document, link)
            folder = _short_name(url) or key
            if url is None or not folder:
                unread.add(
                    message("a dataset whose {name} cannot be found: {text!r}", name=name, text=text(link)[:200])
                )
            else:
                yield Stat(below(folder, name), version=f"ipt:{version}" if version else None, urls=(url,))

    def _page(self, listed: str, pages: PageChain) -> DocumentRequest:
        url = f"{self._url}{listed}limit={LIMIT}&offset={pages.entries}"
        return _follow(url, _GbifState("list", listed, pages=pages))


def _file(kind: Kind) -> str:
    return "eml.xml" if kind == "EML" else "dwca.zip" if kind == "DWC_ARCHIVE" else f"{kind.lower()}.zip"


def _link(part: XmlElement, *names: str) -> str:
    return next((said for name in names if (said := part.text_of(name))), "")


def _short_name(url: str | None) -> str:
    """Return the name by which an IPT knows a dataset: the `r` of `archive.do?r=name`."""
    named = parse_qs(urlsplit(url or "").query).get("r", [""])[0]
    return quote(named, safe="") if "/" in named else named


def _follow(url: str, note: _GbifState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


READER = ReaderKind(
    open_reader,
    GbifOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON or the end tag of the XML",
        count="`count` and `endOfRecords`",
        limit="100,000 rows of a list, 10 datasets of a feed: incomplete",
    ),
)
