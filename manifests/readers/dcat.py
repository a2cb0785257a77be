"""The reader for catalogues of open data portals: `data.json` (DCAT-US 1.1) and DCAT in JSON-LD, page by page.

Sources: DCAT-US Schema 1.1 (Project Open Data), W3C DCAT 3 sections 6.6 to 6.8, Hydra Core (paged collections).

Rules:
1. A distribution with a `downloadURL` is a file; one with an `accessURL` alone is a page or a service, and is left out.
2. Only checksums (`spdx:checksum`) count: DCAT lets a `byteSize` be an estimate, and dates are those of the text. So
   the file's own server is asked whether it changed.
3. A dataset has a folder of its identifier's name; downloads of one dataset that share a name have a folder each.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ListPath,
    Node,
    NodeGraph,
    PageChain,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    absolute,
    below,
    chosen,
    dataset_folder,
    digests,
    download_names,
    local_name,
    page_url,
    read_json,
    size,
    types,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

Wanted = Annotated[str, Field(min_length=1, max_length=500)]
_PAGES = {"PartialCollectionView", "PagedCollection"}


class DcatOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    catalogue: ListPath = "data.json"
    """The catalogue, by its path below the url."""
    datasets: tuple[Wanted, ...] = ()
    """The datasets wanted, by identifier; `*` stands for any text. Empty means all."""
    formats: tuple[Wanted, ...] = ()
    """The formats wanted, by media type or format, as in text/csv or CSV. Empty means all."""


class _DcatState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the pages of the catalogue so far."""

    pages: PageChain = PageChain()


def open_reader(source: ReaderSource) -> "DcatReader":
    """Return the reader for `source`."""
    return DcatReader(chosen(source, DcatOptions))


class DcatReader:
    """A Reader: one request for each page of the catalogue; one Stat for each download."""

    native = False

    def __init__(self, options: DcatOptions) -> None:
        self._options = options
        self._formats = {each.strip().lower(): each for each in options.formats}

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The datasets and formats wanted."""
        return (
            *(Selected("datasets", each) for each in dict.fromkeys(self._options.datasets)),
            *(Selected("formats", each) for each in dict.fromkeys(self._formats.values())),
        )

    def start(self) -> Iterable[DocumentRequest]:
        """Request the catalogue."""
        return [DocumentRequest(url=self._options.catalogue, state=_written(_DcatState()))]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the downloads of the datasets on this page, and request the next one."""
        state = msgspec.json.decode(document.asked.state, type=_DcatState)
        parsed = read_json(document, object)
        data = NodeGraph(parsed)
        listed = _datasets(data)
        if not listed and not any(types(node) & {"Catalog", *_PAGES} for node in data.nodes):
            raise DocumentError(message("{url}: has no dataset: is it a catalogue?", url=document.url))
        skipped = SkippedEntries(document)
        keys = []
        for dataset in listed:
            key = data.written(dataset, "identifier") or _id(dataset) or data.written(dataset, "title")
            keys.append(key)
            if not dataset_folder(key):
                skipped.add(message("a dataset without an identifier"))
            else:
                yield from self._dataset(document, data, dataset, key, skipped)
        pages = state.pages.read(document, keys)
        following = page_url(document, _next(data))
        if following is not None:
            yield DocumentRequest(url=following, state=_written(_DcatState(pages)))
        else:
            skipped.expect(_total(data), pages.entries, message("datasets"))
        skipped.raise_if_any()

    def _dataset(
        self, document: Document, data: NodeGraph, dataset: Node, key: str, skipped: SkippedEntries
    ) -> Iterator[Found]:
        wanted = [glob for glob in self._options.datasets if fnmatchcase(key, glob)]
        if self._options.datasets and not wanted:
            return
        yield from (Selected("datasets", glob) for glob in wanted)
        links: list[tuple[str, str, Node]] = []
        for found in data.linked(dataset, "distribution"):
            kind = data.written(found, "mediaType")
            told = {local_name(kind).lower(), kind.lower(), local_name(data.written(found, "format")).lower()}
            told |= {kind.lower().partition("media-types/")[2]} - {""}
            matched = told & self._formats.keys()
            if self._formats and not matched:
                continue
            yield from (Selected("formats", self._formats[each]) for each in matched)
            href = data.written(found, "downloadURL")
            if not href:
                yield ReaderWarning(
                    message("distributions without a downloadURL are pages or services, and are left out")
                )
                continue
            url = absolute(document, href)
            if url is None:
                skipped.add(message("dataset {key!r} has a download with an invalid url", key=key[:100]))
            else:
                links.append((url, kind.lower().partition("media-types/")[2] or kind, found))
        once = {url: (kind, found) for url, kind, found in links}
        names = download_names([(url, kind) for url, (kind, _) in once.items()])
        folder = dataset_folder(key)
        for name, (url, (_, found)) in zip(names, once.items(), strict=True):
            yield Stat(below(folder, name), digests=_promised(data, found), urls=(url,))


def _datasets(data: NodeGraph) -> list[Node]:
    """Return the datasets of a page, each once: by type, or by standing in `dataset` of a catalogue."""
    listed: dict[int, Node] = {id(node): node for node in data.of_type("Dataset")}
    for node in data.nodes:
        if "Dataset" not in types(node):
            listed |= {id(one): one for one in data.linked(node, "dataset") if set(one) != {"@id"}}
    return list(listed.values())


def _promised(data: NodeGraph, found: Node) -> dict[str, str]:
    pairs = [
        (
            local_name(data.written(one, "algorithm")).removeprefix("checksumAlgorithm_"),
            data.written(one, "checksumValue"),
        )
        for one in data.linked(found, "checksum")
    ]
    return digests(*pairs)


def _id(node: Node) -> str:
    found = node.get("@id")
    return found if isinstance(found, str) and not found.startswith("_:") else ""


def _next(data: NodeGraph) -> str:
    return next((link for node in data.nodes if (link := data.written(node, "next", "nextPage"))), "")


def _total(data: NodeGraph) -> int | None:
    return next((total for node in data.nodes if (total := size(data.written(node, "totalItems"))) is not None), None)


def _written(state: _DcatState) -> str:
    return msgspec.json.encode(state).decode()


READER = ReaderKind(
    open_reader,
    DcatOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON; the last page names no next one", count="`hydra:totalItems`"
    ),
)
