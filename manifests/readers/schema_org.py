"""The reader for landing pages that describe a dataset in schema.org's words, as search engines read them.

Sources: schema.org Dataset and DataDownload; JSON-LD 1.1 section 7 (in HTML); sitemaps.org 0.9.

Rules:
1. A page's datasets are those of its `<script type="application/ld+json">`, or the page is JSON-LD itself. A dataset
   that is a part of another (`hasPart`) is read if it stands on the same page.
2. Each `distribution` with a `contentUrl` is a file; one with a `url` alone is another page, and is left out.
3. `sha256` is a promise; `contentSize` is text for people, and counts only as a whole number of bytes.
4. One page's files lie at the top of the copy; of several pages, each dataset has a folder of its identifier's name.
"""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Node,
    NodeGraph,
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
    elements,
    size,
    text_encoding,
    unpacked,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_PAGE = 64 << 20  # bytes
MAX_DEPTH = 2  # an index of sitemaps names sitemaps, and nothing deeper (sitemaps.org)

PageUrl = Annotated[str, Field(min_length=1, max_length=2_000)]

_SCRIPT = re.compile(
    rb"<script\b[^>]{0,500}?\btype\s*=\s*[\"']?application/ld\+json[\"']?[^>]{0,500}>(.*?)</script\s*>",
    re.IGNORECASE | re.DOTALL,
)
_END = re.compile(rb"</html\s*>", re.IGNORECASE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:+-]{1,40})", re.IGNORECASE)
_BYTES = re.compile(r"(\d{1,18})\s*(?:B|bytes)?", re.IGNORECASE)


class SchemaOrgOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    pages: tuple[PageUrl, ...] = ()
    """The landing pages, by their paths below the url, or as whole urls."""
    sitemap: Annotated[str, Field(max_length=2_000)] = ""
    """A sitemap, by its path below the url, whose pages are read."""
    match: tuple[PageUrl, ...] = ()
    """Of the sitemap, only pages whose url matches one of these; `*` stands for any text."""
    formats: tuple[PageUrl, ...] = ()
    """The media types wanted (`encodingFormat`), as in text/csv. Empty means all."""

    @model_validator(mode="after")
    def _validate(self) -> "SchemaOrgOptions":
        if bool(self.pages) == bool(self.sitemap):
            raise InvalidValue(
                message("names both pages and a sitemap, or neither"), message("name pages, or a sitemap")
            )
        if self.match and not self.sitemap:
            raise InvalidValue(message("selects pages of a sitemap, and names none"), message("name a sitemap"))
        return self


