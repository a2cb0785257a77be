"""Proves what another node says has changed: our list with the changes made must have the id that its head names.

Only the shards that a change touches are read; they are edited as a publish edits them, or cut again line by line.
"""

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from manifests.shard_lines import edit, edited_shard, json_path
from manifests.snapshot import Content, Entry, Shard, Snapshot, SnapshotError, identity, is_cut, lines
from syncd.core import Store
from syncd.engine.kept_snapshots import read_packed
from syncd.engine.pass_paths import shard_path

_entry = msgspec.json.Decoder(Entry).decode
Changes = Sequence[tuple[str, Entry | None]]


async def leads_to(
    store: Store, mirror: str, before: Snapshot, changes: Mapping[str, Entry | None], wanted: str
) -> bool:
    """Return True if a Snapshot with these changes has the id `wanted`. Raises Damaged if our own list is."""
    shards = before.content.shards
    by_shard: dict[int, list[tuple[str, Entry | None]]] = {}
    for path in sorted(changes):
        at = max(bisect_right(shards, path, key=lambda shard: shard.first) - 1, 0)
        by_shard.setdefault(at, []).append((path, changes[path]))
    cutting = _Cutting()
    if not shards:
        await asyncio.to_thread(cutting.add, b"", by_shard.get(0, []))
    for at, shard in enumerate(shards):
        edits = by_shard.get(at, [])
        if not edits and not cutting.is_open:
            cutting.shards.append(shard)
            continue
        text = await read_packed(store, shard_path(mirror, shard.sha256), shard.sha256)
        try:
            await asyncio.to_thread(cutting.add, text, edits, shard)
        except SnapshotError:
            return False
    await asyncio.to_thread(cutting.close)
    return identity(Content(tuple(cutting.shards))) == wanted


class _Cutting:
    """Cuts edited lines into shards again; lines behind the last cut wait for those that follow."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []
        self._run: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Return True if lines wait."""
        return bool(self._run)

    def add(self, text: bytes, edits: Changes, shard: Shard | None = None) -> None:
        """Add the lines of a shard with its edits made. Raises SnapshotError."""
        after = edit(text, [(path, lines([entry]) if entry is not None else b"") for path, entry in edits], json_path)
        if shard is not None and not self._run:
            made = edited_shard(shard, edits, text, after)
            if made is not None and is_cut(_last_path(after.text)):
                digest = hashlib.sha256(after.text).hexdigest()
                self.shards.append(msgspec.structs.replace(made, sha256=digest))
                return
        for line in after.text.splitlines(keepends=True):
            self._run.append(line)
            if is_cut(json_path(line)):
                self.close()

    def close(self) -> None:
        """End the shard whose lines wait."""
        if not self._run:
            return
        entries = [_entry(line) for line in self._run]
        digest = hashlib.sha256(b"".join(self._run)).hexdigest()
        self.shards.append(Shard(entries[0].path, len(entries), sum(entry.size for entry in entries), digest))
        self._run = []


def _last_path(text: bytes) -> str:
    return json_path(text[text.rfind(b"\n", 0, len(text) - 1) + 1 : len(text) - 1])
