"""Bounds the quarantine: one copy for each path and content, few contents of one path, and a share of the store.

Layout: `.syncd/quarantine/<mirror>/<pass>/<path>`, and beside each copy the file of its reason. A pass that quarantined
something bounds it at its end; within a pass, `QuarantineRoom` (syncd.engine.quarantine) stops at the share.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from manifests.stat import Stat
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import NotFound, Store
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.pass_context import PassContext
from syncd.engine.quarantine import REASON, reason_path

QUARANTINE = ".syncd/quarantine/"
CONTENTS = 3  # copies of one path whose contents differ
BUCKET = 100 << 30  # bytes that a store without a known capacity is taken for, at least
LONGEST_REASON = 1 << 20


async def quarantine_limit(context: PassContext, row: MirrorRow, moved: int = 0) -> int:
    """Return the most bytes that the quarantine may hold: a share of the mirror's bytes and the free space.

    `moved` are the bytes that a running pass has stored, which no snapshot has yet.
    """
    snapshot = context.catalogue.history.current(row.id)
    held = moved + (snapshot.bytes if snapshot is not None else 0)
    free = await context.store.free()
    return int(context.quarantine_share * (held + free if free is not None else max(held, BUCKET)))


async def bound_quarantine(store: Store, catalogue: Catalogue, most: int) -> int:
    """Delete duplicates, and the oldest copies beyond `most` bytes; return how many copies were deleted."""
    copies = [stat async for stat in store.list(QUARANTINE) if not stat.path.endswith(REASON)]
    dropped = await _superfluous(store, copies)
    total = sum(copy.size or 0 for copy in copies if copy.path not in dropped)
    for copy in sorted(copies, key=lambda copy: copy.modified or 0.0):
        if total <= most:
            break
        if copy.path not in dropped:
            dropped.add(copy.path)
            total -= copy.size or 0
    mirrors = {row.name: row.id for row in catalogue.history.mirrors()}
    for place in sorted(dropped):
        await store.delete(place)
        await store.delete(reason_path(place))
        if (mirror := mirrors.get(place.removeprefix(QUARANTINE).partition("/")[0])) is not None:
            catalogue.pass_history.forget_quarantined(mirror, place)
    return len(dropped)


async def _superfluous(store: Store, copies: Iterable[Stat]) -> set[str]:
    """Return the places of older copies with the same content, and of contents beyond the newest CONTENTS of a path."""
    of_path = defaultdict[tuple[str, str], list[Stat]](list)
    for copy in copies:
        mirror, _, rest = copy.path.removeprefix(QUARANTINE).partition("/")
        of_path[mirror, rest.partition("/")[2]].append(copy)
    dropped = set()
    for several in of_path.values():
        if len(several) == 1:
            continue
        seen = set[str]()
        for copy in sorted(several, key=lambda copy: copy.modified or 0.0, reverse=True):
            content = await _content(store, copy)
            if content in seen or len(seen) == CONTENTS:
                dropped.add(copy.path)
            seen.add(content)
    return dropped


async def _content(store: Store, copy: Stat) -> str:
    """Return the sha256 of a copy as its reason says, or its place if that is unknown."""
    try:
        reason = msgspec.json.decode(await read_bounded(store, reason_path(copy.path), LONGEST_REASON))
        return str(reason["arrived"]["sha256"])
    except (NotFound, msgspec.DecodeError, KeyError, TypeError):
        return copy.path
