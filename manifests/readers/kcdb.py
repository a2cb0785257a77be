"""The reader for the BIPM's key comparison database (KCDB): the results of searches, one file per record.

Rules:
1. A record is `<search>/<id>.json`: its own JSON with sorted keys, so that an unchanged record is an unchanged file,
   whatever its page.
2. A search is read page by page. The first page gives the total; every other page must give the same, be full, and
   differ from those before it; otherwise the inventory is incomplete.
3. A record with an unwanted `status` is not a file; by default deleted records are unwanted.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.model import AtLeastOne, Count
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
    chosen,
    read_json,
    size,
    text,
)
from manifests.yaml import STRICT

MAX_PAGES = 100_000

Search = Literal["physics", "chemistryAndBiology", "radiation"]

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class KcdbOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    searches: Annotated[tuple[Search, ...], AtLeastOne] = Field(
        default=("physics", "chemistryAndBiology", "radiation"), json_schema_extra={"minItems": 1}
    )
    """The parts of the database."""
    query: dict[str, str | tuple[str, ...]] = {}
    """Further parameters of the searches, in the database's own names: {metrologyAreaLabel: EM, countries: [CN]}."""
    without: tuple[str, ...] = ("Deleted",)
    """Values of a record's status that are not mirrored."""
    page_size: Annotated[Count, Field(ge=1, le=10_000)] = 1000
    """Records per request."""


class _KcdbState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the search, its pages so far, and how many records the first page counted."""

    search: str
    total: int = -1
    version: str = ""
    pages: PageChain = PageChain()


class _KcdbPage(msgspec.Struct):
    data: list[msgspec.Raw]
    version: object = msgspec.field(name="version", default=None)
    total: object = msgspec.field(name="totalElements", default=None)
    pages: object = msgspec.field(name="totalPages", default=None)


def open_reader(source: ReaderSource) -> "KcdbReader":
    """Return the reader for `source`."""
    return KcdbReader(source.url, chosen(source, KcdbOptions))


class KcdbReader:
    """A Reader: one request for each page of each search, one DerivedFile for each record."""

    native = False

    def __init__(self, root: str, options: KcdbOptions) -> None:
        self._root = root
        self._options = options

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of each search."""
        return [self._asked(_KcdbState(search)) for search in self._options.searches]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the records of one page, and the next page."""
        note = msgspec.json.decode(document.asked.state, type=_KcdbState)
        page, number = read_json(document, _KcdbPage), note.pages.pages
        total, pages, version = size(page.total), size(page.pages), text(page.version)
        if total is None or pages is None:
            raise DocumentError(
                message("{url}: page {page} does not give the total number of records", url=document.url, page=number)
            )
        if note.total < 0:
            if pages > MAX_PAGES:
                raise DocumentError(
                    message(
                        "{url}: {pages} pages, more than {max_pages}: set a larger page",
                        url=document.url,
                        pages=pages,
                        max_pages=MAX_PAGES,
                    )
                )
        elif (total, version) != (note.total, note.version):
            raise DocumentError(
                message(
                    "{url}: {total} records of version {version!r} became {new_total} of {new_version!r} while "
                    "they were read",
                    url=document.url,
                    total=note.total,
                    version=note.version,
                    new_total=total,
                    new_version=version,
                )
            )
        each = self._options.page_size
        wanted = min(each, max(0, total - number * each))
        if len(page.data) != wanted:
            raise DocumentError(
                message(
                    "{url}: page {page} has {count} records, not {wanted}",
                    url=document.url,
                    page=number,
                    count=len(page.data),
                    wanted=wanted,
                )
            )
        identities = []
        for raw in page.data:
            identity, made = self._card(document, note.search, raw)
            identities.append(identity)
            if made is not None:
                yield made
        read = note.pages.read(document, identities)
        if read.pages < pages:
            yield self._asked(_KcdbState(note.search, total, version, read))

    def _card(self, document: Document, search: str, raw: msgspec.Raw) -> tuple[str, DerivedFile | None]:
        """Return a record's id, and its file if it is wanted."""
        try:
            record = json.loads(bytes(raw))
        except (ValueError, RecursionError) as error:
            raise DocumentError(
                message("{url}: a record that cannot be read: {cause}", url=document.url, cause=error)
            ) from error
        identity = text(record.get("id")) if isinstance(record, dict) else ""
        if not identity:
            raise DocumentError(message("{url}: a record without an id", url=document.url))
        if text(record.get("status")) in self._options.without:
            return identity, None
        body = json.dumps(record, ensure_ascii=False, sort_keys=True, indent=1).encode("utf-8", "surrogatepass")
        return identity, DerivedFile(f"{search}/{identity}.json", body + b"\n")

    def _asked(self, note: _KcdbState) -> DocumentRequest:
        query = {
            **self._options.query,
            "page": note.pages.pages,
            "pageSize": self._options.page_size,
            "showTable": False,
        }
        return DocumentRequest(
            url=f"{self._root}cmc/searchData/{note.search}",
            method="POST",
            headers=_HEADERS,
            body=json.dumps(query, sort_keys=True).encode(),
            state=msgspec.json.encode(note).decode(),
        )


READER = ReaderKind(
    open_reader,
    KcdbOptions,
    proof=CompletenessProof(end="the closing bracket of the JSON", count="`totalElements` on every page"),
)
