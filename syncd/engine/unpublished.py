"""Deletes what an interrupted publish left in the store: shards, and files of Snapshots, that no Snapshot names.

Rules:
1. A publish records in the Catalogue that it began before it writes the first file, and that it ended after its last.
2. If the next one finds that an earlier one did not end, the files of the mirror's Snapshots are listed once, after the
   pointer names the new Snapshot, and those that no recorded Snapshot names are deleted.
3. So it is where a kept Snapshot is published again with other origins: nothing names its first ones.
4. A Catalogue that was rebuilt, or that another process worked without, does not know: its mirrors are listed, too.
"""

from enum import StrEnum

from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Store
from syncd.engine.failure_collector import FailureCollector
from syncd.engine.pass_paths import shard_path, snapshot_folder, sums_path
from syncd.engine.publish_origins import origins_paths
from syncd.engine.publish_sums import sums_files


class _State(StrEnum):
    NONE = ""
    BEGUN = "begun"  # a publish is under way, or was interrupted
    LEFT = "left"  # an earlier one was interrupted


def note_begun(catalogue: Catalogue, name: str, *, is_first: bool) -> None:
    """Record that a publish of the mirror begins to write its Snapshot.

    The Catalogue of the first one may be a new one: a rebuild finds nothing where a first publish was interrupted.
    """
    is_left = is_first or bool(catalogue.settings.get(_key(name)))
    catalogue.settings.set(_key(name), _State.LEFT if is_left else _State.BEGUN)


def note_ended(catalogue: Catalogue, name: str) -> None:
    """Record that the publish ended; what an earlier one left is still to be deleted."""
    if catalogue.settings.get(_key(name)) == _State.BEGUN:
        catalogue.settings.set(_key(name), _State.NONE)


def note_doubtful(catalogue: Catalogue, name: str) -> None:
    """Record that the store may hold what a publish left that this Catalogue does not know."""
    catalogue.settings.set(_key(name), _State.LEFT)


async def delete_unpublished(store: Store, catalogue: Catalogue, mirror: MirrorRow, failures: FailureCollector) -> None:
    """Delete what interrupted publishes of a mirror left; only while no publish of it is under way."""
    if not catalogue.settings.get(_key(mirror.name)):
        return
    named: set[str] = set()
    for name in catalogue.history.snapshot_ids(mirror.id):
        snapshot = catalogue.history.snapshot(mirror.id, name)
        assert snapshot is not None
        named.add(f"{snapshot_folder(mirror.name, name)}snapshot.json")
        named.update(sums_files(mirror.name, snapshot))
        named.update(shard_path(mirror.name, shard.sha256) for shard in snapshot.content.shards)
        named.update(path for names in snapshot.origins for path in origins_paths(mirror.name, names))
        if snapshot.sums:
            named.update(sums_path(mirror.name, shard.sha256) for shard in snapshot.content.shards)
    left = [
        stat.path
        for prefix in (f".syncd/shards/{mirror.name}/", f".syncd/snapshots/{mirror.name}/")
        async for stat in store.list(prefix)
        if stat.path not in named
    ]
    for path in left:
        with failures.collect():
            await store.delete(path)
    if failures.first is None:
        catalogue.settings.set(_key(mirror.name), _State.NONE)


def _key(name: str) -> str:
    return f"publishing:{name}"
