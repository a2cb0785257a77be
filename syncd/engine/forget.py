"""Forgets a mirror: its records, and with `files` its bytes too.

Rules:
1. Records are the mirror's rows in the Catalogue, its pointer and its unfinished work in the store. Without `files`, no
   proved byte is deleted: the files keep their names, and earlier versions stay under `.syncd/`.
2. A file that another mirror has recorded at the same path stays.
3. The pointer is deleted first, the rows last. After a kill, the mirror can only be forgotten again.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Store, in_lanes
from syncd.engine.pass_paths import PassPaths, pointer_path

UNFINISHED = ("staged", "journal")
KEPT = ("versions", "removed", "quarantine", "snapshots", "shards", "reports")
BATCH = 512
AT_ONCE = 16  # deletions at once


class Holding(msgspec.Struct, frozen=True):
    """What a mirror has in the store: files under final names with their bytes, and objects under `.syncd/`."""

    files: int
    bytes: int
    kept: int
    kept_bytes: int


async def holding_of(store: Store, catalogue: Catalogue, name: str, row: MirrorRow | None) -> Holding:
    """Count what a mirror has in the store; lists only the objects under `.syncd/`."""
    files, size = catalogue.holdings.totals(row.id) if row is not None else (0, 0)
    kept = kept_bytes = 0
    for folder in KEPT:
        async for stat in store.list(f".syncd/{folder}/{name}/"):
            kept, kept_bytes = kept + 1, kept_bytes + (stat.size or 0)
    return Holding(files, size, kept, kept_bytes)


async def forget_mirror(store: Store, catalogue: Catalogue, name: str, row: MirrorRow | None, *, files: bool) -> None:
    """Forget a mirror, or with `row` None delete what an earlier one left. May be repeated."""
    if row is not None:
        catalogue.history.finish(row.id, succeeded=None, last={"state": "forgetting"})
    await store.delete(pointer_path(name))
    await store.delete(f".syncd/journal/{name}.json")
    if row is not None and files:
        place = PassPaths(name, row.prefix, "")
        for paths in _batches(_own_paths(catalogue, row)):
            await _delete(store, [place.natural(path) for path in paths])
    await _delete_folder(store, f".syncd/heads/{name}/")
    for folder in (*UNFINISHED, *(KEPT if files else ())):
        await _delete_folder(store, f".syncd/{folder}/{name}/")
    if row is not None:
        catalogue.history.forget(row)


def _own_paths(catalogue: Catalogue, row: MirrorRow) -> Iterator[str]:
    """Yield the paths of a mirror's recorded files, except those that another mirror records, too."""
    others = [
        other
        for other in catalogue.history.mirrors()
        if other.id != row.id and (row.prefix.startswith(other.prefix) or other.prefix.startswith(row.prefix))
    ]
    for path in catalogue.holdings.natural_paths(row.id):
        whole = row.prefix + path
        if not any(
            whole.startswith(other.prefix)
            and catalogue.holdings.entry(other.id, whole.removeprefix(other.prefix)) is not None
            for other in others
        ):
            yield path


def _batches(paths: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(paths, BATCH)):
        yield batch


async def _delete_folder(store: Store, prefix: str) -> None:
    while True:
        batch: list[str] = []
        async for stat in store.list(prefix):
            batch.append(stat.path)
            if len(batch) == BATCH:
                break
        if not batch:
            return
        await _delete(store, batch)


async def _delete(store: Store, paths: Iterable[str]) -> None:
    await in_lanes(AT_ONCE, paths, store.delete)
