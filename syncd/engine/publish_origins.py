"""The Origins beside a shard: a list of all, and a list of those that are newer.

Rules:
1. Origins are no part of a Snapshot's identity. A publish that edits a shard writes the Origins of changed files into
   the list of newer ones, and does not read the other one.
2. Once that has a line for one in FOLD files, both are joined into one list.
3. The first list may have lines of files that left the shard since: only the Entries say which files there are.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from manifests.shard_lines import Edit, edit, json_path
from manifests.snapshot import Origin, lines, origins_of, pack
from syncd.catalogue import ChangedFile
from syncd.core import Store
from syncd.engine.kept_snapshots import read_packed
from syncd.engine.pass_paths import origins_path

FOLD = 8


def origins_paths(mirror: str, names: str) -> list[str]:
    """Return where the lists lie that a Snapshot names for a shard."""
    return [origins_path(mirror, name) for name in names.split()]


async def read_origins(store: Store, mirror: str, names: str) -> dict[str, Origin]:
    """Return the Origins of a shard by path; some may be of files that left it. Raises Damaged."""
    found: dict[str, Origin] = {}
    for name in names.split():
        content = await read_packed(store, origins_path(mirror, name), name)
        found.update(await asyncio.to_thread(_by_path, content))
    return found


async def edit_origins(store: Store, mirror: str, names: str, edits: Sequence[ChangedFile], count: int) -> str:
    """Write the Origins of changed files of a shard, which has `count` files now; return the names of its lists.

    Raises Damaged.
    """
    whole, _, newer = names.partition(" ")
    rows: list[Edit] = [(one.path, lines([one.origin]) if one.origin is not None else b"") for one in edits]
    text = await read_packed(store, origins_path(mirror, newer), newer) if newer else b""
    text = edit(text, rows, json_path).text
    if not text:
        return whole
    is_large = text.count(b"\n") * FOLD > count
    if is_large:
        content = await read_packed(store, origins_path(mirror, whole), whole)
        text = await asyncio.to_thread(_joined, content, text, rows)
    name, packed = await asyncio.to_thread(_named, text)
    await store.put(origins_path(mirror, name), packed)
    return name if is_large else f"{whole} {name}"


def _by_path(content: bytes) -> dict[str, Origin]:
    return {origin.path: origin for origin in origins_of(content)}


def _joined(whole: bytes, newer: bytes, rows: Sequence[Edit]) -> bytes:
    """Return all lines, the newer ones in the places of older ones, and without those of deleted files."""
    latest = {path: b"" for path, line in rows if not line}
    latest.update((json_path(line), line + b"\n") for line in newer.splitlines())
    return edit(whole, sorted(latest.items()), json_path).text


def _named(text: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(text).hexdigest(), pack(text)
