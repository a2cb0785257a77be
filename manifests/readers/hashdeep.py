r"""The reader for hashdeep's lists: size and several digests of each file, one line each.

    %%%% HASHDEEP-1.0
    %%%% size,md5,sha256,filename
    ## comments
    622,6f4a…,2f1c…,/data/archive/a.nc

Rules:
1. The second line names the columns: size first, file name last. Names may contain commas, nothing is quoted.
2. Digests of unknown algorithms (tiger, whirlpool) and invalid ones are ignored.
3. Names are usually absolute, on the machine that made the list: `root` is the folder they are relative to. A name that
   is not below it is yielded unchanged; `check_path` rejects it.
4. A list made on Windows has backslashes for separators, if every name that has one has no slash. Its `root` may have
   either (`D:\archive`), and is compared regardless of case.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.readers.checksum_forms import has_backslash, has_windows_names
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ListPath,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    below,
    chosen,
    digests,
    encoded_urls,
    encoding_of,
    folder_of,
    own,
    recoded,
    size,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

_MAGIC = b"%%%% HASHDEEP-"
_WINDOWS_ROOT = re.compile(r"[A-Za-z]:|\\\\")


class HashdeepOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    lists: Annotated[tuple[ListPath, ...], Field(min_length=1)]
    """Paths of the lists, below the url."""
    root: str = ""
    """The folder, as written in the lists, that names are relative to: /data/archive, or D:\\archive of Windows."""


def open_reader(source: ReaderSource) -> "HashdeepReader":
    """Return the reader for `source`."""
    return HashdeepReader(chosen(source, HashdeepOptions), source.url, encoding_of(source))


class HashdeepReader:
    """A Reader: one request for each list; one Stat for each file listed, and one for the list itself."""

    native = False

    def __init__(self, options: HashdeepOptions, url: str = "", encoding: str = "utf-8") -> None:
        self._url = url
        self._lists = tuple(dict.fromkeys(options.lists))
        self._encoding = encoding
        self._is_windows = _WINDOWS_ROOT.match(options.root) is not None
        root = options.root.replace("\\", "/") if self._is_windows else options.root
        self._root = f"{root.rstrip('/')}/" if root else ""

    def start(self) -> Iterable[DocumentRequest]:
        """Request the lists."""
        return [DocumentRequest(url=path, state=path) for path in self._lists]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what the list names, then the list itself."""
        path = document.asked.state
        listed = own(document, path)
        document = recoded(document, self._encoding)
        is_windows = self._is_windows or (has_backslash(document) and has_windows_names(_names(document)))
        document.stream.seek(0)
        lines = document.lines(whole=True)
        columns = _columns(document, lines)
        unread = SkippedEntries(document)
        for number, line in enumerate(lines, 3):
            if not line.strip() or line.startswith((b"#", b"%")):
                continue
            values = line.removesuffix(b"\r").decode("utf-8", "surrogateescape").split(",", len(columns) + 1)
            if len(values) < len(columns) + 2 or (length := size(values[0])) is None:
                unread.add(message("line {number} does not have the columns of the second line", number=number))
                continue
            place = self._place(path, values[-1].replace("\\", "/") if is_windows else values[-1])
            urls = encoded_urls(self._url, place, self._encoding)
            yield Stat(place, length, digests=digests(*zip(columns, values[1:-1], strict=True)), urls=urls)
        unread.raise_if_any()
        yield listed

    def _place(self, path: str, name: str) -> str:
        root = self._root
        if root and (name.startswith(root) or (self._is_windows and name.lower().startswith(root.lower()))):
            name = name[len(root) :]
        return name if name.startswith("/") else below(folder_of(path), name.removeprefix("./"))


def _names(document: Document) -> Iterator[str]:
    """Yield the names of a list, whatever it is worth."""
    with suppress(DocumentError):
        lines = document.lines()
        count = len(_columns(document, lines)) + 1
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "surrogateescape").split(",", count)[-1]


def _columns(document: Document, lines: Iterator[bytes]) -> list[str]:
    """Return the names of the columns between size and file name."""
    if not next(lines, b"").startswith(_MAGIC):
        raise DocumentError(
            message("{url}: does not begin as a hashdeep list does, with %%%% HASHDEEP-1.0", url=document.url)
        )
    names = next(lines, b"").removeprefix(b"%%%%").decode("latin-1").strip().split(",")
    if len(names) < 2 or names[0].strip() != "size" or names[-1].strip() != "filename":
        raise DocumentError(
            message("{url}: its second line does not name the columns size,…,filename", url=document.url)
        )
    return [name.strip() for name in names[1:-1]]


READER = ReaderKind(
    open_reader,
    HashdeepOptions,
    schemes=ANY,
    proof=CompletenessProof(end="the line end of the last line", unseen="lines"),
    encoded=True,
)
