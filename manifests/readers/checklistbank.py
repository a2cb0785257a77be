"""The reader for ChecklistBank: releases of the Catalogue of Life (Species 2000), and any other dataset kept there.

Rules:
1. A release never changes. Its export is made once, on request; the newest finished one is the file, and the md5 of its
   job is its promise. `latest` is the newest release, in files that keep their name from month to month.
2. `annual` releases are those whose alias has a year and no month (COL2023, COL24); they are kept for ever.
3. Other datasets are taken as their source gave them (`take: archive`), with the md5 of their last import.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, cast
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Flag, like
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
    digests,
    moment,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

LIMIT = 1000  # rows to ask for at once: the most that ChecklistBank returns
REACH = 100_000  # rows of a list that it returns
_ANNUAL = re.compile(r"[A-Za-z]+(?:\d{4}|\d{2})")


Key = Annotated[
    str,
    like(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", "is not a dataset", "write its key or its alias, as in 2144 or COL23.9"),
]


class ChecklistbankOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    releases: Literal["latest", "annual", "all"] | None = None
    """The wanted releases of the project."""
    project: Annotated[Count, Field(ge=1)] = 3
    """The project whose releases they are; 3 is the Catalogue of Life."""
    extended: Flag = False
    """Take the extended releases (XR) instead of the base ones."""
    datasets: tuple[Key, ...] = ()
    """Datasets, by key or alias, as in 2144 or COL23.9."""
    format: Literal["COLDP", "DWCA", "ACEF", "TEXT_TREE", "NEWICK", "DOT"] = "COLDP"
    """The format of the exports."""
    take: Literal["export", "archive"] = "export"
    """Take ChecklistBank's export of each dataset, or the archive that it was imported from."""

    @model_validator(mode="after")
    def _validate(self) -> "ChecklistbankOptions":
        if self.releases is None and not self.datasets:
            raise InvalidValue(message("selects nothing to mirror"), message("name releases: latest, or datasets"))
        return self


class _ChecklistbankState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of document, a dataset's key, and the path of its file."""

    kind: str
    key: str = ""
    path: str = ""
    pages: PageChain = PageChain()


class _ChecklistbankDataset(msgspec.Struct, rename="camel"):
    key: object = None
    alias: object = None
    origin: object = None
    source_key: object = None
    attempt: object = None
    issued: object = None
    private: object = None


class _ChecklistbankPage(msgspec.Struct):
    total: object = None
    last: object = None
    result: list[_ChecklistbankDataset] | None = None


class _ExportRequest(msgspec.Struct):
    format: object = None
    extended: object = None
    root: object = None


class _ExportJob(msgspec.Struct, rename="camel"):
    key: object = None
    dataset_key: object = None
    status: object = None
    finished: object = None
    deleted: object = None
    request: _ExportRequest | None = None
    size: object = None
    md5: object = None


class _ExportJobs(msgspec.Struct):
    result: list[_ExportJob] | None = None


class _Import(msgspec.Struct):
    md5: object = None
    attempt: object = None
    finished: object = None


def open_reader(source: ReaderSource) -> "ChecklistbankReader":
    """Return the reader for `source`."""
    return ChecklistbankReader(source.url, chosen(source, ChecklistbankOptions))


