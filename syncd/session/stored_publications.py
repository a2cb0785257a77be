"""Keeps in the store which mirrors were ever published: tombstones and harvesters' dates survive a lost state folder.

It is one document at PLACE, written when it differs from the stored one. Mirrors that the Catalogue does not know are
taken from it; of those that both know, the Catalogue has newer ones.
"""

import msgspec

from manifests.messages import message, plain
from syncd.catalogue import PublishedSpan
from syncd.core import Damaged, NotFound
from syncd.engine import read_bounded
from syncd.exchange import ListedMirror
from syncd.face import read_listed, write_listed
from syncd.session.session import Session

PLACE = ".syncd/published.json"
FORMAT = "syncd-published-1"
LARGEST = 64 << 20  # bytes


class PublicationsDocument(msgspec.Struct, frozen=True):
    """What the store has: every mirror that is or was published, and those that harvesters know."""

    mirrors: tuple[PublishedSpan, ...] = ()
    listed: tuple[ListedMirror, ...] = ()
    format: str = FORMAT


class StoredPublications:
    """The record of one store."""

    def __init__(self) -> None:
        self._stored: PublicationsDocument | None = None

    async def restore(self, session: Session) -> bool:
        """Take from the store what the Catalogue lacks, once; return True if there was anything. Raises Damaged."""
        if self._stored is not None:
            return False
        stored = await _read(session)
        publications, settings = session.catalogue.publications, session.catalogue.settings
        missing = publications.restore(stored.mirrors)
        known = read_listed(settings)
        names = {one.name for one in known}
        lost = [one for one in stored.listed if one.name not in names]
        if lost:
            write_listed(settings, sorted([*known, *lost], key=lambda one: (one.stamp, one.name)))
        self._stored = stored
        return missing or bool(lost)

    async def write(self, session: Session) -> None:
        """Write the record if it differs from what the store has."""
        if self._stored is None:
            await self.restore(session)
        catalogue = session.catalogue
        found = PublicationsDocument(tuple(catalogue.publications.spans()), tuple(read_listed(catalogue.settings)))
        if found != self._stored:
            await session.store.put(PLACE, msgspec.json.format(msgspec.json.encode(found, enc_hook=plain), indent=1))
            self._stored = found


async def _read(session: Session) -> PublicationsDocument:
    try:
        content = await read_bounded(session.store, PLACE, LARGEST)
    except NotFound:
        return PublicationsDocument()
    try:
        return msgspec.json.decode(content, type=PublicationsDocument)
    except msgspec.MsgspecError as error:
        raise Damaged(
            message("{path}: is not a record of published mirrors: {cause}", path=PLACE, cause=error)
        ) from error
