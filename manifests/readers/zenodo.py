"""The reader for Zenodo, and for every other site that runs InvenioRDM: records, and the files in them.

Files of one record lie at the top of the copy; if there are several records, each has a folder. `versions: latest`
mirrors the newest version of a record, whose files replace those of older versions.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, Field, model_validator

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
    SkippedEntries,
    absolute,
    below,
    chosen,
    dig,
    digests,
    folders,
    page_url,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

PAGE = 25  # records in one answer to a search: the most that Zenodo returns without a login
MOST_FOUND = 10_000  # records that a search returns at most
_HEADERS = {"accept": "application/json"}


Key = Annotated[
    str,
    like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "is not a record", "write the last part of its address, as in 4288857"),
]


class ZenodoOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    records: tuple[Key, ...] = ()
    """The records wanted, by the last part of their address."""
    versions: Literal["pinned", "latest"] = "pinned"
    """`pinned` mirrors the named records; `latest` the newest version of each."""
    query: Annotated[str, Field(max_length=2_000)] = ""
    """A search for records, in the syntax of the site's search field, as in communities:wgms."""
    folders: Flag = False
    """Give a single record a folder of its own too."""

    @model_validator(mode="after")
    def _validate(self) -> "ZenodoOptions":
        if bool(self.records) == bool(self.query):
            raise InvalidValue(
                message("names both records and a query, or neither"), message("name records, or a query")
            )
        return self


class _ZenodoState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of document, its files' folder, and the pages of its list so far."""

    kind: str
    folder: str = ""
    key: str = ""
    is_latest: bool = False
    pages: PageChain = PageChain()
    count: int | None = None  # files of the record, as the record itself says


class _ZenodoFile(msgspec.Struct):
    key: object = None
    filename: object = None
    checksum: object = None
    size: object = None
    filesize: object = None
    links: dict[str, object] | None = None


class _ZenodoFiles(msgspec.Struct):
    enabled: object = None
    count: object = None
    entries: list[_ZenodoFile] | dict[str, _ZenodoFile] | None = None
    links: dict[str, object] | None = None


class _Deposit(msgspec.Struct):
    id: object = None
    conceptrecid: object = None
    access: object = None
    metadata: object = None
    files: list[_ZenodoFile] | _ZenodoFiles | None = None
    links: dict[str, object] | None = None


class _ZenodoHits(msgspec.Struct):
    hits: list[_Deposit] | None = None
    total: object = None


class _ZenodoSearchResponse(msgspec.Struct):
    hits: _ZenodoHits | None = None


def open_reader(source: ReaderSource) -> "ZenodoReader":
    """Return the reader for `source`; raises InvalidValue for records that would share a folder."""
    return ZenodoReader(source.url, chosen(source, ZenodoOptions))


