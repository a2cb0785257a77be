"""The reader for searches of the Earth System Grid Federation: the files of the datasets that match facets.

Source: the ESGF Search RESTful API (`/esg-search/search`, `format=application/solr+json`). An index that speaks STAC
is read by `reader: stac`.

Rules:
1. A file lies where the federation's rules put it: the parts of its dataset's id are folders, its title is its name.
2. The same file is held by several nodes. Without `replicas` only its original node is asked; with it, the one node
   that the manifest names.
3. The search has no order of its own: pages are asked for by id, and their count is compared.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Flag
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    Parameters,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    absolute,
    below,
    chosen,
    digests,
    moment,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_ROWS = 10_000  # the most that an index gives in one answer
_OURS = frozenset({"type", "format", "limit", "offset", "fields", "facets", "sort", "distrib", "replica", "latest"})
_FIELDS = "id,dataset_id,instance_id,title,size,checksum,checksum_type,url,timestamp,data_node,version"


class EsgfOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    facets: Parameters
    """What the datasets must match, as in {source_id: NorESM2-LM, variable_id: [tas, pr]}."""
    nodes: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """Data nodes from which files may come, by host name; by default any."""
    replicas: Flag = False
    """Take copies that another node holds, for files whose own node is away; needs exactly one of `nodes`."""
    latest: Flag = True
    """Mirror only the latest version of each dataset."""
    distributed: Flag = True
    """Let the index ask the whole federation; `false` asks its own records only."""
    page: Annotated[Count, Field(ge=1, le=MAX_ROWS)] = 1_000
    """Files per request."""

    @model_validator(mode="after")
    def _validate(self) -> "EsgfOptions":
        if not self.facets:
            raise InvalidValue(message("selects nothing to mirror"), message("name facets and their values"))
        ours = sorted({name for name, _ in self.facets} & _OURS)
        if ours:
            raise InvalidValue(
                message("sets {names}, which syncd sets itself", names=", ".join(ours)), message("delete them")
            )
        if self.replicas and len(self.nodes) != 1:
            raise InvalidValue(
                message("wants replicas and names {count} nodes", count=len(self.nodes)),
                message("name the one node that the files come from"),
            )
        return self


class _EsgfState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the pages of the search so far."""

    pages: PageChain = PageChain()


class _EsgfFile(msgspec.Struct):
    id: object = None
    dataset_id: object = None
    title: object = None
    size: object = None
    checksum: object = None
    checksum_type: object = None
    url: object = None
    timestamp: object = None


class _EsgfHits(msgspec.Struct):
    count: object = msgspec.field(name="numFound", default=None)
    files: list[_EsgfFile] | None = msgspec.field(name="docs", default=None)


class _EsgfAnswer(msgspec.Struct):
    response: _EsgfHits | None = None


def open_reader(source: ReaderSource) -> "EsgfReader":
    """Return the reader for `source`."""
    return EsgfReader(source.url, chosen(source, EsgfOptions))


class EsgfReader:
    """A Reader: one request for each page of the search; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: EsgfOptions) -> None:
        self._search = f"{url}search"
        self._options = options

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of the search."""
        return [self._page(PageChain())]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of a page, and request the next one."""
        state = msgspec.json.decode(document.asked.state, type=_EsgfState)
        hits = read_json(document, _EsgfAnswer).response
        total = size(hits.count) if hits is not None else None
        if hits is None or hits.files is None or total is None:
            raise DocumentError(message("{url}: not the answer to a search", url=document.url))
        skipped = SkippedEntries(document)
        for file in hits.files:
            stat = self._file(document, file)
            if stat is None:
                skipped.add(message("a file without a title, a dataset_id, or a url for downloading"))
            else:
                yield stat
        pages = state.pages.read(document, (text(file.id) for file in hits.files))
        if hits.files and pages.entries < total:
            yield self._page(pages)
        else:
            skipped.expect(total, pages.entries, message("files"))
        skipped.raise_if_any()

    def _file(self, document: Document, file: _EsgfFile) -> Stat | None:
        name, dataset = verbatim(_first(file.title)), text(_first(file.dataset_id)).partition("|")[0]
        urls = [url for each in _listed(file.url) if (url := _download(document, each)) is not None]
        if not name or not dataset or not urls:
            return None
        return Stat(
            below(dataset.replace(".", "/"), name),
            size(_first(file.size)),
            moment(_first(file.timestamp)),
            digests=digests((text(_first(file.checksum_type)), _first(file.checksum))),
            urls=tuple(urls),
        )

    def _page(self, pages: PageChain) -> DocumentRequest:
        chosen = self._options
        words = [
            ("type", "File"),
            ("format", "application/solr+json"),
            ("fields", _FIELDS),
            ("sort", "id asc"),
            ("distrib", str(chosen.distributed).lower()),
            *((("latest", "true"),) if chosen.latest else ()),
            *((("replica", "false"),) if not chosen.replicas else ()),
            *((("data_node", ",".join(chosen.nodes)),) if chosen.nodes else ()),
            *chosen.facets,
            ("limit", str(chosen.page)),
            ("offset", str(pages.entries)),
        ]
        state = msgspec.json.encode(_EsgfState(pages)).decode()
        return DocumentRequest(url=f"{self._search}?{urlencode(words)}", state=state)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _first(value: object) -> object:
    """Return the value of a field that Solr gives as a list of one."""
    return value[0] if isinstance(value, list) and value else value


def _download(document: Document, written: object) -> str | None:
    """Return the url of `url|media type|service`, if its service is a plain download."""
    url, _, rest = text(written).partition("|")
    return absolute(document, url) if rest.rpartition("|")[2] == "HTTPServer" else None


READER = ReaderKind(
    open_reader, EsgfOptions, proof=CompletenessProof(end="the closing bracket of the JSON", count="`numFound`")
)
