"""The reader for Dataverse: datasets by their persistent identifier, and the files of one version of each.

Rules:
1. Dataverse converts an uploaded table to `.tab`, and publishes the digest of the original. So the original is copied,
   under its own name; `original: false` copies the `.tab`, for which no digest is published.
2. Files lie as the dataset orders them (`directoryLabel/label`); several datasets have a folder each.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Flag, like
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
    below,
    chosen,
    digests,
    folders,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

PAGE = 1000  # datasets in one answer to a search
_ENDINGS = {  # of originals without a published name
    "text/csv": ".csv",
    "text/comma-separated-values": ".csv",
    "text/tsv": ".tsv",
    "text/tab-separated-values": ".tsv",
    "application/x-stata": ".dta",
    "application/x-stata-13": ".dta",
    "application/x-stata-14": ".dta",
    "application/x-stata-15": ".dta",
    "application/x-spss-sav": ".sav",
    "application/x-spss-por": ".por",
    "application/x-rlang-transport": ".RData",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


Identifier = Annotated[
    str, like(r"(doi|hdl|perma):\S{1,200}", "is not a persistent identifier", "write it as in doi:10.7910/DVN/TJCLKP")
]
Alias = Annotated[
    str, like(r"[\w.-]{1,200}", "is not an alias of a collection", "write what follows /dataverse/ in its address")
]
Version = Annotated[
    str, like(r":latest-published|\d{1,6}(\.\d{1,6})?", "is not a version", 'write it as in "2.1", or delete the key')
]


class DataverseOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    datasets: tuple[Identifier, ...] = ()
    """The datasets wanted, by their persistent identifiers, as in doi:10.7910/DVN/TJCLKP."""
    collections: tuple[Alias, ...] = ()
    """Collections (sub-dataverses), by their alias, of which all published datasets are mirrored."""
    version: Version = ":latest-published"
    """The version of each dataset, as in 2.1; by default the latest that is published."""
    original: Flag = True
    """Mirror tables in their uploaded form, the only one with a checksum."""
    restricted: Literal["include", "skip"] = "include"
    """Whether to mirror files that need a permission."""

    @model_validator(mode="after")
    def _validate(self) -> "DataverseOptions":
        if not self.datasets and not self.collections:
            raise InvalidValue(message("selects nothing to mirror"), message("name datasets, or collections"))
        return self


class _DataverseState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: a collection and its pages so far, or a dataset's folder."""

    folder: str = ""
    collection: str = ""
    pages: PageChain = PageChain()


class _DataverseChecksum(msgspec.Struct):
    type: object = None
    value: object = None


class _StoredFile(msgspec.Struct, rename="camel"):
    id: object = None
    filename: object = None
    filesize: object = None
    md5: object = None
    checksum: _DataverseChecksum | None = None
    tabular_data: object = None
    original_file_format: object = None
    original_file_name: object = None
    original_file_size: object = None


class _DataverseFile(msgspec.Struct, rename="camel"):
    label: object = None
    directory_label: object = None
    restricted: object = None
    data_file: _StoredFile | None = None


class _DatasetVersion(msgspec.Struct, rename="camel"):
    files: list[_DataverseFile] | None = None
    latest_version: "_DatasetVersion | None" = None


class _DataverseDataset(msgspec.Struct):
    status: object = None
    message: object = None
    data: _DatasetVersion | None = None


class _DataverseHit(msgspec.Struct):
    global_id: object = None


class _DataverseHits(msgspec.Struct):
    total_count: object = None
    items: list[_DataverseHit] | None = None


class _DataverseSearchResponse(msgspec.Struct):
    data: _DataverseHits | None = None


def open_reader(source: ReaderSource) -> "DataverseReader":
    """Return the reader for `source`; raises InvalidValue for datasets that would share a folder."""
    return DataverseReader(source.url, chosen(source, DataverseOptions))