class ZenodoReader:
    """A Reader: one request for each record, or page of a search; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: ZenodoOptions) -> None:
        self._api = f"{url}api/records"
        self._query = options.query
        self._latest = options.versions == "latest"
        self._folders = {key: key if options.folders else place for key, place in folders(options.records).items()}

    def start(self) -> Iterable[DocumentRequest]:
        """Request the records, or the first page of the search."""
        if self._query:
            return [self._page(PageChain())]
        return [
            _follow(f"{self._api}/{key}", _ZenodoState("record", folder, key, is_latest=not self._latest))
            for key, folder in self._folders.items()
        ]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of a record, or of each record that a search found."""
        note = msgspec.json.decode(document.asked.state, type=_ZenodoState)
        if note.kind == "search":
            yield from self._found(document, note)
        elif note.kind == "files":
            listed = read_json(document, _ZenodoFiles)
            rows = list(listed.entries.values()) if isinstance(listed.entries, dict) else listed.entries
            if rows is None:
                raise DocumentError(
                    message("{url}: neither lists files nor states that there are none", url=document.url)
                )
            unread = SkippedEntries(document)
            yield from self._files(document, note, rows, unread)
            pages = note.pages.read(document, (verbatim(row.key) or verbatim(row.filename) for row in rows))
            if (more := page_url(document, (listed.links or {}).get("next"))) is not None:
                yield _follow(more, msgspec.structs.replace(note, pages=pages))
            else:
                unread.expect(note.count if listed.count is None else listed.count, pages.entries, message("files"))
            unread.raise_if_any()
        else:
            deposit = read_json(document, _Deposit)
            latest = absolute(document, (deposit.links or {}).get("latest"))
            if not note.is_latest and latest is not None:
                yield _follow(latest, msgspec.structs.replace(note, is_latest=True))
            else:
                unread = SkippedEntries(document)
                yield from self._deposit(document, note, deposit, unread)
                unread.raise_if_any()

    def _found(self, document: Document, note: _ZenodoState) -> Iterator[Stat | DocumentRequest]:
        hits = read_json(document, _ZenodoSearchResponse).hits
        if hits is None or hits.hits is None:
            raise DocumentError(message("{url}: not the answer to a search", url=document.url))
        total = size(hits.total)
        if total is not None and total > MOST_FOUND:
            raise DocumentError(
                message(
                    "{url}: finds {total} records, of which the site returns {most_found}: narrow the query",
                    url=document.url,
                    total=total,
                    most_found=MOST_FOUND,
                )
            )
        unread = SkippedEntries(document)
        for deposit in hits.hits:
            key = text(deposit.id)
            if not key:
                unread.add(message("a record without an id"))
                continue
            yield from self._deposit(
                document, _ZenodoState("record", text(deposit.conceptrecid) or key, key), deposit, unread
            )
        pages = note.pages.read(document, (text(deposit.id) for deposit in hits.hits))
        if hits.hits and pages.entries >= MOST_FOUND and pages.entries != total:
            unread.add(
                message(
                    "has more than the {most_found} records that the site returns: narrow the query",
                    most_found=MOST_FOUND,
                )
            )
        elif hits.hits and (total is None or pages.entries < total):
            yield self._page(pages)
        else:
            unread.expect(total, pages.entries, message("records"))
        unread.raise_if_any()

    def _deposit(
        self, document: Document, note: _ZenodoState, deposit: _Deposit, unread: SkippedEntries
    ) -> Iterator[Stat | DocumentRequest]:
        listing = absolute(document, (deposit.links or {}).get("files"))
        files = deposit.files
        count = files.count if isinstance(files, _ZenodoFiles) else None
        rows = files.entries if isinstance(files, _ZenodoFiles) else files
        rows = list(rows.values()) if isinstance(rows, dict) else rows
        is_enabled = not isinstance(files, _ZenodoFiles) or files.enabled is not False
        if rows:
            yield from self._files(document, note, rows, unread)
            unread.expect(count, len(rows), message("files of record {record}", record=note.key))
        elif listing is not None and is_enabled and not isinstance(files, list):
            yield _follow(listing, msgspec.structs.replace(note, kind="files", count=size(count)))
        elif files is None or size(count) or _is_closed(deposit):
            unread.add(
                message(
                    "record {key} shows no files: is it restricted or under embargo? name a credential "
                    "that may see them",
                    key=note.key,
                )
            )

    def _files(
        self, document: Document, note: _ZenodoState, rows: list[_ZenodoFile], unread: SkippedEntries
    ) -> Iterator[Stat]:
        if any(row.key is not None for row in rows) and any(row.key is None for row in rows):
            unread.add(
                message("record {key} names some files by key and some differently, which is ambiguous", key=note.key)
            )
            return
        for row in rows:
            name = verbatim(row.key) or verbatim(row.filename)
            if not name:
                unread.add(message("a file without a name"))
                continue
            links = row.links or {}
            listed = size(row.size) if row.size is not None else size(row.filesize)
            url = absolute(document, links.get("content")) or absolute(document, links.get("self"))
            url = url or f"{self._api}/{quote(note.key, safe='')}/files/{quote(name, safe='')}/content"
            yield Stat(below(note.folder, name), listed, digests=digests((None, row.checksum)), urls=(url,))

    def _page(self, pages: PageChain) -> DocumentRequest:
        words = urlencode({"q": self._query, "sort": "oldest", "size": PAGE, "page": pages.pages + 1})
        return _follow(f"{self._api}?{words}", _ZenodoState("search", pages=pages))


def _is_closed(deposit: _Deposit) -> bool:
    """Return True if the record says that its files are not for everyone."""
    right = text(dig(deposit.metadata, "access_right"))
    return dig(deposit.access, "files") == "restricted" or right in {"closed", "embargoed", "restricted"}


def _follow(url: str, note: _ZenodoState) -> DocumentRequest:
    return DocumentRequest(url=url, headers=_HEADERS, state=msgspec.json.encode(note).decode())


READER = ReaderKind(
    open_reader,
    ZenodoOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON",
        count="`hits.total` of a search, `count` of the files of a record",
        limit="10,000 records of a search: incomplete",
    ),
)
