"""The ports of the engine: Transport (upstream's tree of files, only read), Store, and what they exchange.

Rules for every implementation:
1. It raises only TransientError, PermanentError or their children (`syncd.core.errors`) where they occur, iterators
   included. Exceptions of the caller pass through unchanged.
2. `CancelledError` passes through, and everything open is closed.
3. Ranges are half-open, `[start, stop)`. Every read is bounded. Only `Retrying` retries.
4. Paths are relative, checked by `manifests.stat.check_path`, with `/` between parts. A Transport also accepts an
   absolute url if a Stat names one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat

C = TypeVar("C")

Page = Sequence[Stat]  # for millions of files a `manifests.reading.stat_page.Stats`, else a list
Sink = Callable[[memoryview], None]
"""Called with the next bytes, in order, in any thread; the buffer is valid only during the call."""


FINAL_REPLY = "final-reply"
"""In the headers of a body without a length, if its server says at its end that it was sent whole."""


@runtime_checkable
class ReceivingSink(Protocol):
    """A Sink that has memory of its own, so that bytes need not be copied to it."""

    def __call__(self, chunk: memoryview, /) -> None:
        """Take the next bytes: those that were received into `room`, or any others."""
        ...

    def room(self, most: int) -> memoryview:
        """Return memory for at least one of the next bytes, at most for `most`; the call passes what was filled."""
        ...


class Body(Protocol):
    """The bytes of one response. Iterate once; chunks are non-empty and of any size.

    `stat` holds the claims of the response: `size` of the *whole* file (not of the range) or None, `version` only if it
    is a strong validator, `modified`, and published digests of the whole file. `[start, stop)` are the offsets of the
    bytes to come (`stop` is None if the response does not say); they identify the response to a range. Raises
    Interrupted if the body ends before its announced end; never yields a byte past it. `headers` have lower-case names
    and are empty for transports without headers, but for FINAL_REPLY. `url` is the address that responded.
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
        """Instead of iterating: pass every byte to `sink` in a thread, and yield the increments of the number passed.

        Raises as iterating does, and what `sink` raises; the counts yielded before that are exact.
        """
        ...


