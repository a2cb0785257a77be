"""Verified files: an Entry for each, and the Snapshot that lists them all; its id is the checksum of its content.

Entries are sorted by path (code points, which is UTF-8 byte order) and cut into shards after every path whose xxh3-64
is divisible by 16,384: a cut depends only on the path, so the same content gives the same shards whatever the history,
and a change of k files touches at most 2k shards.
"""

import bisect
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
import xxhash

from manifests.messages import message

CUT_EVERY = 16_384
FORMAT = "syncd-snapshot/1"
MAX_SUMS = 1_000_000  # Entries up to which a Snapshot has a SHA256SUMS file
MAX_SHARD = 1 << 30  # bytes of one unpacked shard, when written and when read
MAX_SNAPSHOT = 256 << 20  # bytes of a snapshot.json, which needs about 200 for each shard
MAX_POINTER = 8 << 20
MAX_PINS = 500  # protected paths that a pointer names, of each kind

Verdict = Literal["verified", "attested"]

_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True):
    """One verified file. Digests are lower-case hex. A Snapshot's content consists of Entries only."""

    path: str
    size: int
    sha256: str
    xxh3: str = msgspec.field(name="xxh3-128")


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The provenance of an Entry: upstream's claims at the time of download, and how it was verified.

    `size`, `modified`, `version` and `digests` are the Stat's own claims, so that the next inventory can be compared
    with them. `verdict` is `verified` (a published digest matched; `by` says whose) or `attested` (upstream published
    none). `proved` is the time of verification, in seconds since the epoch, UTC. `answer_version` and `answer_modified`
    are those of the answer that brought the bytes, where they differ from the listing's.
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

    `origins` are the sha256 of the lines of Origins under the same cut, in the order of `content.shards`. `created` is
    in seconds since the epoch, UTC. `previous` is the id that the pointer named before, "" for the first.
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


class Pointer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`.syncd/mirrors/<mirror>.json`: the current Snapshot of a mirror, and the earlier ones, the newest first.

    `pinned` and `frozen` are the first files that a steward pinned, so that they survive the loss of the Catalogue.
    """

    mirror: str
    snapshot: str
    prefix: str
    published: float
    kept: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


class SnapshotError(ValueError):
    """A snapshot, shard or pointer that does not match its checksum or format."""


def lines(rows: Iterable[Entry] | Iterable[Origin]) -> bytes:
    """Return the canonical JSON lines of `rows`: fields in the order of their class, no spaces, UTF-8."""
    return b"".join([_encode(row) + b"\n" for row in rows])


def pack(content: bytes) -> bytes:
    """Compress lines for the store; the same lines give the same bytes with the same zlib. Raises SnapshotError."""
    if len(content) > MAX_SHARD:
        raise SnapshotError(
            message(
                "a shard of {count} bytes, at most {max_shard} can be read again: split the mirror in two",
                count=len(content),
                max_shard=MAX_SHARD,
            )
        )
    return gzip.compress(content, compresslevel=6, mtime=0)


def unpack(packed: bytes, sha256: str, *, max_bytes: int = MAX_SHARD) -> bytes:
    """Decompress a shard; raises SnapshotError if its sha256 differs or it is too large."""
    gunzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = gunzip.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise SnapshotError(message("{sha256}: not a readable shard: {cause}", sha256=sha256, cause=error)) from error
    if len(content) > max_bytes:
        raise SnapshotError(
            message("{sha256}: the shard has more than {max_bytes} bytes", sha256=sha256, max_bytes=max_bytes)
        )
    if not gunzip.eof or gunzip.unused_data:
        what = message("it ends too early") if not gunzip.eof else message("more bytes follow its end")
        raise SnapshotError(message("{sha256}: not a readable shard: {what}", sha256=sha256, what=what))
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise SnapshotError(message("{sha256}: the shard's lines have sha256 {found}", sha256=sha256, found=found))
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


def affected(shards: tuple[Shard, ...], changed: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges of `shards` to rewrite when the sorted paths `changed` are added, deleted or changed.

    They are the shard at or before a changed path, and the one after it: a path that is added between a cut and the
    next first path belongs to the latter, and deleting a cut path merges the two. Adjacent ranges are joined. Without
    shards nothing is yielded.
    """
    firsts = [shard.first for shard in shards]
    low = high = 0
    for path in changed:
        at = max(bisect.bisect_right(firsts, path) - 1, 0)
        end = min(at + 2, len(shards))
        if at > high:
            if high > low:
                yield low, high
            low = at
        high = max(high, end)
    if high > low:
        yield low, high
