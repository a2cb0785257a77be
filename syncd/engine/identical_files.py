"""Replacements that turned out to have the bytes that are held: nothing is swapped, and nothing new is published."""

import asyncio

from manifests.snapshot import Entry, Origin
from syncd.catalogue import MirrorRow
from syncd.engine.claim_changes import validator_of
from syncd.engine.pass_context import PassContext
from syncd.engine.verified_file import VerifiedFile

DELETED_AT_ONCE = 16


def has_several_etags(context: PassContext) -> bool:
    """Return True if one file was found to have several ETags at this source."""
    return context.catalogue.settings.get(_setting(context)) == context.mirror.source.url


class IdenticalFiles:
    """The replacements of a pass that are identical with what they would replace."""

    def __init__(self, context: PassContext, row: MirrorRow) -> None:
        """Begin with none."""
        self.context = context
        self.row = row
        self.count = 0
        self.places: list[str] = []
        self._damaged: set[str] | None = None

    def take(self, proved: VerifiedFile, held: tuple[Entry, Origin] | None) -> bool:
        """Return True if `held` has the same bytes already, and record what upstream says of them now."""
        if held is None or held[0].sha256 != proved.entry.sha256 or held[0].size != proved.entry.size:
            return False
        if held[1].version == "damaged" or proved.entry.path in self._damaged_paths():
            return False
        catalogue, row = self.context.catalogue, self.row
        catalogue.holdings.add(row.id, [(proved.entry, proved.origin)], changed=False)
        self.places.append(proved.place)
        self.count += 1
        if _differ_by_etag_only(held[1], proved.origin):
            catalogue.settings.set(_setting(self.context), self.context.mirror.source.url)
        return True

    async def discard(self) -> None:
        """Delete the staged bytes."""
        places, self.places = self.places, []
        for at in range(0, len(places), DELETED_AT_ONCE):
            await asyncio.gather(*map(self.context.store.delete, places[at : at + DELETED_AT_ONCE]))

    def _damaged_paths(self) -> set[str]:
        if self._damaged is None:
            self._damaged = {one.path for one in self.context.catalogue.pass_history.damaged(self.row.id)}
        return self._damaged


def _differ_by_etag_only(held: Origin, found: Origin) -> bool:
    version, modified = validator_of(held)
    version2, modified2 = validator_of(found)
    if version is None or version2 is None or modified is None or modified != modified2 or version == version2:
        return False
    return version.startswith('"') and version2.startswith('"')


def _setting(context: PassContext) -> str:
    return f"etags:{context.mirror.name}"