class Transport(Protocol):
    """The upstream's tree of files, only read."""

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every file below `prefix` (a plain string prefix), sorted by path if upstream can sort."""
        ...

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, but in pages, for millions of files; begins at the first path that sorts after `after`."""
        ...

    async def stat(self, path: str) -> Stat:
        """Return one file's size, version and time of modification. Raises NotFound, Denied."""
        ...

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)` of one file.

        `version` binds the read: on entering, before any byte, Changed is raised if the file has another version.
        RangeRefused is raised if upstream ignores the range or responds with another one; from the start of a file
        (`start` 0), the body may be the whole file instead: see its `stop`. A `stop` past the end is cut to the end;
        a `start` past the end raises Unsupported; an empty file yields no bytes.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections and files. May be called twice."""
        ...


class Wrapper:
    """Base of all decorators of a Transport or Store (`syncd.wrappers.base`)."""

    inner: object


def capability(layer: object, kind: type[C]) -> C | None:
    """Return the outermost layer that has the capability `kind`, or None.

    A capability is a protocol of this module, marked as such, that a Transport or Store may have besides its port. The
    search begins at `layer` and goes inwards: a wrapper that does not implement a capability forwards it.
    """
    while not isinstance(layer, kind):
        if not isinstance(layer, Wrapper):
            return None
        layer = layer.inner
    return layer


@runtime_checkable
class Asking(Protocol):
    """Capability of a Transport: send a request with method, headers and body (`streams.documents.open_request`)."""

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request with a method, headers and a body; any status 2xx is success.

        Sensitive headers and the body are not sent across origins.
        """
        ...


@runtime_checkable
class Answering(Protocol):
    """Capability of a Transport that retries: read a whole response, from its beginning at each try."""

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Return the whole response, written into `spool`."""
        ...


@runtime_checkable
class ShowsCertificates(Protocol):
    """Capability of a Transport or Store that uses TLS: report when the certificates of its servers expire."""

    @property
    def certificates(self) -> Mapping[str, float]:
        """Return the expiry (seconds since the epoch) of the last certificate seen, by origin. The mapping is live."""
        ...


@runtime_checkable
class LimitsConnections(Protocol):
    """Capability of a Transport: limit the connections, for servers that support fewer than usual."""

    @property
    def connections(self) -> int:
        """Return the largest number of connections to open; the manifest may set a lower one."""
        ...


@runtime_checkable
class ReportsSkipped(Protocol):
    """Capability of a Transport: say what its last listing passed over, because it is no file that it can read."""

    def skipped(self) -> Mapping[str, int]:
        """Return the reasons, each with the number of names."""
        ...


@runtime_checkable
class ReplacesLinks(Protocol):
    """Capability of a Transport: use another url for one that has ended, also for a request that waits for a slot."""

    links: dict[str, str]
    """The url to use, by the one that is asked for."""


@runtime_checkable
class SeveralSources(Protocol):
    """Capability of a Transport over several sources: choose the one to survey, and avoid one that failed."""

    active: int
    """The source that is surveyed, by its position in the manifest."""

    def failed(self, number: int) -> None:
        """Try this source last for a while."""
        ...

    def targets(self, stat: Stat) -> tuple[str, ...]:
        """Return the absolute urls of a file, in the order in which to try them."""
        ...


class Staged(Protocol):
    """One file that is being written into the store: bytes at offsets, in any order, invisible until `commit`.

    `token` names the staging so that a later process can `resume` it ("" = cannot be resumed). Every `write` that
    returned survives SIGKILL, except bytes that the store buffers (at most one `piece` for each gap).
    `present_ranges` are the ranges found intact on resume: sorted, disjoint, half-open.
    """

    token: str
    present_ranges: tuple[tuple[int, int], ...]

    async def write(self, offset: int, chunk: bytes) -> None:
        """Write `chunk` at `offset`. Raises NoSpace, Offline, Damaged."""
        ...

    def sink(self, offset: int) -> Sink | None:
        """Return a sink that writes from `offset` on, in a thread; None if the store has only `write`."""
        ...

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """Pass the bytes `[start, stop)`, which sinks have written, to `update`. Blocks: call it in a thread."""
        ...

    def read(self) -> AsyncIterator[bytes]:
        """Read the whole file back, in order, after the last write; no write may follow.

        A resumed file is verified in this way. On S3 this completes the upload under its staging key.
        """
        ...

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Make the file visible at its path (or `to`, the quarantine), durably and atomically; replaces a file there.

        The caller has verified `size` and `sha256` (hex). A store whose server verifies no digest reads the bytes
        back first. Raises Damaged if the stored bytes differ, Exists if `if_absent` and there is a file at the path.
        Nothing is visible if it raises.
        """
        ...

    async def discard(self) -> None:
        """Delete the bytes; `token` becomes invalid."""
        ...


class Store(Transport, Protocol):
    """The tree of objects that holds the copies. It reads like a Transport. Readers never see part of an object."""

    piece: int
    """The best size of writes to a Staged, in bytes; multiples are as good."""

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one small object, durably: returns after fsync, or after a 2xx to a digest that the server verified.

        With `if_absent`, raises Exists if there is an object (advice, not a lock). Concurrent puts share fsyncs.
        `sha256` (hex) is that of the body if the caller knows it.
        """
        ...

    def stage(
        self,
        path: str,
        *,
        size: int | None,
        resume: str | None = None,
        is_record: bool = False,
        in_place: bool = False,
        of: str | None = None,
    ) -> AbstractAsyncContextManager[Staged]:
        """Begin a file, or continue the one of `resume`. Without a commit, nothing becomes visible.

        With `of`, it has all bytes of that stored file already, as bytes of its own: `read` gives them, and `commit`
        makes exactly these bytes visible. Raises NotFound if there is no such file.

        A record of syncd itself may use the space that is kept free of files without a known size. With `in_place` the
        caller hashes every byte, writes from the beginning, needs no `read`, and commits to `path` or discards: a
        store may then put the bytes where they will be visible, without a `token`.
        Without commit or discard, a staging with a `token` stays for `resume`; one without is deleted.
        """
        ...

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store, without a transfer; replaces `to`. Raises NotFound. Idempotent after a crash."""
        ...

    async def copy(self, path: str, to: str) -> None:
        """As `move`, but `path` stays (a hard link or a server-side copy)."""
        ...

    async def delete(self, path: str) -> None:
        """Delete an object; a missing one is no error."""
        ...

    async def identify(self, expected: str | None) -> str:
        """Return the store's id, which an empty store gets on first use.

        Raises Offline if a store was `expected` and this is none, or another: an unmounted folder is not a new store.
        """
        ...

    async def free(self) -> int | None:
        """Return the free bytes, or None if the store has no such number."""
        ...

    async def sweep(self, older_than: float) -> int:
        """Delete stagings unchanged for `older_than` seconds; return their number. Tokens in use are younger."""
        ...


Guard = Callable[[str], None]
"""Called in any thread with the path of a change, immediately before it takes effect; raises if it must not."""


@runtime_checkable
class Guardable(Protocol):
    """Capability of a Store: ask a guard before each change, as late as possible."""

    def use_guard(self, guard: Guard) -> None:
        """Call `guard` immediately before each change: the rename of a file, or the last bytes of a request."""
        ...


@runtime_checkable
class HasModes(Protocol):
    """Capability of a Store: files of some folders can be closed to other users of the machine."""

    def use_narrow(self, prefixes: tuple[str, ...]) -> None:
        """Let other users read nothing that is created below these prefixes from now on."""
        ...

    async def set_modes(self, prefix: str, after: str) -> str:
        """Give the next files below a prefix the modes that hold for them now; return the last path, "" at the end."""
        ...


@runtime_checkable
class CopiesFromSource(Protocol):
    """Capability of a Store: copy an object of a source inside the server, so that its bytes are not sent back."""

    async def copyable_from(self, url: str, size: int) -> str:
        """Return a name for all files that are copied like one of `size` at `url`; "" if that is another server."""
        ...

    async def may_copy(self, url: str, size: int) -> bool:
        """Return True if the server lets us copy from `url`, and copies no other version than asked for. Tries it."""
        ...

    def copy_token(self, url: str, version: str) -> str:
        """Return a `resume` of `stage`: its Staged drops written bytes, and its commit copies `version` of `url`.

        `may_copy` has returned True. The commit raises Changed if there is another version.
        """
        ...


class Fence(Protocol):
    """The right to change a store; `syncd.stores.Lease`. `wrappers.FencedStore` asks it."""

    def is_current(self) -> bool:
        """Return True if the right has certainly not expired. Asks no one."""
        ...

    async def confirm(self) -> None:
        """Ask the store if this process still has the right. Raises LeaseLost, TransientError."""
        ...


class Room(Protocol):
    """Limits bytes in memory; `syncd.stores.s3.byte_room.ByteRoom`. An `owner` that holds none never waits."""

    async def acquire(self, count: int, owner: object) -> None:
        """Wait for room for `count` bytes, holding nothing that others need to give theirs back."""
        ...

    def acquire_now(self, count: int, owner: object) -> bool:
        """Take room if there is some now; return True if it was taken."""
        ...

    def release(self, count: int, owner: object) -> None:
        """Give back room that was acquired."""
        ...


@runtime_checkable
class Buffering(Protocol):
    """Capability of a Store: keep the bytes of a file in memory until they are sent, within one `room` for all files.

    `window` is the most bytes to receive ahead of the first one that is missing; `most` the most that a file of any
    size takes, window included.
    """

    room: Room
    window: int
    most: int

    def held(self, size: int | None) -> int:
        """Return the most bytes that a file of `size` bytes takes."""
        ...


class OpenFile(Protocol):
    """An open file of the system: `fd` stays valid as long as the object is referenced."""

    fd: int


@runtime_checkable
class OpensFiles(Protocol):
    """Capability of a Store: its objects are files, which the system can send by itself."""

    def open_descriptor(self, path: str) -> tuple[OpenFile, int]:
        """Return an open file and its size. Blocks shortly. Raises as `open` does.

        The file stays the same version if another replaces it under its path.
        """
        ...


@runtime_checkable
class SignsLinks(Protocol):
    """Capability of a Store: make links by which others read one object from the store itself, for a short time."""

    async def signed_link(
        self, path: str, *, method: str, seconds: int, query: Mapping[str, str], endpoint: str = ""
    ) -> str:
        """Return a link for GET or HEAD; `query` are parameters of the answer, `endpoint` is where clients reach it."""
        ...


@runtime_checkable
class Summing(Protocol):
    """Capability of a Store: hash many files in one call, outside the event loop; faster for small files."""

    def sums(self, paths: Sequence[str], is_over: Callable[[], bool]) -> Sequence[str | None]:
        """Return the sha256 (hex) of each file, or None for an unreadable one; `open` raises the reason.

        Blocks: call it in a thread. Stops reading when `is_over` returns True; the rest is None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret bound to one origin (`https://host[:port]`, or `s3://bucket`); never sent to another, never printed.

    `scheme` is basic, bearer, header, key, s3, oauth or login. basic: `username`, `secret`. bearer: `secret`. header:
    `header`, `secret`. key (of SSH): `username`, `secret` is the private key, `token` its passphrase or "". oauth: a
    Broker holds the token; `username`, `secret`, `client` and its secret `token` are sent to the url `at`. login:
    through redirects; `username` and `secret` are sent to the origin `at`. `also` are further origins of the same
    publisher. s3: `username` is the access key id, `secret` the secret key, `token` the session token or "".
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
    """Holds the token of a credential, shared by all its users."""

    def token(self) -> str:
        """Return the token. Never waits: a caller holds a slot that the token's own request may need.

        Raises TokenOutdated if there is no valid token; it is fetched when the slot has been given back.
        """
        ...
