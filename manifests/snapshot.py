"""Verified files: an Entry for each, and the Snapshot that lists them all; its id is the checksum of its content.

Entries are sorted by path (code points, which is UTF-8 byte order) and cut into shards after every path whose xxh3-64
is divisible by 16,384: a cut depends only on the path, so the same content gives the same shards whatever the history,
and a change of k files touches at most 2k shards.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import xxhash

from manifests.head import HeadState
from manifests.messages import message

try:
    from isal import isal_zlib as _isal
except ImportError:  # no wheel for this processor: zlib reads and writes the same files, four times slower
    _gzip: Any = zlib
else:
    _gzip = _isal

CUT_EVERY = 16_384
FORMAT = "syncd-snapshot/1"
MAX_SUMS = CUT_EVERY  # Entries up to which a Snapshot has one SHA256SUMS file: as long as one shard
MAX_SHARD = 1 << 30  # bytes of one unpacked shard, when written and when read
MAX_SNAPSHOT = 256 << 20  # bytes of a snapshot.json, which needs about 200 for each shard
MAX_POINTER = 8 << 20
MAX_PINS = 500  # protected paths that a pointer names, of each kind

Verdict = Literal["verified", "attested"]

# the line of an Entry, if nothing in its path is escaped
_PLAIN = re.compile(rb'\{"path":"([^"\\]*)","size":\d+,"sha256":"([0-9a-f]{64})","xxh3-128":"[0-9a-f]{32}"\}\n')
_GZIP = zlib.MAX_WBITS | 16

_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True):
    """One verified file. Digests are lower-case hex. A Snapshot's content consists of Entries only."""

    path: str
    size: int
    sha256: str
    xxh3: str = msgspec.field(name="xxh3-128")


class FirstOrigin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a file came from before any node copied it: the fields of the Origin of the node that did so first."""

    url: str
    verdict: Verdict
    proved: float
    by: str = ""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The provenance of an Entry: upstream's claims at the time of download, and how it was verified.

    `size`, `modified`, `version` and `digests` are the Stat's own claims, so that the next inventory can be compared
    with them. `verdict` is `verified` (a published digest matched; `by` says whose) or `attested` (upstream published
    none). `proved` is the time of verification, in seconds since the epoch, UTC. `answer_version` and `answer_modified`
    are those of the answer that brought the bytes, where they differ from the listing's. `first` is set if it came from
    another node: where that had it from, or the first of the nodes between.
    """

    path: str
    url: str
    verdict: Verdict
    proved: float
    size: int | None = None
    modified: float | None = None
    version: str | None = None
    digests: dict[str, str] = {}
    by: str = ""
    answer_version: str | None = None
    answer_modified: float | None = None
    first: FirstOrigin | None = None


def is_cut(path: str) -> bool:
    """Return True if a shard ends after this path."""
    return xxhash.xxh3_64_intdigest(path.encode()) % CUT_EVERY == 0


class Shard(msgspec.Struct, frozen=True):
    """A run of Entries: the first path, their number, the sum of their sizes, and the sha256 of the canonical lines."""

    first: str
    count: int
    bytes: int
    sha256: str


class Content(msgspec.Struct, frozen=True):
    """The part of a Snapshot that its id covers."""

    shards: tuple[Shard, ...]
    format: str = FORMAT


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One published version of a mirror; `id` is the sha256 of `content`, the rest is about its creation.

    `origins` name the Origins under the same cut, in the order of `content.shards`: the sha256 of a list of them, and
    after a space that of a list of newer ones, if there is one. `created` is in seconds since the epoch, UTC.
    `previous` is the id that the pointer named before, "" for the first. With `sums`, the lines of `sha256sum` stand
    beside each shard.
    """

    id: str
    content: Content
    mirror: str
    created: float
    files: int
    bytes: int
    source: str = ""
    by: str = ""
    previous: str = ""
    origins: tuple[str, ...] = ()
    sums: bool = False


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that a steward gave to a Snapshot, which is kept with its bytes until the tag is removed.

    `at` is in seconds since the epoch, UTC.
    """

    name: str
    snapshot: str
    at: float
    by: str = ""