class ChecklistbankReader:
    """A Reader: one request for each dataset, page of releases, list of exports; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: ChecklistbankOptions) -> None:
        self._url = url
        self._options = options

    def start(self) -> Iterable[DocumentRequest]:
        """Request the datasets, the latest release, or the first page of releases."""
        options = self._options
        if options.releases == "latest":
            yield _follow(
                f"{self._url}dataset/{options.project}{'LXR' if options.extended else 'LR'}",
                _ChecklistbankState("latest"),
            )
        elif options.releases is not None:
            yield self._page(PageChain())
        for key in dict.fromkeys(options.datasets):
            yield _follow(f"{self._url}dataset/{key}", _ChecklistbankState("dataset", key))

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and further requests that one document holds."""
        note = msgspec.json.decode(document.asked.state, type=_ChecklistbankState)
        if note.kind == "releases":
            yield from self._releases(document, note)
        elif note.kind == "exports":
            yield from self._exports(document, note)
        elif note.kind == "import":
            yield from self._import(document, note)
        else:
            dataset = read_json(document, _ChecklistbankDataset)
            if not text(dataset.key).isdigit():
                raise DocumentError(message("{url}: a dataset without a key", url=document.url))
            yield from self._dataset(dataset, "latest" if note.kind == "latest" else note.key)

    def _releases(self, document: Document, note: _ChecklistbankState) -> Iterator[Stat | DocumentRequest]:
        page = read_json(document, _ChecklistbankPage)
        total = size(page.total)
        if page.result is None:
            raise DocumentError(message("{url}: not a list of releases", url=document.url))
        unread = SkippedEntries(document)
        for dataset in page.result:
            key, alias, project = text(dataset.key), text(dataset.alias), size(dataset.source_key)
            if not key.isdigit():
                unread.add(message("a release without a key"))
            elif dataset.private is True or project not in (None, self._options.project):
                continue
            elif self._options.releases == "all" or _ANNUAL.fullmatch(alias) is not None:
                yield from self._dataset(dataset, alias or key)
        pages = note.pages.read(document, (text(dataset.key) for dataset in page.result))
        if page.last is True or not page.result or (total is not None and pages.entries >= total):
            unread.expect(total, pages.entries, message("releases"))
        elif pages.entries + LIMIT > REACH:
            unread.add(message("has more than the {reach} rows that ChecklistBank returns", reach=REACH))
        else:
            yield self._page(pages)
        unread.raise_if_any()

    def _dataset(self, dataset: _ChecklistbankDataset, folder: str) -> Iterator[Stat | DocumentRequest]:
        key, options = text(dataset.key), self._options
        if options.take == "archive":
            note = _ChecklistbankState("import", key, below(folder, "archive.zip"))
            yield _follow(f"{self._url}dataset/{key}/import", note)
            return
        path = below(folder, f"{options.format.lower()}.zip")
        words = {"format": options.format, "extended": "true"}
        # a release never changes, so its key is its version
        version = f"release:{key}" if text(dataset.origin).lower().endswith("release") else None
        yield Stat(path, version=version, urls=(f"{self._url}dataset/{key}/export.zip?{urlencode(words)}",))
        listed = urlencode({"datasetKey": key, "format": options.format, "status": "finished", "limit": 100})
        yield _follow(f"{self._url}export?{listed}", _ChecklistbankState("exports", key, path), optional=True)

    def _exports(self, document: Document, note: _ChecklistbankState) -> Iterator[Stat]:
        jobs = [job for job in read_json(document, _ExportJobs).result or () if self._fits(job, note.key)]
        newest = max(jobs, key=lambda job: moment(job.finished) or 0.0, default=None)
        if newest is not None:
            yield Stat(note.path, size(newest.size), digests=digests(("md5", newest.md5)))

    def _fits(self, job: _ExportJob, key: str) -> bool:
        asked = job.request or _ExportRequest()
        return (
            text(job.status).lower() == "finished"
            and job.deleted is None
            and text(job.dataset_key) == key
            and text(asked.format).upper() == self._options.format
            and asked.extended is True
            and asked.root is None
        )

    def _import(self, document: Document, note: _ChecklistbankState) -> Iterator[Stat]:
        found = read_json(document, cast("type[list[_Import] | _Import]", list[_Import] | _Import))
        last = found if isinstance(found, _Import) else found[0] if found else _Import()
        url = absolute(document, f"{self._url}dataset/{quote(note.key)}/archive")
        version = f"attempt:{text(last.attempt)}" if text(last.attempt) else None
        yield Stat(note.path, version=version, digests=digests(("md5", last.md5)), urls=(url,) if url else ())

    def _page(self, pages: PageChain) -> DocumentRequest:
        origin = "xrelease" if self._options.extended else "release"
        words = {"origin": origin, "releasedFrom": self._options.project, "limit": LIMIT, "offset": pages.entries}
        return _follow(f"{self._url}dataset?{urlencode(words)}", _ChecklistbankState("releases", pages=pages))


def _follow(url: str, note: _ChecklistbankState, *, optional: bool = False) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode(), optional=optional)


READER = ReaderKind(
    open_reader,
    ChecklistbankOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON", count="`total` and `last`", limit="100,000 rows of a list: incomplete"
    ),
)
