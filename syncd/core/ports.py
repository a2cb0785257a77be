"""The contracts between the engine and the world: Transport (theirs, read only), Store (ours), and what passes between.

Rules for every implementation:
1. It raises only TransientError, PermanentError or their children (`syncd.core.errors`), at the line where they happen,
   the iterator included; a caller's own exception passes through untouched.
2. `CancelledError` passes through; whatever was open is closed.
3. Ranges are half-open, `[start, stop)`. Every read is bounded. No retries here: `Retrying` does that, once.
4. Paths are relative, checked by `manifests.stat.check_path`, `/` between parts. A Transport also takes an absolute url
   where a Stat names one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat

C = TypeVar("C")

Page = Sequence[Stat]  # of millions of files a `manifests.reading.stat_page.Stats`, else a list
Sink = Callable[[memoryview], None]
"""Takes the next bytes, in order, in whatever thread has them; they are lent to it for the call."""


class Body(Protocol):
    """Bytes on their way. Iterate once; chunks are non-empty and of no promised size.

    `stat` is what the answer itself claims: `size` of the *whole* file (not of the range) or None, `version` only if it
    is a strong validator, `modified`, and digests that the answer promises for the whole file. `[start, stop)` are the
    offsets that will be yielded (`stop` None where the answer does not say): an answer to a range is known by them.
    Raises Interrupted if the body ends before its announced end, and never yields a byte past it. `headers` have
    lower-case names; a transport without headers has none. `url` is where it came from.
    """

    stat: Stat
    start: int
    stop: int | None
    headers: dict[str, str]
    url: str

    def __aiter__(self) -> AsyncIterator[bytes]: ...


@runtime_checkable
class CopyingBody(Protocol):
    """Capability of a Body: copy itself in a thread, without the event loop (`streams.thread_copy`)."""

    def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Instead of iterating: give every byte to `sink` in a thread, and yield how many more it has taken.

        Raises as iterating does, and whatever `sink` raises; the counts yielded before that are exact.
        """
        ...


