"""Turns received bytes that passed verification into an Entry with its provenance. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from manifests.snapshot import Entry, Origin, Verdict
from manifests.stamps import Doubt, evaluate, is_validator
from manifests.stat import Stat
from syncd.core import Step, redact
from syncd.engine.pass_paths import PassPaths
from syncd.engine.verdict import ReceivedFile, decide_verdict


class VerifiedFile(msgspec.Struct, frozen=True):
    """A verified and durable file at `place`; if `replaces`, it waits there for the swap.

    `doubt` says if its stamp proves nothing yet, `clock` by how many seconds upstream's clock is ahead of ours. If
    `is_copy`, it is a copy of bytes that the store held.
    """

    entry: Entry
    origin: Origin
    place: str
    replaces: bool
    doubt: Doubt = ""
    clock: float = 0.0
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies the files of one pass; `by` names who promised their checksums, "" if that proves nothing."""

    paths: PassPaths
    by: str
    now: Callable[[], float]

    def target_path(self, step: Step) -> str:
        """Return the path at which the bytes of a step are stored: a replacement waits for the swap."""
        return (self.paths.staged if step.action == "replace" else self.paths.natural)(step.path)

    def verify(self, step: Step, stat: Stat, received: ReceivedFile) -> VerifiedFile:
        """Return the verified file if the bytes match every size and checksum promised. Raises Mismatch."""
        digests, answered, now = received.digests, received.answered, self.now()
        verdict = decide_verdict(stat, received) if self.by else _attested(stat, received)
        entry = Entry(step.path, received.size, digests["sha256"], digests["xxh3-128"])
        by = self.by if verdict == "verified" else ""
        listed = answered if _is_outdated(stat, answered) else stat
        origin = Origin(
            step.path,
            _unsigned_url(received.url),
            verdict,
            now,
            listed.size,
            listed.modified,
            listed.version,
            stat.digests,
            by,
            answered.version if answered.version != listed.version else None,
            answered.modified if answered.modified != listed.modified else None,
        )
        return VerifiedFile(
            entry,
            origin,
            self.target_path(step),
            step.action == "replace",
            *evaluate(listed, answered, received.date, now),
        )


def _attested(stat: Stat, received: ReceivedFile) -> Verdict:
    """Compare as for any other file; a checksum that no trusted key vouches for verifies no file. Raises Mismatch."""
    decide_verdict(stat, received)
    return "attested"


def _is_outdated(listed: Stat, answered: Stat) -> bool:
    """Return True if a listing shows an earlier version of the file, in the words in which the answer shows its own."""
    if not is_validator(listed.version) or answered.version is None or answered.version == listed.version:
        return False
    if listed.modified is None or answered.modified is None:
        return listed.size != answered.size
    return answered.modified > listed.modified


def _unsigned_url(url: str) -> str:
    """Return the requested URL without a signature that a catalogue added to its link."""
    return redact(url) if "?" in url else url
