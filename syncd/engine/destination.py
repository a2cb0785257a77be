"""Where the files of a pass go: the store, and those that judge what arrives."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from syncd.core import Body, Listener, Mismatch, Store
from syncd.engine.leftovers import Leftovers
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import PassQuarantine, Quarantined
from syncd.engine.verified_file import Verifier


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
    tried: Mapping[str, list[str]]
    """The failures of a file at earlier sources, by path; only while the file is under way."""

    async def quarantined(self, path: str, error: Mismatch, digests: dict[str, str], body: Body | None) -> Quarantined:
        """Write down why the bytes of a file are in the quarantine, and return the error that says so."""
        return await self.quarantine.write_reason(path, error, digests, body, self.tried.get(path, []))
