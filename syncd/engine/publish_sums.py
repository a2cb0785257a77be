"""Writes what `sha256sum -c` reads: one file for a small mirror, one part beside each shard for a large one.

Rules:
1. A Snapshot of up to MAX_SUMS files has `SHA256SUMS` in its folder.
2. A larger one has the lines of each shard beside the shard, packed, and in its folder `SHA256SUMS.parts`, which names
   these parts in order. Unpacked and joined they are the one file. A part is written once, with its shard.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence

from manifests.messages import message
from manifests.snapshot import MAX_SUMS, Snapshot, pack, shard_of, sums_line, sums_of
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Damaged, Store, in_lanes
from syncd.engine.kept_snapshots import read_packed
from syncd.engine.pass_paths import shard_path, snapshot_folder, sums_path
from syncd.engine.write_document import write_document

WIDTH = 4  # shards read at once
WHOLE, PARTS = "SHA256SUMS", "SHA256SUMS.parts"
MAX_OLD_WHOLE = 1_000_000  # files up to which an earlier syncd wrote the one file


async def write_sums(
    store: Store, catalogue: Catalogue, mirror: MirrorRow, snapshot: Snapshot, without_sums: Sequence[int]
) -> None:
    """Write the sums of a Snapshot whose shards are written, `without_sums` the numbers of those without a part."""
    folder = snapshot_folder(mirror.name, snapshot.id)
    if snapshot.files <= MAX_SUMS:
        await store.put(folder + WHOLE, await asyncio.to_thread(_single_file, catalogue, mirror.id))
    if not snapshot.sums:
        return

    async def write_part(at: int) -> None:
        sha256 = snapshot.content.shards[at].sha256
        try:
            content = await read_packed(store, shard_path(mirror.name, sha256), sha256)
        except Damaged:
            content = await asyncio.to_thread(_remade, catalogue, mirror.id, snapshot, at)
            await store.put(shard_path(mirror.name, sha256), await asyncio.to_thread(pack, content))
        await store.put(sums_path(mirror.name, sha256), await asyncio.to_thread(_packed_sums, content))

    await in_lanes(WIDTH, without_sums, write_part)
    await write_document(store, folder + PARTS, _parts(snapshot))


def _single_file(catalogue: Catalogue, mirror: int) -> bytes:
    with Catalogue(catalogue.folder, read_only=True) as reader:
        return b"".join(map(sums_line, reader.holdings.entries(mirror)))


def _packed_sums(content: bytes) -> bytes:
    return pack(sums_of(content))


def _remade(catalogue: Catalogue, mirror: int, snapshot: Snapshot, at: int) -> bytes:
    """Return the lines of a shard that the store lost, from the Catalogue. Raises Damaged if that has others."""
    shards = snapshot.content.shards
    first = shards[at].first if at > 0 else ""
    last = shards[at + 1].first if at + 1 < len(shards) else None
    with Catalogue(catalogue.folder, read_only=True) as reader:
        shard, content = shard_of(list(reader.holdings.entries(mirror, first, last)))
    if shard.sha256 != shards[at].sha256:
        path = shard_path(snapshot.mirror, shards[at].sha256)
        raise Damaged(
            message("{path}: is damaged or missing, and the Catalogue has other files: run `syncd rebuild`", path=path)
        )
    return content


def _parts(snapshot: Snapshot) -> Iterator[bytes]:
    for shard in snapshot.content.shards:
        yield sums_path(snapshot.mirror, shard.sha256).encode() + b"\n"


async def sums_lines(store: Store, snapshot: Snapshot) -> AsyncIterator[bytes]:
    """Yield the lines of `sha256sum` for a Snapshot, shard by shard, each proved by its checksum. Raises Damaged."""
    for shard in snapshot.content.shards:
        content = await read_packed(store, shard_path(snapshot.mirror, shard.sha256), shard.sha256)
        yield await asyncio.to_thread(sums_of, content)


def sums_files(mirror: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the paths of the sums of a Snapshot in its folder."""
    folder = snapshot_folder(mirror, snapshot.id)
    return (folder + WHOLE, folder + PARTS)


def checksum_command(store: str, prefix: str, snapshot: Snapshot) -> str:
    """Return the command that checks the files of a current Snapshot without syncd; on S3, where its sums are."""
    folder = snapshot_folder(snapshot.mirror, snapshot.id)
    has_whole = snapshot.files <= (MAX_SUMS if snapshot.sums else MAX_OLD_WHOLE)
    if store.startswith("s3://"):
        return f"{folder}{WHOLE if has_whole else PARTS} in {store}"
    root, below = shlex.quote(store.rstrip("/") or "/"), shlex.quote(prefix or ".")
    if has_whole:
        folder_of_files = shlex.quote(f"{store.rstrip('/')}/{prefix}")
        return f"(cd {folder_of_files} && sha256sum --quiet -c {'../' * prefix.count('/')}{folder}{WHOLE})"
    if snapshot.sums:
        # the word is no line of checksums: if a part is missing, --strict fails
        parts = f"(xargs gzip -dc < {folder}{PARTS} || echo incomplete)"
        return f"(cd {root} && {parts} | (cd {below} && sha256sum --quiet --strict -c))"
    return f"syncd sums {snapshot.mirror} | (cd {root}/{below} && sha256sum --quiet -c)"
