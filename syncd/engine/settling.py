"""Holds back files that upstream may still be writing: they wait for a later pass, and are no failures.

Rules:
1. A file is settled if it was last changed longer ago than `source.settle` by upstream's clock, or if two looks that
   far apart found the same size, time and version. A listing that names no zone tells only times that are long ago.
2. A file with a promised checksum need not wait, unless the manifest says so: half of it would not match.
3. A file is complete once its marker is listed, and is not older than the file; a temporary name is never complete.
4. What waits is claimed, so nothing of it is deleted, and a held file keeps its current version.
"""

from collections.abc import Sequence

from manifests.messages import message
from manifests.model import Source, format_duration, matcher
from manifests.reading import Stats
from manifests.stamps import may_be_younger, names_content
from manifests.stat import Stat
from syncd.catalogue import MirrorRow, UnsettledFile, UnsettledFiles, fingerprint
from syncd.core import Step
from syncd.engine.planner import Counts
from syncd.engine.verdict import has_digest

_TRANSFERS = frozenset({"fetch", "replace", "ask"})


class SettleRule:
    """Which files of one source wait, at the time of one pass."""

    def __init__(self, source: Source, seen: UnsettledFiles, row: MirrorRow, now: float) -> None:
        """`seen` are the files that earlier passes left; `now` is upstream's clock, as far as it is known."""
        self.settle = source.settles_after
        self.complete = source.complete
        self.now = now
        self.waiting: list[UnsettledFile] = []
        self._always = source.settle is not None
        self._seen = seen
        self._mirror = row.id
        temporary = source.complete.temporary if source.complete is not None else ()
        self._is_temporary = matcher(temporary) if temporary else None
        self._folder = source.complete.folder if source.complete is not None else None

    @property
    def is_needed(self) -> bool:
        """Return True if files can have to wait at all."""
        return self.settle > 0 or self.complete is not None

    @property
    def marker(self) -> str:
        """Return the end of the names of markers, or ""."""
        return self.complete.marker if self.complete is not None else ""

    def passes(self, page: Stats) -> bool:
        """Return True if no file of a page can have to wait."""
        if self.complete is not None or (page.versions and (page.versions[0] or "").startswith("listed:")):
            return False
        return not page.modified or max(page.modified) <= self.now - self.settle

    def hold_back(self, steps: list[Step], counts: Counts) -> list[Step]:
        """Return the steps of a page, those that must wait as `wait`."""
        found = []
        for step in steps:
            reason = self._reason(step.stat) if step.action in _TRANSFERS and step.stat is not None else None
            found.append(step if reason is None else self.hold(step, reason, counts))
        return found

    def hold(self, step: Step, reason: str, counts: Counts, *, due: float | None = None) -> Step:
        """Let a step wait, and record the file."""
        stat = step.stat
        assert stat is not None
        since = self._seen.first_seen(self._mirror, stat)
        since = self.now if since is None or since > self.now else since
        if due is None and not self._is_named_temporary(step.path):
            due = self._due(stat, since)
        self.waiting.append(UnsettledFile(step.path, fingerprint(stat), since, due, reason))
        counts.add(step, -1)
        held = Step("wait", step.path, reason, stat, step.bytes)
        counts.add(held)
        return held

    def markers(self, page: Sequence[Stat]) -> list[Stat]:
        """Return the markers among the files of a page."""
        marker = self.marker
        return [stat for stat in page if stat.path.endswith(marker)]

    def unmarked(self, step: Step, *, is_listed: bool, modified: float | None) -> str | None:
        """Return why a file waits for its marker, None if it need not; `modified` is the time of the marker."""
        stat = step.stat
        assert stat is not None
        if not is_listed:
            return message("waits for {marker}", marker=step.path + self.marker)
        if modified is not None and stat.modified is not None and modified < stat.modified - 1.0:
            return message("waits for {marker}, which is older than the file", marker=step.path + self.marker)
        return None

    def _reason(self, stat: Stat) -> str | None:
        """Return why a file must wait, or None."""
        if self._is_named_temporary(stat.path):
            return message("has the name of a file that is still being written (source.complete)")
        if self.settle <= 0 or (not self._always and has_digest(stat)) or names_content(stat.version):
            return None
        if not may_be_younger(stat, self.settle, self.now):
            return None
        since = self._seen.first_seen(self._mirror, stat)
        if since is not None and since <= self.now - self.settle:
            return None
        return message("may still be written: it must be unchanged for {settle}", settle=format_duration(self.settle))

    def _is_named_temporary(self, path: str) -> bool:
        if self._folder is not None and f"/{self._folder}" in f"/{path}":
            return True
        return self._is_temporary is not None and self._is_temporary(path)

    def _due(self, stat: Stat, since: float) -> float:
        """Return when a file is settled at the earliest, if it is not changed any more."""
        due = since + self.settle
        if stat.modified is not None and not may_be_younger(stat, self.settle, stat.modified + self.settle):
            due = min(due, stat.modified + self.settle)
        return max(due, self.now)
