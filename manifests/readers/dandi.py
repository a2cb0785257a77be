"""The reader for the DANDI archive: the assets of dandisets, and the files inside their Zarr assets.

Source: the API of DANDI, as its server documents it: `/dandisets/{id}/versions/{version}/assets/`, `/zarr/{id}/files/`.

Rules:
1. A published version never changes; `draft` does. Without a version the latest published one is mirrored, or the draft
   if there is none.
2. The server computes the sha256 of an asset some time after its upload; until then a file is compared by the id of its
   blob. The ETag of a file inside a Zarr is its MD5, because DANDI accepts no uploads in parts there.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel

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
    SkippedEntries,
    below,
    chosen,
    dig,
    digests,
    folders,
    moment,
    page_url,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

PAGE = 1000  # the most that the API gives

DandisetId = Annotated[str, like(r"\d{6}", "is not a dandiset", 'write its six digits in quotes, as in "000026"')]
DandisetVersion = Annotated[
    str,
    like(r"latest|draft|\d{1,4}\.\d{6}\.\d{4}", "is not a version", 'write it as in "0.220126.1853", draft or latest'),
]


class DandiOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    dandisets: Annotated[tuple[DandisetId, ...], AtLeastOne]
    """The dandisets wanted, by their six digits."""
    version: DandisetVersion = "latest"
    """One version of each, as in 0.220126.1853; `latest` is the latest published, or the draft if there is none."""
    zarr: Literal["include", "skip"] = "include"
    """Whether to mirror Zarr assets, which consist of many small files."""


class _DandiState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of list, the dandiset, the folder of the copy, and the pages so far."""

    kind: Literal["dandiset", "assets", "zarr"]
    key: str
    folder: str = ""
    pages: PageChain = PageChain()


class _Dandiset(msgspec.Struct):
    identifier: object = None
    most_recent_published_version: object = None
    draft_version: object = None


class _Asset(msgspec.Struct):
    asset_id: object = None
    blob: object = None
    zarr: object = None
    path: object = None
    size: object = None
    modified: object = None
    metadata: object = None


class _AssetPage(msgspec.Struct):
    count: object = None
    next: object = None
    results: list[_Asset] | None = None


class _ZarrFile(msgspec.Struct, rename={"key": "Key", "modified": "LastModified", "etag": "ETag", "size": "Size"}):
    key: object = None
    modified: object = None
    etag: object = None
    size: object = None


class _ZarrFiles(msgspec.Struct):
    next: object = None
    results: list[_ZarrFile] | None = None


def open_reader(source: ReaderSource) -> "DandiReader":
    """Return the reader for `source`."""
    return DandiReader(source.url, chosen(source, DandiOptions))


class DandiReader:
    """A Reader: one request for each dandiset, page of assets, and page of a Zarr's files; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: DandiOptions) -> None:
        self._url = url
        self._options = options
        self._folders = folders(options.dandisets)

    def start(self) -> Iterable[DocumentRequest]:
        """Request the assets of each dandiset, or its versions if the latest is wanted."""
        for key, folder in self._folders.items():
            if self._options.version == "latest":
                yield _request(f"{self._url}dandisets/{key}/", _DandiState("dandiset", key, folder))
            else:
                yield self._assets(key, self._options.version, folder)

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of a page of assets, or of a Zarr; or request what follows."""
        state = msgspec.json.decode(document.asked.state, type=_DandiState)
        if state.kind == "dandiset":
            yield self._assets(state.key, _latest(document), state.folder)
        elif state.kind == "assets":
            yield from self._page(document, state)
        else:
            yield from self._inside(document, state)

    def _page(self, document: Document, state: _DandiState) -> Iterator[Found]:
        page = read_json(document, _AssetPage)
        if page.results is None:
            raise DocumentError(message("{url}: not a list of assets", url=document.url))
        skipped = SkippedEntries(document)
        for asset in page.results:
            if text(asset.zarr):
                if self._options.zarr == "include":
                    yield from self._zarr(asset, state, skipped)
                continue
            stat = self._file(asset, state.folder)
            if stat is None:
                skipped.add(message("an asset without a path, or without an asset_id"))
            else:
                yield stat
        pages = state.pages.read(document, (text(asset.asset_id) for asset in page.results))
        following = page_url(document, page.next)
        if following is not None:
            yield _request(following, msgspec.structs.replace(state, pages=pages))
        else:
            skipped.expect(page.count, pages.entries, message("assets"))
        skipped.raise_if_any()

    def _file(self, asset: _Asset, folder: str) -> Stat | None:
        key, path = text(asset.asset_id), verbatim(asset.path)
        if not key or not path:
            return None
        blob = text(asset.blob)
        return Stat(
            below(folder, path),
            size(asset.size),
            version=f"blob:{blob}" if blob else f"asset:{key}",
            digests=digests(("sha256", dig(asset.metadata, "digest", "dandi:sha2-256"))),
            urls=(f"{self._url}assets/{quote(key, safe='')}/download/",),
        )

    def _zarr(self, asset: _Asset, state: _DandiState, skipped: SkippedEntries) -> Iterator[DocumentRequest]:
        key, path = text(asset.zarr), verbatim(asset.path)
        if not path:
            skipped.add(message("a Zarr asset without a path"))
            return
        url = f"{self._url}zarr/{quote(key, safe='')}/files/?{urlencode({'limit': PAGE})}"
        yield _request(url, _DandiState("zarr", key, below(state.folder, path)))

    def _inside(self, document: Document, state: _DandiState) -> Iterator[Found]:
        page = read_json(document, _ZarrFiles)
        if page.results is None:
            raise DocumentError(message("{url}: not a list of the files of a Zarr", url=document.url))
        skipped = SkippedEntries(document)
        root = f"{self._url}zarr/{quote(state.key, safe='')}/files/"
        for file in page.results:
            name = verbatim(file.key)
            if not name:
                skipped.add(message("a file of a Zarr without its key"))
                continue
            yield Stat(
                below(state.folder, name),
                size(file.size),
                moment(file.modified),
                digests=digests(("md5", text(file.etag).strip('"'))),
                urls=(f"{root}?{urlencode({'prefix': name, 'download': 'true'})}",),
            )
        pages = state.pages.read(document, (text(file.key) for file in page.results))
        following = page_url(document, page.next)
        if following is not None:
            yield _request(following, msgspec.structs.replace(state, pages=pages))
        skipped.raise_if_any()

    def _assets(self, key: str, version: str, folder: str) -> DocumentRequest:
        words = urlencode({"metadata": "true", "order": "path", "page_size": PAGE})
        url = f"{self._url}dandisets/{key}/versions/{version}/assets/?{words}"
        return _request(url, _DandiState("assets", key, folder))


def _latest(document: Document) -> str:
    """Return the version of a dandiset that is mirrored if the manifest names none."""
    found = read_json(document, _Dandiset)
    published = text(dig(found.most_recent_published_version, "version"))
    version = published or text(dig(found.draft_version, "version"))
    if not version or not version.replace(".", "").isalnum():
        raise DocumentError(message("{url}: names no version of the dandiset", url=document.url))
    return version


def _request(url: str, state: _DandiState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(state).decode())


READER = ReaderKind(
    open_reader,
    DandiOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON; the last page names no next one", count="`count` of the assets"
    ),
)
