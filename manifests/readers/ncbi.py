"""The reader for NCBI's genomes: a summary names the assemblies, each assembly's md5checksums.txt its files.

The copy has the archive's folders (`genomes/all/GCF/000/…`), and all files are requested from the source, whatever host
a summary names. Rules:

1. The rows of a summary that match every column in `where` are mirrored; rows whose folder is `na` have no files.
2. The files of an assembly that match `files` are mirrored, with their MD5. Two kinds of file change after their list
   is written (`annotation_hashes.txt`, `assembly_status.txt`): their digest in it is ignored.
3. `singles` are files with an `.md5` beside them (taxdump.tar.gz), in any form.
4. A truncated row is reported after all others were read: the inventory is then incomplete.
"""

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec
from pydantic import BaseModel, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, Glob, PathBelow, matcher
from manifests.readers.checksum_lines import ListReport
from manifests.readers.checksums import read_list
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    chosen,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_LINE = 1 << 20  # bytes of a row
_MUTABLE = frozenset({"annotation_hashes.txt", "assembly_status.txt"})
_LIST = "md5checksums.txt"


class NcbiOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    summaries: tuple[PathBelow, ...] = ()
    """Paths of assembly summaries, as in genomes/refseq/viral/assembly_summary.txt."""
    where: dict[str, Annotated[tuple[str, ...], AtLeastOne]] = {}
    """The wanted values of each column that matters; * and ? are wildcards."""
    files: Annotated[tuple[Glob, ...], AtLeastOne] = ("*",)
    """Globs of the wanted files of each assembly."""
    singles: tuple[PathBelow, ...] = ()
    """Paths of files that have an .md5 beside them, as in pub/taxonomy/taxdump.tar.gz."""

    @model_validator(mode="after")
    def _validate(self) -> "NcbiOptions":
        if not self.summaries and not self.singles:
            raise InvalidValue(message("selects nothing to mirror"), message("name summaries, or singles"))
        return self


class _NcbiState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of its document, and its path in the mirror."""

    kind: str
    path: str


def open_reader(source: ReaderSource) -> "NcbiReader":
    """Return the reader for `source`."""
    return NcbiReader(source.url, chosen(source, NcbiOptions))


class NcbiReader:
    """A Reader: one request for each summary, and for each assembly in it; Stats for the lists and all they list."""

    native = False

    def __init__(self, url: str, options: NcbiOptions) -> None:
        self._root = unquote(urlsplit(url).path).strip("/")
        self._summaries = tuple(dict.fromkeys(options.summaries))
        self._singles = tuple(dict.fromkeys(options.singles))
        self._where = {column: _fits(values) for column, values in options.where.items()}
        self._wants = matcher(options.files)

    def start(self) -> Iterable[DocumentRequest]:
        """Request the summaries and the sidecars."""
        for path in self._summaries:
            yield _follow("summary", path)
        for path in self._singles:
            yield _follow("single", f"{path}.md5")

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the contents of one document, and the document itself as a file of the mirror."""
        note = msgspec.json.decode(document.asked.state, type=_NcbiState)
        whole, length = hashlib.sha256(), 0
        while block := document.stream.read(1 << 20):
            whole.update(block)
            length += len(block)
        document.stream.seek(0)
        if note.kind == "summary":
            yield from self._assemblies(document)
        elif note.kind == "single":
            report = ListReport(document, note.path)
            for path, promised, _ in read_list(document, note.path, report):
                if f"{path}.md5" != note.path:
                    raise DocumentError(
                        message("{url}: names {path!r}, not the file beside it", url=document.url, path=path)
                    )
                yield Stat(path, digests=promised)
            yield from report.finish()
        else:
            yield from self._files(document, note.path)
        yield Stat(note.path, size=length, version=f"sha256:{whole.hexdigest()}")

    def _files(self, document: Document, path: str) -> Iterator[Found]:
        folder = path[: -len(_LIST)]
        report = ListReport(document, path)
        for listed, promised, _ in read_list(document, path, report):
            name = listed.removeprefix(folder)
            if self._wants(name):
                yield Stat(listed, digests={} if name in _MUTABLE else promised)
        yield from report.finish()

    def _assemblies(self, document: Document) -> Iterator[DocumentRequest]:
        columns: list[str] = []
        width = place = 0
        tests: list[tuple[int, Callable[[str], bool]]] = []
        unread = SkippedEntries(document)
        for number, line in enumerate(document.lines(MAX_LINE, whole=True), 1):
            if line.startswith(b"#"):
                named = line.lstrip(b"# ").rstrip(b"\r").decode("utf-8", "replace").split("\t")
                if "assembly_accession" in named:
                    columns, width = named, len(named)
                    place = self._column(document, columns, "ftp_path")
                    tests = [(self._column(document, columns, name), fits) for name, fits in self._where.items()]
                continue
            if not line.strip():
                continue
            if not columns:
                raise DocumentError(
                    message(
                        "{url}: line {number} comes before any header: not an assembly summary",
                        url=document.url,
                        number=number,
                    )
                )
            row = line.rstrip(b"\r").decode("utf-8", "replace").split("\t")
            if len(row) != width:
                unread.add(
                    message(
                        "line {number} has {count} columns, the header {width}",
                        number=number,
                        count=len(row),
                        width=width,
                    )
                )
            elif all(fits(row[at]) for at, fits in tests) and row[place] not in ("na", ""):
                folder = self._folder(row[place])
                if folder is None:
                    unread.add(
                        message(
                            "line {number} does not name a folder of the archive: {row!r}",
                            number=number,
                            row=row[place][:100],
                        )
                    )
                else:
                    yield _follow("assembly", f"{folder}/{_LIST}")
        if not columns:
            raise DocumentError(
                message("{url}: has no header with assembly_accession: not an assembly summary", url=document.url)
            )
        unread.raise_if_any()

    def _column(self, document: Document, columns: list[str], name: str) -> int:
        if name not in columns:
            raise DocumentError(
                message(
                    "{url}: has no column {name!r}; it has {columns}", url=document.url, name=name, columns=columns
                )[:2000]
            )
        return columns.index(name)

    def _folder(self, url: str) -> str | None:
        """Return the folder below the source that an `ftp_path` names, None for an invalid one."""
        found = re.fullmatch(r"(?:https?|ftp)://[^/]+/+([\x21-\x7e]*[^/])/*", url)
        if found is None or any(part in {"", ".", ".."} for part in found[1].split("/")):
            return None
        path = found[1]
        return path.removeprefix(f"{self._root}/") if self._root else path


def _fits(values: tuple[str, ...]) -> Callable[[str], bool]:
    if not any(mark in value for value in values for mark in "*?["):
        return frozenset(values).__contains__
    match = re.compile("|".join(fnmatch.translate(value) for value in values)).match
    return lambda value: match(value) is not None


def _follow(kind: str, path: str) -> DocumentRequest:
    return DocumentRequest(url=path, state=msgspec.json.encode(_NcbiState(kind, path)).decode())


READER = ReaderKind(
    open_reader, NcbiOptions, ANY, proof=CompletenessProof(end="the line end of the last line", unseen="lines")
)
