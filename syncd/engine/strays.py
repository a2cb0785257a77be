"""Files that a pass stored under their final names and did not live to record.

Rules:
1. They are looked for after a pass that was killed, and in each pass from then on until one has dealt with all of them.
2. Those that the plan fetches are adopted or saved by the transfers. Upstream no longer has the others: they leave the
   tree, which is what the Snapshot says, for the quarantine.
"""

from manifests.messages import message
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Mismatch, NotFound
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import PassQuarantine, QuarantineRoom

PLANNED = ("fetch", "replace", "refuse")  # actions whose path is dealt with by their own step


def note_recovering(catalogue: Catalogue, row: MirrorRow) -> bool:
    """Return True if strays are to be looked for; it is remembered until `note_recovered`."""
    key = _key(row.name)
    if row.last.get("state") == "running":
        catalogue.settings.set(key, "yes")
        return True
    return bool(catalogue.settings.get(key))


def note_recovered(catalogue: Catalogue, row: MirrorRow) -> None:
    """Record that no stray is left."""
    catalogue.settings.set(_key(row.name), "")


async def find_strays(context: PassContext, row: MirrorRow, place: PassPaths) -> frozenset[str]:
    """Return the paths of the unrecorded files under the mirror's prefix."""
    prefix, holdings = place.prefix, context.catalogue.holdings
    strays = set()
    async for stat in context.store.list(prefix):
        path = stat.path.removeprefix(prefix)
        if holdings.entry(row.id, path) is None:
            strays.add(path)
    return frozenset(strays)


async def quarantine_strays(context: PassContext, row: MirrorRow, place: PassPaths, strays: frozenset[str]) -> bool:
    """Move the strays that a complete plan does not name into the quarantine; return True if none is left.

    A removed file that is still in its place is no stray. Raises PermanentError and TransientError of the store.
    """
    holdings, store = context.catalogue.holdings, context.store
    left = {path for path in strays if holdings.entry(row.id, path) is None and not holdings.leaves(row.id, path)}
    if not left:
        return True
    planned = {step.path for step in context.catalogue.claims.steps(row.id, *PLANNED) if step.path in left}
    quarantine = PassQuarantine(store, place, context.now, QuarantineRoom())
    for path in sorted(left - planned):
        try:
            await store.move(place.natural(path), place.quarantine(path))
        except NotFound:
            continue
        reason = Mismatch(
            message("{path}: stored by a pass that was interrupted, and upstream has it no longer", path=path)
        )
        await quarantine.write_reason(path, reason, {}, None)
    return not planned


def _key(name: str) -> str:
    return f"recovering:{name}"
