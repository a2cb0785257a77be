"""The reader for checksum lists: the publisher's own SHA256SUMS, MD5SUMS, *.md5 list the files.

Names are relative to the list's own folder, percent signs are literal, and a name that leaves the source is yielded
unchanged; `check_path` rejects it. `checksum_lines` has the forms of a line, and what makes a list incomplete.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne
from manifests.readers.checksum_forms import has_backslash, has_sizes, has_windows_names
from manifests.readers.checksum_lines import ListReport, parse_checksums, refuse_web_page
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    chosen,
    encoded_urls,
    encoding_of,
    recoded,
)
from manifests.stat import Stat, UnsafePath, check_path
from manifests.yaml import STRICT


def _list_path(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if re.search(r"[*?\[\]]", given) is not None:
        what = message("{given!r} is a glob", given=given[:80])
        raise InvalidValue(what, message("name each list by its path below the url; globs are for reader: autoindex"))
    if "://" in given:
        raise InvalidValue(message("a list outside the source"), message("name it by its path below the url"))
    try:
        return check_path(given)
    except UnsafePath as error:
        raise InvalidValue(str(error), message("name the list by its path below the url")) from error


class ChecksumsOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    checksums: Annotated[tuple[Annotated[str, BeforeValidator(_list_path)], ...], AtLeastOne] = Field(
        json_schema_extra={"minItems": 1}
    )
    """The checksum lists, by their paths below the url, as in SHA256SUMS."""
    unterminated: bool = False
    """True if the publisher writes no line end after the last line; otherwise such a list counts as truncated."""


def open_reader(source: ReaderSource) -> "ChecksumsReader":
    """Return the reader for `source`."""
    options = chosen(source, ChecksumsOptions)
    return ChecksumsReader(
        options.checksums, unterminated=options.unterminated, root=source.url, encoding=encoding_of(source)
    )


class ChecksumsReader:
    """A Reader: one request for each list; one Stat for each file listed, and one for the list itself."""

    native = False

    def __init__(
        self, lists: Iterable[str], *, unterminated: bool = False, root: str = "", encoding: str = "utf-8"
    ) -> None:
        self.lists = tuple(dict.fromkeys(lists))
        self._root = root
        self._encoding = encoding
        self._unterminated = unterminated

    def start(self) -> Iterable[DocumentRequest]:
        """Request the lists."""
        return [DocumentRequest(url=path, state=path) for path in self.lists]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the listed files, then the list itself: with it researchers can run the publisher's own check."""
        path = document.asked.state
        whole = hashlib.sha256()
        length = 0
        while block := document.stream.read(1 << 20):
            whole.update(block)
            length += len(block)
        document.stream.seek(0)
        document = recoded(document, self._encoding)
        report = ListReport(document, path)
        for listed, digests, size in read_list(document, path, report):
            yield Stat(listed, size, digests=digests, urls=encoded_urls(self._root, listed, self._encoding))
        yield Stat(path, size=length, version=f"sha256:{whole.hexdigest()}")
        yield from report.finish(unterminated=self._unterminated)


def read_list(document: Document, path: str, report: ListReport) -> Iterator[tuple[str, dict[str, str], int | None]]:
    """Yield the path, the digests and the size of every file listed in the document, which is found at `path`.

    `report` is filled with the other lines; its `finish` is called after the last file.
    """
    head = document.stream.read(1024)
    document.stream.seek(0)
    refuse_web_page(head, path)  # checked first, because a page may be one line of a megabyte
    folder = path[: path.rfind("/") + 1]
    sized = has_sizes(document)
    is_windows = has_backslash(document) and _has_windows_names(document, path, has_sizes=sized)
    for line in parse_checksums(document.lines(), name=path, report=report, has_sizes=sized):
        listed = _place(folder, line.name.replace("\\", "/") if is_windows else line.name)
        if listed != path:  # `sha256sum * > SHA256SUMS` lists itself, as the empty file it was at that moment
            yield listed, ({line.algorithm: line.digest} if line.algorithm else {}), line.size


def _has_windows_names(document: Document, path: str, *, has_sizes: bool) -> bool:
    lines = parse_checksums(document.lines(), name=path, has_sizes=has_sizes)
    try:
        return has_windows_names(line.name for line in lines)
    except DocumentError:  # it is raised again when the list is read
        return False
    finally:
        document.stream.seek(0)


def _place(folder: str, name: str) -> str:
    """Return the path of a listed name; outside the source it keeps its `/` or `..`, and is rejected later."""
    name = name.removeprefix("./")
    if name.startswith("/"):
        return name
    path = folder + name
    return posixpath.normpath(path) if ("./" in name or "//" in name) and not name.endswith("/") else path


READER = ReaderKind(
    open_reader,
    ChecksumsOptions,
    schemes=ANY,
    proof=CompletenessProof(
        end="the line end of the last line, the checksum at the end of a tagged line, or the end of the signature",
        unseen="lines",
    ),
    encoded=True,
)
