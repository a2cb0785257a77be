"""Checks the lists of another node against what led to them: snapshot.json by the head, shards by snapshot.json.

All of it would otherwise let a node give one content two ids, or two contents one.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from manifests.messages import message
from manifests.reading import Document
from manifests.snapshot import (
    FORMAT,
    MAX_SHARD,
    Entry,
    Snapshot,
    SnapshotError,
    identity,
    is_cut,
    lines,
)

MAX_LINE = 16 << 10  # bytes of the line of one Entry

_entry = msgspec.json.Decoder(Entry).decode


class ShardRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shard as snapshot.json has it, and the first path behind it, "" behind the last one."""

    first: str
    count: int
    bytes: int
    sha256: str
    end: str = ""
    origins: str = ""


def checked_snapshot(text: bytes, *, id: str, sha256: str, mirror: str) -> Snapshot:  # noqa: A002  its name in the file
    """Return the Snapshot of a document; `sha256` is the head's word on the document, or "". Raises SnapshotError."""
    if sha256 and (found := hashlib.sha256(text).hexdigest()) != sha256:
        raise SnapshotError(message("has sha256 {found}, the head says {sha256}", found=found, sha256=sha256))
    try:
        snapshot = msgspec.json.decode(text, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise SnapshotError(message("not a snapshot: {cause}", cause=str(error))) from error
    content = snapshot.content
    if content.format != FORMAT:
        raise SnapshotError(message("its format is {format!r}, not {ours}", format=content.format[:64], ours=FORMAT))
    if snapshot.id != id or identity(content) != id:
        raise SnapshotError(message("its content is not that of snapshot {id}", id=id))
    if snapshot.mirror != mirror:
        raise SnapshotError(message("it is of mirror {name}, not of {mirror}", name=snapshot.mirror, mirror=mirror))
    if any(one.first >= other.first for one, other in pairwise(content.shards)):
        raise SnapshotError(message("its shards are not sorted"))
    counted = sum(shard.count for shard in content.shards), sum(shard.bytes for shard in content.shards)
    if counted != (snapshot.files, snapshot.bytes) or any(shard.count < 1 for shard in content.shards):
        raise SnapshotError(
            message("it announces {files} files, and its shards have {count}", files=snapshot.files, count=counted[0])
        )
    return snapshot


def shard_requests(snapshot: Snapshot) -> Iterator[ShardRequest]:
    """Yield what each shard must be."""
    shards = snapshot.content.shards
    ends = [*(shard.first for shard in shards[1:]), ""]
    origins = (*snapshot.origins, *[""] * len(shards))
    for shard, end, names in zip(shards, ends, origins, strict=False):
        yield ShardRequest(shard.first, shard.count, shard.bytes, shard.sha256, end, names)


def checked_entries(document: Document, shard: ShardRequest) -> Iterator[Entry]:
    """Yield the Entries of a shard's lines, after all of them were proved. Raises SnapshotError.

    The document is read twice, and never whole in memory: it may unpack to far more than it says.
    """
    _check_checksum(document, shard)
    document.stream.seek(0)
    last, size = "", 0
    for number, line in enumerate(document.lines(MAX_LINE), 1):
        try:
            entry = _entry(line)
        except msgspec.MsgspecError as error:
            raise SnapshotError(
                message("line {number} is no file: {cause}", number=number, cause=str(error))
            ) from error
        if lines([entry]) != line + b"\n":
            raise SnapshotError(message("line {number} is not written as such lines are", number=number))
        if entry.path <= last or (number == 1 and entry.path != shard.first) or (shard.end and entry.path >= shard.end):
            raise SnapshotError(message("{path}: is not in its place", path=entry.path))
        is_last = number == shard.count
        if is_cut(entry.path) != is_last and not (is_last and not shard.end):
            raise SnapshotError(message("the shard is cut elsewhere than at {path}", path=entry.path))
        last, size = entry.path, size + entry.size
        if is_last and size != shard.bytes:
            raise SnapshotError(
                message("its files have {size} bytes, {announced} were announced", size=size, announced=shard.bytes)
            )
        yield entry


def _check_checksum(document: Document, shard: ShardRequest) -> None:
    digest, count, size = hashlib.sha256(), 0, 0
    for line in document.lines(MAX_LINE, whole=True):
        count, size = count + 1, size + len(line) + 1
        if count > shard.count or size > MAX_SHARD:
            raise SnapshotError(message("has more than the {count} lines announced", count=shard.count))
        digest.update(line)
        digest.update(b"\n")
    if count != shard.count:
        raise SnapshotError(
            message("has {count} lines, {announced} were announced", count=count, announced=shard.count)
        )
    if (found := digest.hexdigest()) != shard.sha256:
        raise SnapshotError(message("has sha256 {found}, its name is {sha256}", found=found, sha256=shard.sha256))
