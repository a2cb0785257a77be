"""The reader for OAI-PMH 2.0 repositories: the records are the dataset, one file of canonical XML per record.

Rules:
1. A record is `<identifier>.xml`, the identifier with `/` and the like percent-encoded; its bytes are the `<record>`
   element in canonical form (C14N 2.0), so that an unchanged record is an unchanged file.
2. Pages are read one after the other, by their resumptionToken. An expired token (badResumptionToken) starts the list
   again; `noRecordsMatch` is an empty list. Any other error makes the inventory incomplete.
3. A record with status `deleted` in its header is not a file.
4. The next pass requests only the changes since this one began, by the repository's own clock, including deletions. A
   repository that does not record deletions is read completely each time, and so is every other one now and then.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import C14NWriterTarget

import msgspec
from pydantic import BaseModel, BeforeValidator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading import (
    MAX_MADE,
    CompletenessProof,
    Cursor,
    Deleted,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Gap,
    PageChain,
    ReaderKind,
    ReaderSource,
    Selected,
    SkippedEntries,
    XmlError,
    XmlTarget,
    chosen,
    moment,
    parse_document,
    text as words,
)
from manifests.timestamps import rfc3339
from manifests.yaml import STRICT

MAX_PAGES = 1_000_000

_SPACE = "http://www.openarchives.org/OAI/2.0/"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\dZ)?")
_SAFE = " !$&'()+,;=@:~"  # not escaped in a file's name


def _date(given: object) -> object:
    if not isinstance(given, str):
        return given
    if _DATE.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a date of OAI-PMH"), message('write it as in "2024-01-31" or "2024-01-31T00:00:00Z"')
        )
    return given


Date = Annotated[str, BeforeValidator(_date)]


class OaiOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    repository: str = "oai"
    """The endpoint of the repository, below the url, as in oai2d or oai/request."""
    metadata_prefix: str = "oai_dc"
    """The format of the records."""
    sets: tuple[str, ...] = ()
    """The sets to mirror; by default everything."""
    since: Date | None = None
    """The first datestamp wanted."""
    until: Date | None = None
    """The last datestamp wanted."""


class _OaiState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the first request, the page, the token that was sent, and the mark."""

    query: dict[str, str] = {}
    pages: PageChain = PageChain()
    announced: str = ""  # records of the list, by the last page that counted them
    token: str = ""
    begun_again: bool = False
    mark: str = ""


def open_reader(source: ReaderSource) -> "OaiReader":
    """Return the reader for `source`."""
    return OaiReader(source.url, chosen(source, OaiOptions))


class OaiReader:
    """A Reader: one request for each page, one DerivedFile for each record."""

    native = False

    def __init__(self, root: str, options: OaiOptions) -> None:
        self._url = f"{root}{options.repository.strip('/')}"
        self._options = options

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The sets wanted."""
        return tuple(Selected("sets", one) for one in dict.fromkeys(self._options.sets))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of each set."""
        return [self._asked(_OaiState(query)) for query in self._queries(self._options.since)]

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request Identify: it states whether deletions are recorded, and the precision of dates."""
        return [self._asked(_OaiState({"verb": "Identify"}, mark=mark))]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the records of one page, and the next page."""
        note = msgspec.json.decode(document.asked.state, type=_OaiState)
        page, unread = _OaiPage(), SkippedEntries(document)
        yield from self._cards(document, page, note)
        if note.query["verb"] == "Identify" and not page.error:
            yield from self._changed(document, page, note.mark)
            return
        if page.error == "badResumptionToken" and note.token and not note.begun_again:
            yield self._asked(_OaiState(note.query, begun_again=True, mark=note.mark))
            return
        if page.error not in ("", "noRecordsMatch"):
            raise DocumentError(
                message(
                    "{url}: the repository reports {error}: {said}",
                    url=document.url,
                    error=page.error,
                    said=page.said[:200],
                )
            )
        if not page.is_list and not page.error:
            raise DocumentError(message("{url}: is not a list of OAI-PMH records", url=document.url))
        if note.pages.pages == 0 and not note.begun_again and page.answered:
            yield Cursor(page.answered)
        if page.identifiers and (wanted := note.query.get("set")):
            yield Selected("sets", wanted)
        pages, announced = note.pages.read(document, page.identifiers), page.announced or note.announced
        if page.token:
            if pages.pages > MAX_PAGES or page.token == note.token:
                raise DocumentError(
                    message(
                        "{url}: page {page} leads to itself: {token!r}",
                        url=document.url,
                        page=pages.pages,
                        token=page.token[:80],
                    )
                )
            yield self._asked(msgspec.structs.replace(note, pages=pages, announced=announced, token=page.token))
        else:
            unread.expect(announced, pages.entries, message("records"))
        unread.raise_if_any()

    def _cards(self, document: Document, page: "_OaiPage", note: _OaiState) -> Iterator[Found]:
        for record in parse_document(document, page):
            if not record.identifier:
                raise DocumentError(message("{url}: a record without an identifier", url=document.url))
            page.identifiers.append(record.identifier)
            path = f"{quote(record.identifier, safe=_SAFE)}.xml"
            if not record.is_deleted:
                yield DerivedFile(path, record.body)
            elif note.mark:
                yield Deleted(path)

    def _changed(self, document: Document, page: "_OaiPage", mark: str) -> Iterator[DocumentRequest]:
        """Request the first page of the changes since `mark`."""
        if page.facts.get("deletedRecord") not in ("persistent", "transient"):
            raise Gap(message("{url}: the repository does not record deletions", url=document.url))
        exact = "T" in page.facts.get("granularity", "")
        since = max(mark if exact else mark[:10], self._options.since or "")
        for query in self._queries(since):
            yield self._asked(_OaiState(query, mark=mark))

    def _queries(self, since: str | None) -> Iterator[dict[str, str]]:
        for one in self._options.sets or ("",):
            asked = {
                "verb": "ListRecords",
                "metadataPrefix": self._options.metadata_prefix,
                "from": since or "",
                "until": self._options.until or "",
                "set": one,
            }
            yield {key: value for key, value in asked.items() if value}

    def _asked(self, note: _OaiState) -> DocumentRequest:
        query = {"verb": "ListRecords", "resumptionToken": note.token} if note.token else note.query
        state = msgspec.json.encode(note).decode()
        return DocumentRequest(url=f"{self._url}?{urlencode(query, safe=':')}", state=state)


