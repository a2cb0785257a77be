"""The port of a Reader, without I/O: it requests documents, receives them, and yields the files that they list.

A Reader is pure. It names documents (DocumentRequest), receives each one complete (Document), and yields what it
finds: Stats (files that exist), DerivedFiles (whose bytes it computed from the document), Promises (digests of
files that may exist), and further DocumentRequests. The survey fetches requests through the Transport, many at once, in
no promised order; an inventory is complete only if every request was read to its end without an error.
"""

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from manifests.head import FollowedHead
from manifests.messages import message
from manifests.snapshot import Entry, FirstOrigin
from manifests.stat import Promise, Stat

MAX_DOCUMENT = 1 << 30  # bytes; a list of ten million files is about this long
MAX_MADE = 64 << 20  # bytes of one file that a Reader makes


class DocumentError(ValueError):
    """A document that its Reader cannot read; the message begins with the document's url or path."""


class CountNotReached(DocumentError):
    """A list that was read to its end, and that ended before the count it announced: the source is there."""


class Gap(DocumentError):
    """Upstream no longer reports all changes since a cursor: everything must be read again.

    Without a text this is usual, and not reported.
    """


class DocumentRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document to read: `url` is absolute or relative to the source; the Reader gets `state` back with the document.

    With `optional` a 404 does not make the inventory incomplete (a sidecar that may not exist); with `told` the Reader
    also receives it, as an empty Document that is `missing`. The method LIST requests the transport's own listing of
    all files whose url begins with `url`: a line of JSON (a Stat) for each one. A shard of another node has the
    `sha256` of its lines: if our store holds it, it is read there, and not requested.
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes = b""
    state: str = ""
    optional: bool = False
    told: bool = False
    max_bytes: int = MAX_DOCUMENT
    sha256: str = ""


class DerivedFile(msgspec.Struct, frozen=True):
    """A file that upstream has only as part of a document: the Reader computes its bytes, equal for equal documents.

    For catalogues whose responses are the dataset. Their digests are not published: their verdict is `attested`.
    """

    path: str
    body: bytes


class Deleted(msgspec.Struct, frozen=True):
    """A path that upstream deleted; it is ignored unless the Reader was asked for changes."""

    path: str


class Cursor(msgspec.Struct, frozen=True):
    """How far upstream was read, by its own clock: the next survey resumes at the greatest one of this survey."""

    value: str


class ReaderWarning(msgspec.Struct, frozen=True, omit_defaults=True):
    """Entries, `count` of them, that a Reader ignored and that are no files, or a part such as an invalid digest.

    The survey reports each text once, with the sum of its counts: describe the kind of fault, not the file. The
    inventory stays complete.
    """

    text: str
    count: int = 1


class Selected(msgspec.Struct, frozen=True):
    """A value by which the manifest selects (a collection, a glob), and that a document matches.

    Yield it once for each document. The values of `Selective.selectors` that no document matches are reported.
    """

    key: str
    value: str