class DataverseReader:
    """A Reader: one request for each dataset, and each page of a collection; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: DataverseOptions) -> None:
        self._api = f"{url}api"
        self._options = options
        self._folders = folders(options.datasets) if options.datasets else {}
        if options.collections:
            self._folders = {key: _folder(key) for key in self._folders}

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections wanted; a dataset that does not exist is an error."""
        return tuple(Selected("collections", one) for one in dict.fromkeys(self._options.collections))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the datasets, and the first page of each collection."""
        for key, folder in self._folders.items():
            yield self._dataset(key, folder)
        for collection in dict.fromkeys(self._options.collections):
            yield self._search(collection, PageChain())

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of a dataset, or the datasets of a collection."""
        note = msgspec.json.decode(document.asked.state, type=_DataverseState)
        if note.collection:
            yield from self._found(document, note)
            return
        found = read_json(document, _DataverseDataset)
        version = found.data.latest_version or found.data if found.data is not None else None
        if version is None or version.files is None:
            said = text(found.message)[:300] or message("an answer without files")
            raise DocumentError(message("{url}: {said}", url=document.url, said=said))
        unread = SkippedEntries(document)
        for file in version.files:
            if file.restricted is True and self._options.restricted == "skip":
                yield ReaderWarning(message("restricted files are left out, as the manifest says (restricted: skip)"))
                continue
            stat = self._file(file, note.folder)
            if stat is None:
                unread.add(message("a file without a label, or without an id"))
            else:
                yield stat
        unread.raise_if_any()

    def _file(self, file: _DataverseFile, folder: str) -> Stat | None:
        held = file.data_file
        if held is None or not text(held.id):
            return None
        name = verbatim(file.label) or verbatim(held.filename)
        if not name:
            return None
        url = f"{self._api}/access/datafile/{quote(text(held.id), safe='')}"
        is_table = held.tabular_data is True or bool(text(held.original_file_format))
        published = digests(
            *(((held.checksum.type, held.checksum.value),) if held.checksum is not None else ()), ("md5", held.md5)
        )
        listed = size(held.filesize)
        if is_table and self._options.original:
            url, listed, name = f"{url}?format=original", size(held.original_file_size), _original(held, name)
        elif is_table:
            published = {}
        place = below(folder, below(verbatim(file.directory_label), name))
        return Stat(place, listed, version=f"file:{text(held.id)}", digests=published, urls=(url,))

    def _found(self, document: Document, note: _DataverseState) -> Iterator[DocumentRequest | Selected]:
        hits = read_json(document, _DataverseSearchResponse).data
        total = size(hits.total_count) if hits is not None else None
        if hits is None or hits.items is None or total is None:
            raise DocumentError(message("{url}: not the answer to a search", url=document.url))
        unread = SkippedEntries(document)
        if hits.items:
            yield Selected("collections", note.collection)
        for hit in hits.items:
            key = text(hit.global_id)
            if key:
                yield self._dataset(key, _folder(key))
            else:
                unread.add(message("a dataset without a global_id"))
        pages = note.pages.read(document, (text(hit.global_id) for hit in hits.items))
        if hits.items and pages.entries < total:
            yield self._search(note.collection, pages)
        else:
            unread.expect(total, pages.entries, message("datasets"))
        unread.raise_if_any()

    def _dataset(self, key: str, folder: str) -> DocumentRequest:
        version = self._options.version
        chosen = "" if version == ":latest-published" else f"versions/{version}"
        url = f"{self._api}/datasets/:persistentId/{chosen}?{urlencode({'persistentId': key}, safe=':/')}"
        return DocumentRequest(url=url, state=msgspec.json.encode(_DataverseState(folder)).decode())

    def _search(self, collection: str, pages: PageChain) -> DocumentRequest:
        words = {"q": "*", "type": "dataset", "subtree": collection, "sort": "date", "order": "asc"}
        url = f"{self._api}/search?{urlencode({**words, 'per_page': PAGE, 'start': pages.entries}, safe='*')}"
        note = _DataverseState(collection=collection, pages=pages)
        return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


def _folder(key: str) -> str:
    return re.sub(r"[^\w.-]+", "_", key)


def _original(held: _StoredFile, label: str) -> str:
    """Return the name under which a table was uploaded."""
    if told := verbatim(held.original_file_name):
        return told
    ending = _ENDINGS.get(text(held.original_file_format).partition(";")[0].strip().lower())
    return label[: -len(".tab")] + ending if ending is not None and label.endswith(".tab") else label


READER = ReaderKind(
    open_reader,
    DataverseOptions,
    proof=CompletenessProof(end="the closing bracket of the JSON", count="`total_count` of a search"),
)
