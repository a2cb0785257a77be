"""Where the files of a pass go: the store, and those that judge what arrives."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from syncd.core import Body, Exists, Listener, Mismatch, Staged, Store
from syncd.engine.copied_files import CopiedFiles
from syncd.engine.leftovers import Leftovers
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import PassQuarantine, Quarantined
from syncd.engine.verified_file import VerifiedFile, Verifier


@dataclass(frozen=True, slots=True)
class Destination:
    """What the transfers of one pass share, whatever the size of the file."""

    store: Store
    place: PassPaths
    listener: Listener
    hashing: Executor
    verifier: Verifier
    quarantine: PassQuarantine
    leftovers: Leftovers
    copied: CopiedFiles
    tried: Mapping[str, list[str]]
    """The failures of a file at earlier sources, by path; only while the file is under way."""

    async def commit(self, file: Staged, proved: VerifiedFile) -> None:
        """Make a verified file visible; bytes without a record at its path are judged first."""
        entry = proved.entry
        try:
            await file.commit(size=entry.size, sha256=entry.sha256, if_absent=not proved.replaces)
        except Exists:
            if await self.leftovers.clear_path(entry):
                await file.discard()
            else:
                await file.commit(size=entry.size, sha256=entry.sha256)

    async def quarantined(self, path: str, error: Mismatch, digests: dict[str, str], body: Body | None) -> Quarantined:
        """Write down why the bytes of a file are in the quarantine, and return the error that says so."""
        return await self.quarantine.write_reason(path, error, digests, body, self.tried.get(path, []))
