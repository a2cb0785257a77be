"""What a survey of another node needs beside its Reader: what was read before, and the shards that our store holds."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from manifests.head import FollowedHead
from manifests.reading import FollowMemory, FollowsNode, Reader
from manifests.snapshot import MAX_SHARD, Entry, FirstOrigin
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Damaged, Denied, NotFound, Store, TransientError
from syncd.engine.head_states import head_state, note_followed
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.pass_paths import shard_path
from syncd.engine.proved_difference import leads_to

R = TypeVar("R", bound=Reader)


class FollowedNode:
    """The node that one source of a mirror names."""

    def __init__(
        self, store: Store, catalogue: Catalogue, row: MirrorRow, source: str, node: str, now: Callable[[], float]
    ) -> None:
        """`source` is the source as declared, `node` our own name."""
        self._store = store
        self._catalogue = catalogue
        self._row = row
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self._node = node
        self._now = now
        self.accepted: FollowedHead | None = None

    def reader(self, reader: R) -> R:
        """Return a Reader that remembers the node."""
        return cast("R", reader.follow(self._memory())) if isinstance(reader, FollowsNode) else reader

    @property
    def known(self) -> FollowedHead:
        """The head that was accepted last, by this survey or an earlier one."""
        known = head_state(self._catalogue.settings, self._row.name).followed
        if known is None or known.source != self._source:  # another node, or other keys
            return FollowedHead(self._source)
        return known

    def _memory(self) -> FollowMemory:
        return FollowMemory(self.known, self._now(), self._node, self._row.snapshot)

    def accept(self, head: FollowedHead) -> None:
        """Record a head that the Reader accepted."""
        self.accepted = head
        note_followed(self._catalogue.settings, self._row.name, head)

    def note_firsts(self, found: Sequence[tuple[str, FirstOrigin]]) -> None:
        """Record where files came from first, as the node says."""
        self._catalogue.firsts.add(self._row.id, found)

    async def held_shard(self, sha256: str) -> bytes | None:
        """Return the packed lines of a shard if our store holds them; they are checked as others are."""
        try:
            return await read_bounded(self._store, shard_path(self._row.name, sha256), MAX_SHARD)
        except (NotFound, Damaged, Denied, TransientError):
            return None

    async def proves(self, changes: Mapping[str, Entry | None]) -> bool:
        """Return True if the current Snapshot with these changes is the one that the head names."""
        current = self._catalogue.history.current(self._row.id)
        if current is None or self.accepted is None:
            return False
        try:
            return await leads_to(self._store, self._row.name, current, changes, self.accepted.snapshot)
        except (NotFound, Damaged, Denied):
            return False
