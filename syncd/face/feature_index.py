"""Reads the STAC items that a mirror holds: upstream's own documents, among the files of a snapshot.

Rules:
1. A document is read once, whatever snapshots name it; it is upstream's, so each of its values is checked.
2. Up to MOST items are indexed; each other one is found at its own address all the same.
"""

from collections import OrderedDict
from typing import Any

import msgspec

from manifests.snapshot import Snapshot
from syncd.catalogue import MirrorRow
from syncd.face.footprints import Rings, outlines
from syncd.face.later_results import LaterResults
from syncd.face.snapshot_lists import SnapshotLists
from syncd.face.stored_files import StoredFiles

MOST = 10_000  # items of a mirror in the index
MOST_LOOKED = 20_000  # JSON files that are read to find them
MOST_KNOWN = 50_000  # documents whose outlines are kept
LARGEST = 1 << 20  # bytes of an item


class StacFeature(msgspec.Struct, frozen=True):
    """One item: the path of its document, its id, and the outlines of its place."""

    path: str
    id: str
    outlines: Rings


class FeatureIndex:
    """The items of the mirrors of one node."""

    def __init__(self, lists: SnapshotLists) -> None:
        """`lists` are those of the store."""
        self._lists = lists
        self._known: OrderedDict[str, tuple[str, Rings] | None] = OrderedDict()
        self._later: LaterResults[tuple[StacFeature, ...]] = LaterResults(most=16)
        self.close = self._later.close

    async def get(self, files: StoredFiles, mirror: MirrorRow, snapshot: Snapshot) -> tuple[StacFeature, ...] | None:
        """Return the items of a snapshot, by path; None while they are being read. Raises Damaged, TransientError."""
        return await self._later.get((mirror.name, snapshot.id), lambda: self._read(files, mirror, snapshot))

    async def _read(self, files: StoredFiles, mirror: MirrorRow, snapshot: Snapshot) -> tuple[StacFeature, ...]:
        found: list[StacFeature] = []
        looked = 0
        async for entry, _ in self._lists.run_from(snapshot, ""):
            if not entry.path.endswith(".json") or entry.size > LARGEST:
                continue
            if entry.sha256 not in self._known:
                self._known[entry.sha256] = _described(await files.read(mirror, snapshot, entry.path))
                if len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
            looked += 1
            described = self._known[entry.sha256]
            if described is not None and is_named(entry.path, described[0]):
                found.append(StacFeature(entry.path, *described))
            if len(found) == MOST or looked == MOST_LOOKED:
                break
        return tuple(found)


def is_named(path: str, item: str) -> bool:
    """Return True if a file has the name that the reader gives to the document of an item."""
    return path.rpartition("/")[2] == f"{item.rpartition('/')[2]}.json"


def _described(body: bytes) -> tuple[str, Rings] | None:
    found = decoded_feature(body)
    return (found["id"], outlines(found)) if found is not None else None


def decoded_feature(body: bytes) -> dict[str, Any] | None:
    """Return a document as an item whose parts have the types that an item's have; None if it is none."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(given, dict) or given.get("type") != "Feature" or not isinstance(given.get("id"), str):
        return None
    if not isinstance(given.get("properties"), dict) or not given["id"]:
        return None
    links, assets, extensions = given.get("links"), given.get("assets"), given.get("stac_extensions")
    return {
        **given,
        "links": [one for one in links if _has_address(one)] if isinstance(links, list) else [],
        "assets": {key: one for key, one in assets.items() if _has_address(one)} if isinstance(assets, dict) else {},
        "stac_extensions": [one for one in extensions if isinstance(one, str)] if isinstance(extensions, list) else [],
    }


def _has_address(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("href"), str)
