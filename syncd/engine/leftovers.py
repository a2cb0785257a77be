"""Decides about files in the store that the Catalogue does not know: adopt or quarantine.

Rule: an unknown file is never overwritten. If it is the wanted file, it is adopted; otherwise it is copied into the
quarantine.
"""

from concurrent.futures import Executor
from dataclasses import dataclass

from manifests.digest import OURS
from manifests.messages import message
from manifests.snapshot import Entry
from manifests.stat import Stat
from syncd.core import Mismatch, NotFound, Step, Store
from syncd.engine.quarantine import PassQuarantine
from syncd.engine.stored_digests import hash_stored
from syncd.engine.verdict import ReceivedFile, hash_algorithms
from syncd.engine.verified_file import VerifiedFile, Verifier


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The files of one mirror that are stored under final names but are not recorded."""

    store: Store
    hashing: Executor
    verifier: Verifier
    quarantine: PassQuarantine

    async def adopt(self, stat: Stat) -> VerifiedFile | None:
        """Return an unrecorded file as verified if a promised checksum matches its bytes; otherwise None."""
        if not stat.digests:
            return None
        try:
            place = self.verifier.paths.natural(stat.path)
            size, digests = await hash_stored(self.store, place, hash_algorithms(stat.digests), self.hashing)
            received = ReceivedFile(Stat(stat.path), size, digests, b"", "", _first_url(stat))
            return self.verifier.verify(Step("fetch", stat.path, "", stat), stat, received)
        except (Mismatch, NotFound):
            return None

    async def clear_path(self, entry: Entry) -> bool:
        """Return True if the final name of `entry` holds the same content; if not, save the file."""
        place = self.verifier.paths.natural(entry.path)
        try:
            size, digests = await hash_stored(self.store, place, OURS, self.hashing)
        except NotFound:
            return False
        if (size, digests["sha256"]) == (entry.size, entry.sha256):
            return True
        unknown = Mismatch(message("{path}: an unknown file was stored at this path", path=entry.path))
        await self.store.copy(place, self.verifier.paths.quarantine(entry.path))
        await self.quarantine.write_reason(entry.path, unknown, digests, None)
        return False


def _first_url(stat: Stat) -> str:
    """Return the URL to record, not the end of its redirects: that may hold a temporary secret."""
    return stat.urls[0] if stat.urls else stat.path
