"""The reader for ERDDAP's files: the source files of datasets below `/erddap/files/`, listed as CSV.

Rules:
1. Without `datasets` all those that are public and show files are mirrored, each in a folder of its name; a single
   dataset lies at the top.
2. Times are milliseconds since the epoch, in older versions text; sizes are exact bytes; a name that ends in `/` is a
   folder. A row may end before its last columns, which are for people.
3. ERDDAP asks clients to send one request at a time: set `limits: {connections: 1}`.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, BeforeValidator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    SkippedEntries,
    below,
    chosen,
    folders,
    moment,
    size,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_DEPTH = 32  # folders below a dataset

_COLUMNS = ("datasetID", "accessible", "files")
_QUERY = "datasetID%2Caccessible%2Cfiles"


def _identifier(given: object) -> object:
    if isinstance(given, str) and not given.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InvalidValue(
            message("is not a datasetID"),
            message("write it as ERDDAP's page of datasets shows it, as in erdMBsstd1day"),
        )
    return given


class ErddapOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    datasets: tuple[Annotated[str, BeforeValidator(_identifier)], ...] = ()
    """The datasets to mirror, by their datasetID; by default all that are public and show their files."""


class _ErddapState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the dataset, where it lies in the mirror, and the folder below it."""

    dataset: str = ""
    place: str = ""
    folder: str = ""


def open_reader(source: ReaderSource) -> "ErddapReader":
    """Return the reader for `source`."""
    return ErddapReader(source.url, chosen(source, ErddapOptions))


class ErddapReader:
    """A Reader: one request for each folder of each dataset, one Stat for each file."""

    native = False

    def __init__(self, root: str, options: ErddapOptions) -> None:
        self._root = root
        self._places = folders(options.datasets) if options.datasets else {}

    def start(self) -> Iterable[DocumentRequest]:
        """Request the datasets' folders, or the table of all datasets."""
        if not self._places:
            return [_follow(f"{self._root}tabledap/allDatasets.csv?{_QUERY}", _ErddapState())]
        return [self._folder(_ErddapState(dataset, place)) for dataset, place in self._places.items()]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what one folder, or the table of datasets, lists."""
        note = msgspec.json.decode(document.asked.state, type=_ErddapState)
        rows = _rows(document)
        columns = {name: number for number, name in enumerate(next(rows, []))}
        if not note.dataset:
            yield from self._datasets(document, rows, columns)
            return
        if not {"Name", "Last modified", "Size"} <= columns.keys():
            raise DocumentError(
                message("{url}: is not a list of ERDDAP's files: it lacks Name,Last modified,Size", url=document.url)
            )
        if note.folder.count("/") >= MAX_DEPTH:
            raise DocumentError(
                message(
                    "{url}: {folder} has folders more than {max_depth} deep: a loop?",
                    url=document.url,
                    folder=note.folder,
                    max_depth=MAX_DEPTH,
                )
            )
        unread = SkippedEntries(document)
        for number, row in enumerate(rows, 2):
            name = row[columns["Name"]] if len(row) > columns["Name"] else ""
            is_short = len(row) <= max(columns["Last modified"], columns["Size"])  # a description may be missing
            if not name or (is_short and not name.endswith("/")):
                unread.add(message("line {number} does not have the columns of the first line", number=number))
                continue
            if name.endswith("/"):
                yield self._folder(msgspec.structs.replace(note, folder=note.folder + name))
                continue
            path = note.folder + name
            url = f"{self._base(note)}{quote(path)}"
            modified = _moment(row[columns["Last modified"]])
            yield Stat(below(note.place, path), size(row[columns["Size"]]), modified, urls=(url,))
        unread.raise_if_any()

    def _datasets(self, document: Document, rows: Iterator[list[str]], columns: dict[str, int]) -> Iterator[Found]:
        if not columns.keys() >= set(_COLUMNS):
            raise DocumentError(
                message(
                    "{url}: is not a table of ERDDAP's datasets: name them in the manifest (datasets)", url=document.url
                )
            )
        next(rows, None)  # the units
        unread = SkippedEntries(document)
        for number, row in enumerate(rows, 3):
            if len(row) <= max(columns[name] for name in _COLUMNS) or not row[columns["datasetID"]]:
                unread.add(message("line {number} has not the columns that the first line names", number=number))
                continue
            dataset = row[columns["datasetID"]]
            if row[columns["accessible"]] not in ("public", "yes", "graphsOnly"):
                yield ReaderWarning(message("datasets that need a login are left out"))
            elif row[columns["files"]]:
                yield self._folder(_ErddapState(dataset, dataset))
            elif dataset != "allDatasets":
                yield ReaderWarning(message("datasets that do not show their files have none to copy"))
        unread.raise_if_any()

    def _folder(self, note: _ErddapState) -> DocumentRequest:
        return _follow(f"{self._base(note)}{quote(note.folder)}.csv", note)

    def _base(self, note: _ErddapState) -> str:
        return f"{self._root}files/{note.dataset}/"


def _follow(url: str, note: _ErddapState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


def _rows(document: Document) -> Iterator[list[str]]:
    """Yield the rows of a CSV document; raises DocumentError."""
    text = io.TextIOWrapper(document.stream, "utf-8", newline="")
    try:
        yield from csv.reader(text, strict=True)
    except (csv.Error, UnicodeError) as error:
        raise DocumentError(message("{url}: cannot be read as CSV: {cause}", url=document.url, cause=error)) from error
    finally:
        text.detach()
    document.check_line_end()


def _moment(text: str) -> float | None:
    """Return seconds since the epoch of milliseconds, or of a date in words."""
    milliseconds = size(text)
    return moment(text) if milliseconds is None else milliseconds / 1000


READER = ReaderKind(
    open_reader, ErddapOptions, proof=CompletenessProof(end="the line end of the last line of CSV", unseen="lines")
)