class Pointer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`.syncd/mirrors/<mirror>.json`: the current Snapshot of a mirror, and the earlier ones, the newest first.

    `kept` ends with the tagged Snapshots that nothing else keeps.
    `pinned` and `frozen` are the first files that a steward pinned, so that they survive the loss of the Catalogue, as
    `head` does: the sequence of the heads that this node signed, and the head that it follows.
    """

    mirror: str
    snapshot: str
    prefix: str
    published: float
    kept: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    head: HeadState | None = None
    tags: tuple[Tag, ...] = ()


class SnapshotError(ValueError):
    """A snapshot, shard or pointer that does not match its checksum or format."""


def lines(rows: Iterable[Entry] | Iterable[Origin]) -> bytes:
    """Return the canonical JSON lines of `rows`: fields in the order of their class, no spaces, UTF-8."""
    return b"".join([_encode(row) + b"\n" for row in rows])


def pack(content: bytes) -> bytes:
    """Compress lines for the store. Their checksum names them, so any gzip will do. Raises SnapshotError."""
    if len(content) > MAX_SHARD:
        raise SnapshotError(
            message(
                "a shard of {count} bytes, at most {max_shard} can be read again: split the mirror in two",
                count=len(content),
                max_shard=MAX_SHARD,
            )
        )
    packed: bytes = _gzip.compress(content, 1, _GZIP)
    return packed


def unpack(packed: bytes, sha256: str, *, max_bytes: int = MAX_SHARD) -> bytes:
    """Decompress a shard; raises SnapshotError if its sha256 differs or it is too large."""
    content = gunzip(packed, sha256, max_bytes=max_bytes)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise SnapshotError(message("{sha256}: the shard's lines have sha256 {found}", sha256=sha256, found=found))
    return content


def gunzip(packed: bytes, sha256: str, *, max_bytes: int = MAX_SHARD) -> bytes:
    """Decompress what belongs to the shard `sha256`; raises SnapshotError if it is damaged or too large."""
    stream = _gzip.decompressobj(_GZIP)
    try:
        content: bytes = stream.decompress(packed, max_bytes + 1)
    except (zlib.error, _gzip.error) as error:
        raise SnapshotError(message("{sha256}: not a readable shard: {cause}", sha256=sha256, cause=error)) from error
    if len(content) > max_bytes:
        raise SnapshotError(
            message("{sha256}: the shard has more than {max_bytes} bytes", sha256=sha256, max_bytes=max_bytes)
        )
    if not stream.eof or stream.unused_data:
        what = message("it ends too early") if not stream.eof else message("more bytes follow its end")
        raise SnapshotError(message("{sha256}: not a readable shard: {what}", sha256=sha256, what=what))
    return content


def entries_of(content: bytes) -> Iterator[Entry]:
    """Yield the Entries of a shard's lines."""
    decode = msgspec.json.Decoder(Entry).decode
    return (decode(line) for line in content.splitlines())


def origins_of(content: bytes) -> Iterator[Origin]:
    """Yield the Origins of a shard's lines."""
    decode = msgspec.json.Decoder(Origin).decode
    return (decode(line) for line in content.splitlines())


def cut(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Split sorted Entries into runs, each ending with a cut path or with the last Entry."""
    run: list[Entry] = []
    for entry in entries:
        run.append(entry)
        if is_cut(entry.path):
            yield run
            run = []
    if run:
        yield run


def shard_of(run: list[Entry]) -> tuple[Shard, bytes]:
    """Return the Shard of one run and its lines."""
    content = lines(run)
    shard = Shard(run[0].path, len(run), sum(entry.size for entry in run), hashlib.sha256(content).hexdigest())
    return shard, content


def identity(content: Content) -> str:
    """Return a Snapshot's id: equal ids mean equal copies, on any node."""
    return hashlib.sha256(_encode(content)).hexdigest()


def sums_line(entry: Entry) -> bytes:
    """Return the line of `sha256sum` for one Entry; names are escaped as GNU coreutils does."""
    path = entry.path
    if "\\" in path or "\n" in path:
        path = path.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{entry.sha256}  {path}\n".encode()
    return f"{entry.sha256}  {path}\n".encode()


def sums_of(content: bytes) -> bytes:
    """Return the lines of `sha256sum` for the lines of a shard."""
    if b"\\" not in content:
        text, count = _PLAIN.subn(rb"\2  \1\n", content)
        if count == content.count(b"\n"):
            return text
    return b"".join(map(sums_line, entries_of(content)))