class Transport(Protocol):
    """Other people's tree of files, read only."""

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every file below `prefix` (a plain string prefix), sorted by path where the other side can sort."""
        ...

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time, from the first path that sorts behind `after` on: for ten million of them."""
        ...

    async def stat(self, path: str) -> Stat:
        """Ask for one file's size, version, modified. Raises NotFound, Denied."""
        ...

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)` of one file.

        `version` binds the read: if the file is no longer that version, Changed is raised on entering, before any byte.
        A range that upstream ignores or answers with another range raises Unsupported. `stop` past the end is
        cut to it; `start` past the end raises Unsupported; an empty file yields no bytes.
        """
        ...

    async def aclose(self) -> None:
        """Close what is open. May be called twice."""
        ...


class Wrapper:
    """Base of everything that wraps one other Transport or Store (`syncd.wrappers.base`)."""

    inner: object


def capability(layer: object, kind: type[C]) -> C | None:
    """Return the outermost layer that has the capability `kind`, or None.

    A capability is a protocol of this module, marked so, that a Transport or Store may have besides its port. It is
    looked for in `layer`, then in what `layer` wraps, and so on: a wrapper forwards a capability by not naming it.
    """
    while not isinstance(layer, kind):
        if not isinstance(layer, Wrapper):
            return None
        layer = layer.inner
    return layer


@runtime_checkable
class Asking(Protocol):
    """Capability of a Transport: send a request that is more than a path (`streams.documents.open_request`)."""

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request with a method, headers and a body; any status 2xx is an answer.

        Sensitive headers and the body are not sent across origins.
        """
        ...


@runtime_checkable
class Answering(Protocol):
    """Capability of a Transport that retries: read the whole answer to a request, from its beginning at each try."""

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Return the whole answer, written into `spool`."""
        ...


@runtime_checkable
class ShowsCertificates(Protocol):
    """Capability of a Transport or Store that uses TLS: show when the certificates of its servers expire."""

    @property
    def certificates(self) -> Mapping[str, float]:
        """Return the expiry (seconds since the epoch) of the last certificate seen, by origin; a live mapping."""
        ...


@runtime_checkable
class LimitsConnections(Protocol):
    """Capability of a Transport: say how many connections its servers bear, where that is fewer than usual."""

    @property
    def connections(self) -> int:
        """Return the number of connections to open at most, unless the manifest says less."""
        ...


@runtime_checkable
class SeveralSources(Protocol):
    """Capability of a Transport over several sources: be told which of them is surveyed, and which failed."""

    active: int
    """The source that is surveyed, by its place in the manifest."""

    def failed(self, number: int) -> None:
        """Put a source last for a while."""
        ...

    def targets(self, stat: Stat) -> tuple[str, ...]:
        """Return the absolute urls from which a file can be downloaded, in the order in which to try them."""
        ...


class Staged(Protocol):
    """One file on its way into the store: bytes at offsets, in any order, invisible until `commit`.

    `token` names the staging so that a later process can `resume` it, from the first byte on ("" = cannot be resumed):
    every `write` that returned is found again after SIGKILL, save what a store must gather first (at most one `piece`
    for each gap). `present_ranges` are the ranges found intact on resume, sorted, disjoint, half-open.
    """

    token: str
    present_ranges: tuple[tuple[int, int], ...]

    async def write(self, offset: int, chunk: bytes) -> None:
        """Put `chunk` at `offset`. Raises NoSpace, Offline, Damaged."""
        ...

    def sink(self, offset: int) -> Sink | None:
        """Return what writes from `offset` on, as `write` does, from a thread; None where bytes must be awaited."""
        ...

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """Give `[start, stop)`, all of it written through sinks, to `update`. Blocks: call it in a thread."""
        ...

    def read(self) -> AsyncIterator[bytes]:
        """Read the whole file back, in order, once all of it was written; nothing may be written afterwards.

        The way to prove a resumed file. On S3 this completes the upload under its staging key, not its own.
        """
        ...

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Make the file visible at its path (or `to`, the quarantine), durably, atomically, in place of what is there.

        `size` and `sha256` (hex) are what the caller proved of the bytes; a store whose server verifies no digest reads
        back before it answers. Raises Damaged if what is stored is not that, Exists if `if_absent` and something is
        there. Nothing is visible if it raises.
        """
        ...

    async def discard(self) -> None:
        """Drop the bytes; `token` is void."""
        ...


class Store(Transport, Protocol):
    """Our tree of objects. It reads like a Transport. Atomic: no reader ever sees part of an object."""

    piece: int
    """Bytes: writes to a Staged are best made in multiples of this."""

    async def put(self, path: str, body: bytes, *, if_absent: bool = False) -> Stat:
        """Write one small object, durably (returns after fsync, or a 2xx to a digest the server verified).

        `if_absent` raises Exists where one is (advice, not a lock). Many puts at once share their fsyncs.
        """
        ...

    def stage(self, path: str, *, size: int | None, resume: str | None = None) -> AbstractAsyncContextManager[Staged]:
        """Begin, or with `resume` go on with, a file. Leaving the block without commit leaves nothing visible.

        Left without commit or discard, a staging that has a `token` stays for `resume`; one without is dropped.
        """
        ...

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store, no bytes through us, replacing `to`. Raises NotFound. Idempotent after a crash."""
        ...

    async def copy(self, path: str, to: str) -> None:
        """As `move`, but `path` stays (a hard link or a server-side copy)."""
        ...

    async def delete(self, path: str) -> None:
        """Remove; a missing object is no error."""
        ...

    async def identify(self, expected: str | None) -> str:
        """Return the store's own id, given to an empty one on first use.

        Raises Offline if a store was `expected` and this is none, or another: an unmounted folder is not an empty one.
        """
        ...

    async def free(self) -> int | None:
        """Bytes left for us, or None where there is no such number."""
        ...

    async def sweep(self, older_than: float) -> int:
        """Drop stagings nobody touched for `older_than` seconds; returns how many. A token in use is younger."""
        ...


@runtime_checkable
class Summing(Protocol):
    """Capability of a Store: hash many files in one call, without the event loop; it pays for small files."""

    def sums(self, paths: Sequence[str], is_over: Callable[[], bool]) -> Sequence[str | None]:
        """Return the sha256 (hex) of each file, or None: it cannot be read to its end, and `open` says why.

        Blocks: call it in a thread. Once `is_over` says so, nothing more is read, and the rest is None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret bound to one origin (`https://host[:port]`, or `s3://bucket`); never sent to another, never printed.

    `scheme` is basic, bearer, header, key, s3, oauth or login. basic: `username`, `secret`. bearer: `secret`. header:
    `header`, `secret`. key (of SSH): `username`, `secret` is the private key, `token` its passphrase or "". oauth: a
    token that a Broker holds; `username`, `secret`, `client` and its secret `token` go to the url `at`. login: through
    redirects; `username` and `secret` go to the origin `at`. `also` are further origins of the same publisher.
    s3: `username` is the access key id, `secret` the secret key, `token` the session token or "".
    """

    name: str
    origin: str
    scheme: str
    secret: str = field(repr=False)
    username: str = ""
    header: str = ""
    token: str = field(default="", repr=False)
    also: tuple[str, ...] = ()
    at: str = ""
    client: str = ""


class Broker(Protocol):
    """Holds the token of a credential, one for all who need it."""

    async def token(self, spent: str = "") -> str:
        """Return a token that is good for a while, and is not `spent`. Raises Denied, Unreachable."""
        ...
