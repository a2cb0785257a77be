"""When the description of each mirror changed, and which mirrors are gone: the dates that harvesters ask by.

Rules:
1. A stamp is later than every stamp before it, also where the clock stepped back: no change is missed by a harvester
   that asks for everything new since its last answer.
2. A mirror that is no longer listed leaves a tombstone for ever, and comes back with a new stamp.
3. A description that says the same has the same stamp, whatever a pass did.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from syncd.exchange.oai_entries import OaiEntry, sets_of
from syncd.exchange.oai_formats import FORMATS
from syncd.exchange.publication import Publication


class ListedMirror(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mirror that is or was listed: when its description changed, its checksum, and its sets."""

    name: str
    stamp: int
    fingerprint: str = ""
    sets: tuple[str, ...] = ()

    @property
    def is_gone(self) -> bool:
        """Return True if the mirror is no longer listed."""
        return not self.fingerprint


def update_listed(
    before: Sequence[ListedMirror], publications: Sequence[Publication], now: float
) -> list[ListedMirror]:
    """Return the list after a look at all mirrors that are listed now; the same one if nothing changed."""
    last = max((one.stamp for one in before), default=0)
    known = {one.name: one for one in before}
    listed = {one.name for one in publications}
    for held in publications:
        fingerprint, old = _fingerprint(held), known.get(held.name)
        if old is None or old.fingerprint != fingerprint:
            last = max(int(now), last + 1)
            known[held.name] = ListedMirror(held.name, last, fingerprint, sets_of(held))
    for old in before:
        if old.name not in listed and not old.is_gone:
            last = max(int(now), last + 1)
            known[old.name] = ListedMirror(old.name, last, "", old.sets)
    return sorted(known.values(), key=lambda one: (one.stamp, one.name))


def entries_of(listed: Sequence[ListedMirror], publications: Sequence[Publication]) -> list[OaiEntry]:
    """Return the entries of a harvest, in their order; a mirror that is not in the list yet comes with the next one."""
    held = {one.name: one for one in publications}
    return [
        OaiEntry(one.name, one.stamp, one.sets, None if one.is_gone else held[one.name])
        for one in listed
        if one.is_gone or one.name in held
    ]


def _fingerprint(held: Publication) -> str:
    written = "\n".join(str(kind.write(held)) for kind in FORMATS.values())
    return hashlib.sha256(written.encode()).hexdigest()[:32]
