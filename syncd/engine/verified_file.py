"""Turns received bytes that passed verification into an Entry with its provenance. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.core import Step, redact
from syncd.engine.pass_paths import PassPaths
from syncd.engine.verdict import ReceivedFile, decide_verdict


class VerifiedFile(msgspec.Struct, frozen=True):
    """A verified and durable file at `place`; if `replaces`, it waits there for the swap."""

    entry: Entry
    origin: Origin
    place: str
    replaces: bool


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies the files of one pass; `by` names the source whose checksums are compared."""

    paths: PassPaths
    by: str
    now: Callable[[], float]

    def target_path(self, step: Step) -> str:
        """Return the path at which the bytes of a step are stored: a replacement waits for the swap."""
        return (self.paths.staged if step.action == "replace" else self.paths.natural)(step.path)

    def verify(self, step: Step, stat: Stat, received: ReceivedFile) -> VerifiedFile:
        """Return the verified file if the bytes match every size and checksum promised. Raises Mismatch."""
        digests = received.digests
        verdict = decide_verdict(stat, received)
        entry = Entry(step.path, received.size, digests["sha256"], digests["xxh3-128"])
        by = self.by if verdict == "verified" else ""
        origin = Origin(
            step.path,
            _unsigned_url(received.url),
            verdict,
            self.now(),
            stat.size,
            stat.modified,
            stat.version,
            stat.digests,
            by,
        )
        return VerifiedFile(entry, origin, self.target_path(step), step.action == "replace")


def _unsigned_url(url: str) -> str:
    """Return the requested URL without a signature that a catalogue added to its link."""
    return redact(url) if "?" in url else url
