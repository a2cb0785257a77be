"""Which publishes were begun and not finished."""

from syncd.catalogue.catalogue import Catalogue
from syncd.catalogue.damage import suppress_damage
from syncd.catalogue.mirror_list import MirrorRow


def is_interrupted(catalogue: Catalogue, mirror: MirrorRow) -> bool:
    """Return True if a publish of a mirror that has a Snapshot was begun and not finished."""
    return bool(mirror.snapshot) and (
        catalogue.restorations.is_under_way(mirror.id)
        or catalogue.journal.has_swaps(mirror.id)
        or catalogue.holdings.has_pending_removals(mirror.id)
        or next(catalogue.holdings.changed(mirror.id), None) is not None
    )


def interrupted_mirrors(catalogue: Catalogue) -> list[MirrorRow]:
    """Return the mirrors whose publish was begun and not finished, except those whose own records are damaged."""
    found = []
    for row in catalogue.history.mirrors():
        with suppress_damage():
            if is_interrupted(catalogue, row):
                found.append(row)
    return found