class _PageState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: a landing page, or a sitemap and how deep it lies."""

    kind: Literal["page", "sitemap"] = "page"
    depth: int = 0


def open_reader(source: ReaderSource) -> "SchemaOrgReader":
    """Return the reader for `source`."""
    return SchemaOrgReader(chosen(source, SchemaOrgOptions))


class SchemaOrgReader:
    """A Reader: one request for each landing page, and each sitemap; one Stat for each download."""

    native = False

    def __init__(self, options: SchemaOrgOptions) -> None:
        self._options = options
        self._formats = {each.strip().lower(): each for each in options.formats}
        self._pages = tuple(dict.fromkeys(options.pages))

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The globs of the sitemap, and the formats wanted."""
        return (
            *(Selected("match", each) for each in dict.fromkeys(self._options.match)),
            *(Selected("formats", each) for each in dict.fromkeys(self._formats.values())),
        )

    def start(self) -> Iterable[DocumentRequest]:
        """Request the pages, or the sitemap."""
        if self._options.sitemap:
            return [DocumentRequest(url=self._options.sitemap, state=_written(_PageState("sitemap")))]
        return [DocumentRequest(url=page, state=_written(_PageState())) for page in self._pages]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the downloads of a landing page, or request those of a sitemap."""
        state = msgspec.json.decode(document.asked.state, type=_PageState)
        if state.kind == "sitemap":
            yield from self._sitemap(document, state.depth)
            return
        data, skipped = _linked(document), SkippedEntries(document)
        datasets = list(data.of_type("Dataset"))
        if not datasets:
            skipped.add(message("describes no dataset in JSON-LD of schema.org"))
        for dataset in datasets:
            yield from self._dataset(document, data, dataset, skipped)
        skipped.raise_if_any()

    def _dataset(self, document: Document, data: NodeGraph, dataset: Node, skipped: SkippedEntries) -> Iterator[Found]:
        links: dict[str, tuple[str, Node]] = {}
        for found in data.linked(dataset, "distribution"):
            kind = data.written(found, "encodingFormat", "fileFormat").partition(";")[0].strip().lower()
            if self._formats:
                if kind not in self._formats:
                    continue
                yield Selected("formats", self._formats[kind])
            href = data.written(found, "contentUrl")
            if not href:
                yield ReaderWarning(message("distributions without a contentUrl are pages, and are left out"))
                continue
            url = absolute(document, href)
            if url is None:
                skipped.add(message("a download has an invalid url"))
            else:
                links.setdefault(url, (kind, found))
        folder = self._folder(document, data, dataset)
        names = download_names([(url, kind) for url, (kind, _) in links.items()])
        for name, (url, (_, found)) in zip(names, links.items(), strict=True):
            told = _BYTES.fullmatch(data.written(found, "contentSize"))
            yield Stat(
                below(folder, name),
                size(told[1]) if told is not None else None,
                digests=digests(("sha256", data.written(found, "sha256"))),
                urls=(url,),
            )

    def _folder(self, document: Document, data: NodeGraph, dataset: Node) -> str:
        if len(self._pages) == 1:
            return ""
        key = data.written(dataset, "identifier", "url") or str(dataset.get("@id", ""))
        given = data.linked(dataset, "identifier")
        if given:  # a PropertyValue
            key = data.written(given[0], "value") or key
        return dataset_folder(key) or dataset_folder(document.asked.url) or "page"

    def _sitemap(self, document: Document, depth: int) -> Iterator[Found]:
        count, skipped = 0, SkippedEntries(document)
        for part in elements(unpacked(document), ("url", "sitemap")):
            count += 1
            url = absolute(document, part.text_of("loc"))
            if url is None:
                skipped.add(message("an entry without a loc that is a url"))
            elif part.name == "sitemap":
                if depth >= MAX_DEPTH:
                    skipped.add(message("an index of sitemaps in another one"))
                else:
                    yield DocumentRequest(url=url, state=_written(_PageState("sitemap", depth + 1)))
            else:
                wanted = [glob for glob in self._options.match if fnmatchcase(url, glob)]
                if wanted or not self._options.match:
                    yield from (Selected("match", glob) for glob in wanted)
                    yield DocumentRequest(url=url, state=_written(_PageState()))
        if not count:
            skipped.add(message("names no pages: is it a sitemap?"))
        skipped.raise_if_any()


def _linked(document: Document) -> NodeGraph:
    """Return the JSON-LD of a page; raises DocumentError for a page that ends early, or whose JSON-LD is broken."""
    body = document.read(MAX_PAGE)
    if body.lstrip()[:1] in (b"{", b"["):
        return NodeGraph(_parsed(document, body, "utf-8"))
    if _END.search(body) is None:
        raise DocumentError(message("{url}: the page has no end: it is cut off", url=document.url))
    found = _CHARSET.search(document.headers.get("content-type", "").encode()) or _CHARSET.search(body, 0, 4096)
    encoding = (text_encoding(found[1].decode()) if found is not None else None) or "utf-8"
    return NodeGraph([_parsed(document, script, encoding) for script in _SCRIPT.findall(body)])


def _parsed(document: Document, body: bytes, encoding: str) -> object:
    try:
        return msgspec.json.decode(body.decode(encoding).lstrip("\ufeff").strip().encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DocumentError(message("{url}: not JSON: {cause}", url=document.url, cause=error)) from error


def _written(state: _PageState) -> str:
    return msgspec.json.encode(state).decode()


READER = ReaderKind(
    open_reader,
    SchemaOrgOptions,
    proof=CompletenessProof(end="`</html>` of a page, the closing bracket of JSON, the end tag of a sitemap"),
)