class _Card(msgspec.Struct):
    """One record: its identifier, whether it is deleted, and its canonical bytes."""

    identifier: str = ""
    is_deleted: bool = False
    body: bytes = b""


class _OaiPage(XmlTarget[_Card]):
    """One answer of the repository, parsed as a stream: only one record is in memory."""

    separator = "}"

    def __init__(self) -> None:
        super().__init__("OAI-PMH")
        self.error = self.said = self.token = self.announced = self.answered = ""
        self.identifiers: list[str] = []
        self.facts: dict[str, str] = {}  # the contents of Identify
        self.is_list = False
        self._spaces: list[tuple[str, str]] = []  # the namespaces that surrounding elements declare
        self._text: list[str] = []
        self._record: _Card | None = None
        self._written: list[str] = []
        self._size = 0
        self._writer: C14NWriterTarget | None = None

    def declare(self, prefix: str | None, uri: str | None) -> None:
        self._spaces.append((prefix or "", uri or ""))
        if self._writer is not None:
            self._writer.start_ns(prefix or "", uri or "")

    def undeclare(self, prefix: str | None) -> None:
        del prefix
        self._spaces.pop()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        _, name = self.enter(tag)
        self._text.clear()
        if self._record is None and tag == f"{_SPACE}}}record":
            self._record = _Card()
            self._written, self._size = [], 0
            self._writer = C14NWriterTarget(self._write, qname_aware_attrs=[_TYPE])
            for prefix, uri in self._spaces:
                self._writer.start_ns(prefix, uri)
        elif name == "ListRecords":
            self.is_list = True
        elif name == "resumptionToken" and self._record is None:
            self.announced = attributes.get("completeListSize", "")
        elif name == "error" and len(self.path) == 2:
            self.error = attributes.get("code", "unknown")
        if self._record is not None and name == "header" and len(self.path) == 4:
            self._record.is_deleted = attributes.get("status") == "deleted"
        if self._writer is not None:
            self._writer.start(_braced(tag), {_braced(key): value for key, value in attributes.items()})

    def _write(self, written: str) -> None:
        self._size += len(written)
        if self._size > MAX_MADE:
            raise XmlError(message("has a record of more than {max_made} characters", max_made=MAX_MADE))
        self._written.append(written)

    def text(self, characters: str) -> None:
        if self._writer is not None:
            self._writer.data(characters)
        if self._record is None or len(self.path) == 5:
            self._text.append(characters)

    def end(self, tag: str) -> None:
        name, text = self.path.pop(), words("".join(self._text))
        self._text.clear()
        depth = len(self.path)
        if self._writer is not None:
            self._writer.end(_braced(tag))
        if self._record is None:
            if depth == 1:
                self.said = text if name == "error" else self.said
                self.answered = _instant(text) if name == "responseDate" else self.answered
            elif depth == 2:
                self.facts.setdefault(name, text)
                self.token = text if name == "resumptionToken" else self.token
        elif depth == 4 and self.path[-1] == "header":
            if name == "identifier":
                self._record.identifier = text
        elif depth == 2:
            self._record.body = "".join(self._written).encode("utf-8") + b"\n"
            self.done.append(self._record)
            self._record = self._writer = None


def _braced(tag: str) -> str:
    return f"{{{tag}" if "}" in tag else tag


def _instant(text: str) -> str:
    """Return a date of the repository's clock in a form that can be compared; "" if it is invalid."""
    seconds = moment(text)
    return rfc3339(seconds) if seconds is not None else ""


READER = ReaderKind(
    open_reader,
    OaiOptions,
    proof=CompletenessProof(
        end="the end tag of the XML; the last page has an empty resumption token, or none", count="`completeListSize`"
    ),
)
