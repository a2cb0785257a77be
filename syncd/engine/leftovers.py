"""Decides about files in the store that the Catalogue does not know: adopt, archive, or quarantine.

Rule: an unknown file is never overwritten. If it is the wanted file, it is adopted; if it is a deleted file that a kept
snapshot names, it is archived; otherwise it is copied into the quarantine.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from manifests.digest import OURS
from manifests.messages import message
from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.core import Mismatch, NotFound, Step, Store
from syncd.engine.quarantine import PassQuarantine
from syncd.engine.stored_digests import hash_stored
from syncd.engine.verdict import ReceivedFile, hash_algorithms
from syncd.engine.verified_file import VerifiedFile, Verifier


class DeletedFiles(Protocol):
    """The deleted files whose bytes are still stored; `syncd.catalogue.Holdings`."""

    def was_removed(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return the record of a deleted file while its bytes are still stored."""
        ...

    def forget_removed(self, mirror: int, path: str) -> None:
        """Delete the record: the bytes of the deleted file are no longer at its path."""
        ...


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The files of one mirror that are stored under final names but are not recorded."""

    store: Store
    hashing: Executor
    mirror_id: int
    deleted: DeletedFiles
    verifier: Verifier
    quarantine: PassQuarantine
    archive_removed: Callable[[Entry], Awaitable[None]] | None

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
        removed = self.deleted.was_removed(self.mirror_id, entry.path)
        if removed is not None and removed[0].sha256 == digests["sha256"] and self.archive_removed is not None:
            await self.archive_removed(removed[0])
            self.deleted.forget_removed(self.mirror_id, entry.path)
            return False
        unknown = Mismatch(message("{path}: an unknown file was stored at this path", path=entry.path))
        await self.store.copy(place, self.verifier.paths.quarantine(entry.path))
        await self.quarantine.write_reason(entry.path, unknown, digests, None)
        return False


def _first_url(stat: Stat) -> str:
    """Return the URL to record, not the end of its redirects: that may hold a temporary secret."""
    return stat.urls[0] if stat.urls else stat.path