class Document:
    """One downloaded document: complete, of bounded length, on disk if it is large; read once, from its beginning.

    `url` is the final url after redirects, `asked` is the request, `headers` have lower-case names. `stream` is a
    seekable binary file. `missing` is True if it does not exist and the request has `told`. `is_bounded` is False if
    nothing in the response said where it ends: the server closed the connection, for whatever reason. `is_held` is True
    if it was read from our own store.
    """

    __slots__ = ("asked", "headers", "is_bounded", "is_held", "missing", "stream", "url")

    def __init__(
        self,
        asked: DocumentRequest,
        url: str,
        headers: dict[str, str],
        stream: BinaryIO,
        *,
        missing: bool = False,
        is_bounded: bool = True,
        is_held: bool = False,
    ) -> None:
        self.asked = asked
        self.url = url
        self.headers = headers
        self.stream = stream
        self.missing = missing
        self.is_bounded = is_bounded
        self.is_held = is_held

    def read(self, limit: int) -> bytes:
        """Return all bytes; raises DocumentError if there are more than `limit`."""
        body = self.stream.read(limit + 1)
        if len(body) > limit:
            raise DocumentError(
                message("{url}: longer than the {limit} bytes allowed for such a document", url=self.url, limit=limit)
            )
        return body

    def lines(self, limit: int = 1 << 16, *, whole: bool = False) -> Iterator[bytes]:
        r"""Yield the lines without their `\n`; raises DocumentError if one has more than `limit` bytes.

        With `whole` it also raises, after the last line, if that does not end in a line end, or if the response is not
        bounded: it may be cut.
        """
        while line := self.stream.readline(limit + 1):
            if len(line) > limit:
                raise DocumentError(message("{url}: a line is longer than {limit} bytes", url=self.url, limit=limit))
            yield line.removesuffix(b"\n")
        if whole:
            self.check_line_end()
            self.insist_on_bounds()

    def check_line_end(self) -> None:
        """Raise DocumentError if the document does not end in a line end: its last line may be cut."""
        if self.stream.seek(0, io.SEEK_END):
            self.stream.seek(-1, io.SEEK_END)
            if self.stream.read(1) not in {b"\n", b"\r"}:
                raise DocumentError(message("{url}: the last line has no line end: the list may be cut", url=self.url))

    def insist_on_bounds(self) -> None:
        """Raise DocumentError if nothing in the response said where it ends: for formats that cannot tell either."""
        if not self.is_bounded:
            raise DocumentError(
                message("{url}: nothing announced the length of the response: the list may be cut", url=self.url)
            )


class FollowMemory(msgspec.Struct, frozen=True):
    """What a Reader of another node must know: the head it followed last, the time, and our own name.

    `held` is the Snapshot that we hold: a difference to it can be proved.
    """

    last: FollowedHead
    now: float
    node: str = ""
    held: str = ""


class HeadFound(msgspec.Struct, frozen=True):
    """The head of another node that was accepted, and that the next survey must know."""

    head: FollowedHead


class FirstFound(msgspec.Struct, frozen=True):
    """Where a file of another node came from first, as that node says."""

    path: str
    first: FirstOrigin


class ListedEntry(msgspec.Struct, frozen=True):
    """A changed path in a difference of two Snapshots, which the survey proves; without an Entry it was deleted."""

    path: str
    entry: Entry | None


Found = (
    Stat
    | DerivedFile
    | Promise
    | DocumentRequest
    | Deleted
    | Cursor
    | ReaderWarning
    | Selected
    | HeadFound
    | FirstFound
    | ListedEntry
)
"""What `Reader.read` may yield."""


class Reader(Protocol):
    """One format in which upstreams list their files. Pure: no I/O, no clock.

    `start` requests the first documents. If `read` raises DocumentError, the inventory is incomplete; the pass goes on.
    Paths are yielded as upstream writes them; the survey checks them (`check_path`), not the Reader.
    """

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first documents."""
        ...

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and requests that one document holds; raises DocumentError."""
        ...


@runtime_checkable
class ListsNatively(Protocol):
    """Capability of a Reader: say that it reads no documents, but the transport's own listing, which comes sorted."""

    native: bool


def is_native(reader: Reader) -> bool:
    """Return True if a Reader reads the transport's own listing."""
    return isinstance(reader, ListsNatively) and reader.native


@runtime_checkable
class Selective(Protocol):
    """Capability of a Reader: say what the manifest selects by, so that a value that matches nothing is reported."""

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The values that the manifest selects by; the Reader yields each one that a document matches."""
        ...


@runtime_checkable
class Sparse(Protocol):
    """Capability of a Reader: say which of the files it yields upstream need not have (an answer of 404)."""

    def may_be_absent(self, path: str) -> bool:
        """Return True if a file that upstream does not have is no part of the list, and no failure."""
        ...


@runtime_checkable
class Resumable(Reader, Protocol):
    """A Reader that can request the changes since an earlier survey, instead of everything.

    It yields Cursors, and `resume` begins at one. The last entry for a path counts, so a Reader requests documents one
    after the other if their order matters. Raises Gap if upstream does not report all changes.
    """

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request the first documents that list the changes since `mark`."""
        ...


@runtime_checkable
class FollowsNode(Resumable, Protocol):
    """A Reader of another node's mirror: its list is of one moment, and it must know what was read before."""

    atomic: bool

    def follow(self, memory: FollowMemory) -> Resumable:
        """Return the Reader with the facts remembered of the node."""
        ...
