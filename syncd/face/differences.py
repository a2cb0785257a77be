"""The differences between kept snapshots, packed; each is computed once for a pair, one at a time."""

import asyncio
import gzip
from collections import OrderedDict

import msgspec

from manifests.messages import plain
from manifests.snapshot import Snapshot, lines
from syncd.core import Store
from syncd.engine import differences
from syncd.face.answers import Reject

MOST_CHANGES = 200_000  # lines of a difference; with more of them the lists themselves are cheaper
KEPT_BYTES = 32 << 20  # of differences that are kept
LEVEL = 6

_encode = msgspec.json.Encoder(enc_hook=plain).encode


class Differences:
    """The differences between kept snapshots that were asked for last."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, store: Store, before: Snapshot, after: Snapshot) -> bytes:
        """Return the packed lines: `+ Entry` or `- "path"`, sorted. Raises Reject if there are too many."""
        key = (after.mirror, before.id, after.id)
        async with self._lock:
            if key not in self._known:
                rows: list[bytes] = []
                async for path, _, entry in differences(store, after.mirror, before, after):
                    rows.append(b"+ " + lines([entry]) if entry is not None else b"- " + _encode(path) + b"\n")
                    if len(rows) > MOST_CHANGES:
                        raise Reject(404)
                self._known[key] = await asyncio.to_thread(gzip.compress, b"".join(rows), LEVEL, mtime=0)
                while len(self._known) > 1 and sum(map(len, self._known.values())) > KEPT_BYTES:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]
