"""How a Reader asks for documents and what it is handed: the sans-I/O contract between formats and the survey.

A Reader is pure. It names documents (DocumentRequest), is handed each one whole and complete (Document), and yields
what it finds: Stats (files that exist), DerivedFiles (whose bytes it computed from the document), Promises (digests of
files that may exist), and further DocumentRequests. The survey fetches requests through the Transport, many at once, in
no promised order; an inventory is complete only if every request was read to its end without an error.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from manifests.stat import Promise, Stat

MAX_DOCUMENT = 1 << 30  # bytes; a list of ten million files is about this long
MAX_MADE = 64 << 20  # bytes of one file that a Reader makes


class DocumentError(ValueError):
    """A document that is not what its Reader can read; the message begins with the document's url or path."""


class Gap(DocumentError):
    """Upstream no longer tells all that changed since a mark: everything must be read once more."""


class DocumentRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next document: `url` is absolute or relative to the source; `state` is the Reader's own note to itself.

    `optional` says that a 404 is an answer (a sidecar that may not exist) and not an incomplete inventory; with `told`
    the Reader is handed that answer too, as an empty Document that is `missing`. The method LIST asks for the
    transport's own listing of all whose url begins with `url`: a line of JSON (a Stat) for each file.
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes = b""
    state: str = ""
    optional: bool = False
    told: bool = False
    max_bytes: int = MAX_DOCUMENT


class DerivedFile(msgspec.Struct, frozen=True):
    """A file that upstream has only as part of a document: the Reader computed its bytes, the same for the same answer.

    For catalogues whose answers are the dataset. Nobody publishes digests of these files: their verdict is `attested`.
    """

    path: str
    body: bytes


class Deleted(msgspec.Struct, frozen=True):
    """A path that upstream says it has no longer; it counts only where a Reader was asked for changes."""

    path: str


class Cursor(msgspec.Struct, frozen=True):
    """How far upstream has been read, by its own clock: the greatest one of a survey is where the next may go on."""

    value: str


class ReaderWarning(msgspec.Struct, frozen=True):
    """Something a Reader passed over in a document that it read all the same, such as a digest that cannot be one.

    The survey tells each text once, with how often it came: say what and where in general, not the file.
    """

    text: str


class Document:
    """One fetched document: complete, of bounded length, on disk if it is large; read once, from its beginning.

    `url` is where it was finally found (after redirects), `asked` the request that named it, `headers` have lower-case
    names. `stream` is a seekable binary file. `missing` says that it is not there, and the request wanted to be told.
    """

    __slots__ = ("asked", "headers", "missing", "stream", "url")

    def __init__(
        self, asked: DocumentRequest, url: str, headers: dict[str, str], stream: BinaryIO, *, missing: bool = False
    ) -> None:
        self.asked = asked
        self.url = url
        self.headers = headers
        self.stream = stream
        self.missing = missing

    def read(self, limit: int) -> bytes:
        """Return all bytes; raises DocumentError if there are more than `limit`."""
        body = self.stream.read(limit + 1)
        if len(body) > limit:
            raise DocumentError(f"{self.url}: longer than the {limit} bytes allowed for such a document")
        return body

    def lines(self, limit: int = 1 << 16) -> Iterator[bytes]:
        r"""Yield the lines without their `\n`; raises DocumentError if one has more than `limit` bytes."""
        while line := self.stream.readline(limit + 1):
            if len(line) > limit:
                raise DocumentError(f"{self.url}: a line is longer than {limit} bytes")
            yield line.removesuffix(b"\n")


Found = Stat | DerivedFile | Promise | DocumentRequest | Deleted | Cursor | ReaderWarning
"""What a Reader may find in a document."""


class Reader(Protocol):
    """One upstream format for saying what is there. Pure: no I/O, no clock.

    `start` names the first documents. `read` may raise DocumentError: the inventory is then incomplete, nothing more.
    Paths are yielded as upstream writes them; the survey checks them (`check_path`), not the Reader.
    """

    def start(self) -> Iterable[DocumentRequest]:
        """Name the first documents."""
        ...

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what one document says; raises DocumentError."""
        ...


@runtime_checkable
class ListsNatively(Protocol):
    """Capability of a Reader: say that it reads no documents, but the transport's own listing, which comes sorted."""

    native: bool


def is_native(reader: Reader) -> bool:
    """Return True if a Reader reads the transport's own listing."""
    return isinstance(reader, ListsNatively) and reader.native


@runtime_checkable
class Resumable(Reader, Protocol):
    """A Reader that can ask for what changed since an earlier survey, instead of for everything.

    It yields Cursors. `resume` begins at one; of what is then read the last word on a path counts, so a Reader asks for
    documents one behind the other where their order matters. Raises Gap where upstream does not tell all changes.
    """

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Name the first documents that tell what changed since `mark`."""
        ...
