"""Closes the files of a restricted mirror to other users of the machine, and opens them again.

Rules:
1. A pass first gives the files that the store has the right modes, and then creates new ones. The mirror's folders are
   closed before the files in them, so nothing can be reached from the first moment.
2. The Catalogue records how far that has come: after a kill it continues there, and a mirror that is done costs one
   look at a setting.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from manifests.access import access_of
from manifests.messages import plain
from manifests.model import Mirror
from syncd.catalogue import MODES, Catalogue, ModeProgress, mode_progress
from syncd.core import HasModes, Store, capability
from syncd.engine.narrow_paths import narrow_prefixes


def use_recorded_modes(store: Store, catalogue: Catalogue) -> None:
    """Let new files have the modes that are recorded."""
    known = mode_progress(catalogue)
    if known and (modes := capability(store, HasModes)) is not None:
        modes.use_narrow(_narrow(known))


def is_restricted(mirror: Mirror, now: float) -> bool:
    """Return True if only partners that are named for a mirror may read its files now."""
    return access_of(mirror, datetime.fromtimestamp(now, UTC)) == "restricted"


async def apply_modes(
    store: Store, catalogue: Catalogue, mirror: Mirror, now: float, is_over: Callable[[], bool]
) -> None:
    """Give the stored files of a mirror their modes, if that is not done. Stops early if `is_over`."""
    known = mode_progress(catalogue)
    found, is_narrow = known.get(mirror.name), is_restricted(mirror, now)
    if found is None and not is_narrow:
        return
    if (modes := capability(store, HasModes)) is None:
        return  # a bucket has policies instead
    if found is None or (found.is_narrow, found.prefix) != (is_narrow, mirror.prefix):
        found = ModeProgress(mirror.prefix, is_narrow)
        _store_progress(catalogue, known | {mirror.name: found})
    modes.use_narrow(_narrow(known | {mirror.name: found}))
    prefixes = narrow_prefixes(mirror.name, mirror.prefix)
    while not found.is_done and not is_over():
        if found.at == len(prefixes):
            found = ModeProgress(mirror.prefix, is_narrow, is_done=True)
        elif last := await modes.set_modes(prefixes[found.at], found.after):
            found = msgspec.structs.replace(found, after=last)
        else:
            found = msgspec.structs.replace(found, at=found.at + 1, after="")
        _store_progress(catalogue, mode_progress(catalogue) | {mirror.name: found})


def _narrow(known: dict[str, ModeProgress]) -> tuple[str, ...]:
    return tuple(_prefixes(known.items()))


def _prefixes(known: Iterable[tuple[str, ModeProgress]]) -> Iterable[str]:
    for name, progress in known:
        if progress.is_narrow:
            yield from narrow_prefixes(name, progress.prefix)


def _store_progress(catalogue: Catalogue, known: dict[str, ModeProgress]) -> None:
    kept = {name: one for name, one in known.items() if one.is_narrow or not one.is_done}
    catalogue.settings.set(MODES, msgspec.json.encode(kept, enc_hook=plain).decode())
