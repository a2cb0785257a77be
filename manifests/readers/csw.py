"""The reader for catalogue services (OGC CSW 2.0.2): the downloads that ISO 19139 records of datasets name.

Sources: OGC 07-006r1 section 10.8 (GetRecords), ISO 19115 CI_OnlineResource; GeoNetwork and the GEO DAB as they answer.

Rules:
1. A record's online resource is a file if its function is `download`, or its protocol begins with `WWW:DOWNLOAD`; web
   services, previews and pages are left out. `protocols` selects by protocol instead.
2. Records publish no checksums, and transfer sizes are rounded: the server of each file is asked.
3. A record has a folder of its identifier's name; downloads of one record that share a name have a folder each.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.model import Count
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
    dataset_folder,
    download_names,
    elements,
    size,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_RECORDS = 1_000  # in one answer; many servers give 100 at most
_SCHEMA = "http://www.isotc211.org/2005/gmd"
_ONLINE = ("transferOptions", "MD_DigitalTransferOptions", "onLine", "CI_OnlineResource")
_WEB = ("http://", "https://")

Glob = Annotated[str, Field(min_length=1, max_length=200)]


class CswOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    service: Annotated[str, Field(max_length=500)] = "csw"
    """The service, by its path below the url."""
    cql: Annotated[str, Field(max_length=5_000)] = ""
    """A CQL filter, as in AnyText LIKE '%landsat%'; without it, all records."""
    protocols: tuple[Glob, ...] = ()
    """The protocols wanted, as the records name them; `*` stands for any text. By default downloads."""
    page: Annotated[Count, Field(ge=1, le=MAX_RECORDS)] = 100
    """Records per request."""


class _CswState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the pages of the search so far."""

    pages: PageChain = PageChain()


def open_reader(source: ReaderSource) -> "CswReader":
    """Return the reader for `source`."""
    return CswReader(source.url, chosen(source, CswOptions))


class CswReader:
    """A Reader: one request for each page of records; one Stat for each download."""

    native = False

    def __init__(self, url: str, options: CswOptions) -> None:
        self._url = f"{url}{options.service.lstrip('/')}"
        self._options = options

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The protocols wanted."""
        return tuple(Selected("protocols", each) for each in dict.fromkeys(self._options.protocols))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of records."""
        return [self._page(PageChain(), 1)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the downloads of the records on this page, and request the next one."""
        state = msgspec.json.decode(document.asked.state, type=_CswState)
        skipped, keys, results = SkippedEntries(document), [], None
        for part in elements(document, ("SearchResults", "Exception")):
            if part.name == "Exception":
                said = part.text_of("ExceptionText")[:300] or part.attributes.get("exceptionCode", "")
                raise DocumentError(message("{url}: the service reports: {said}", url=document.url, said=said))
            results = part
        if results is None:
            raise DocumentError(message("{url}: not the answer of a catalogue service", url=document.url))
        for record in results.parts:
            key = record.text_of("fileIdentifier", "CharacterString")
            keys.append(key)
            if not dataset_folder(key):
                skipped.add(message("a record without a fileIdentifier"))
            else:
                yield from self._downloads(document, record, key, skipped)
        pages = state.pages.read(document, keys)
        matched = size(results.attributes.get("numberOfRecordsMatched"))
        following = size(results.attributes.get("nextRecord"))
        if keys and following is not None and pages.entries < following <= (matched or following):
            yield self._page(pages, following)
        else:
            skipped.expect(matched, pages.entries, message("records"))
        skipped.raise_if_any()

    def _downloads(self, document: Document, record: XmlElement, key: str, skipped: SkippedEntries) -> Iterator[Found]:
        links: dict[str, None] = {}
        for found in record.all("distributionInfo", "MD_Distribution", *_ONLINE):
            protocol = found.text_of("protocol", "CharacterString") or found.text_of("protocol", "Anchor")
            wanted = [glob for glob in self._options.protocols if fnmatchcase(protocol.lower(), glob.lower())]
            yield from (Selected("protocols", glob) for glob in wanted)
            if not wanted and (self._options.protocols or not _is_download(found, protocol)):
                continue
            url = absolute(document, found.text_of("linkage", "URL"))
            if url is None:
                skipped.add(message("record {key!r} has a download with an invalid url", key=key[:100]))
            elif not url.startswith(_WEB):
                yield ReaderWarning(message("downloads that are not on the web are left out"))
            else:
                links.setdefault(url)
        names = download_names([(url, "") for url in links])
        for name, url in zip(names, links, strict=True):
            yield Stat(below(dataset_folder(key), name), urls=(url,))

    def _page(self, pages: PageChain, first: int) -> DocumentRequest:
        words = {
            "service": "CSW",
            "version": "2.0.2",
            "request": "GetRecords",
            "typeNames": "gmd:MD_Metadata",
            "namespace": f"xmlns(gmd={_SCHEMA})",
            "resultType": "results",
            "elementSetName": "full",
            "outputSchema": _SCHEMA,
            "maxRecords": self._options.page,
            "startPosition": first,
        }
        if self._options.cql:
            words |= {
                "constraintLanguage": "CQL_TEXT",
                "constraint_language_version": "1.1.0",
                "constraint": self._options.cql,
            }
        mark = "&" if "?" in self._url else "?"
        state = msgspec.json.encode(_CswState(pages)).decode()
        return DocumentRequest(url=f"{self._url}{mark}{urlencode(words)}", state=state)


def _is_download(found: XmlElement, protocol: str) -> bool:
    function = found.first("function", "CI_OnLineFunctionCode")
    code = function.attributes.get("codeListValue", "") if function is not None else ""
    return code.lower() == "download" or protocol.upper().startswith("WWW:DOWNLOAD")


READER = ReaderKind(
    open_reader, CswOptions, proof=CompletenessProof(end="the end tag of the XML", count="`numberOfRecordsMatched`")
)
