"""Counts the engine's events as plain numbers for each mirror, a microsecond per event; a scrape reads them.

Events cause no locks and no allocations: events and scrapes run on the event loop's thread.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from syncd.core import (
    BackupFailed,
    ClockStepped,
    DamageFound,
    DamageMended,
    DocumentFailed,
    Event,
    Histogram,
    ManifestRejected,
    PassFailed,
    PassFinished,
    PassStarted,
    Planned,
    Published,
    Reloaded,
    ReloadFailed,
    ScrubAdvanced,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRestarted,
    TransferRetried,
    TransferStarted,
)
from syncd.metrics import families as f

MINUTE = 60
NEVER = float("-inf")
OLD = f.LAG[-1] + 86_400.0  # seconds after which a file's lag is counted at once: it is longer than any bound


def _zeros(choices: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(choices, 0)


def _add(counts: dict[str, int], key: str, value: int = 1) -> None:
    """Count under `key`, or under `other` if the list does not contain it."""
    counts[key if key in counts else f.OTHER] += value


@dataclass(slots=True)
class MirrorCount:
    """The counts of one mirror since the start of the daemon."""

    passes: dict[str, int] = field(default_factory=lambda: _zeros(f.PASS_OUTCOMES))
    pass_failures: dict[str, int] = field(default_factory=lambda: _zeros(f.PASS_ERRORS))
    transfers: dict[str, int] = field(default_factory=lambda: _zeros(f.TRANSFER_OUTCOMES))
    failures: dict[str, int] = field(default_factory=lambda: _zeros(f.TRANSFER_ERRORS))
    wasted: dict[str, int] = field(default_factory=lambda: _zeros(f.WASTE))
    damaged: dict[str, int] = field(default_factory=lambda: _zeros(f.FINDINGS))
    received: int = 0
    stored: int = 0
    copied_files: int = 0
    copied_bytes: int = 0
    published: int = 0
    documents_failed: int = 0
    scrubbed_files: int = 0
    scrubbed_bytes: int = 0
    mended: int = 0
    lag: Histogram = field(default_factory=lambda: Histogram(f.LAG))
    upstream_newest: float = NEVER
    local_newest: float = NEVER
    pending_since: float | None = None
    moving: dict[str, int] = field(default_factory=dict)
    """Received bytes of each running transfer."""
    proved: dict[int, int] = field(default_factory=dict)
    """Files that await publishing, by the minute in which upstream published them."""
    newest_proved: float = NEVER
    is_counted: bool = False
    """True if the running pass has reported its end."""


class Counting:
    """A listener that counts: for each mirror, and for the daemon as a whole."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """`now` is the wall clock."""
        self.now = now
        self.mirrors: dict[str, MirrorCount] = {}
        self.retries = _zeros(f.RETRY_ERRORS)
        self.durations = Histogram(f.DURATION)
        self.sizes = Histogram(f.SIZE)
        self.manifests_rejected = 0
        self.clock_steps = 0
        self.backups_failed = 0
        self.reload_good = True
        self.reloaded_at = now()

    def listener(self, event: Event) -> None:
        """Take an event."""
        take = _TAKES.get(type(event))
        if take is not None:
            take(self, event)

    def of(self, mirror: str) -> MirrorCount:
        """Return the counts of a mirror, all 0 at first."""
        try:
            return self.mirrors[mirror]
        except KeyError:
            count = self.mirrors[mirror] = MirrorCount()
            return count

    def keep_only(self, mirrors: Iterable[str]) -> None:
        """Begin to count for these mirrors, and forget all others without a running pass."""
        wanted = set(mirrors)
        for name in wanted:
            self.of(name)
        for name in [name for name, count in self.mirrors.items() if name not in wanted and not count.moving]:
            del self.mirrors[name]


def _pass_started(counting: Counting, event: PassStarted) -> None:
    count = counting.of(event.mirror)
    count.is_counted = False
    count.moving.clear()
    count.proved.clear()
    count.newest_proved = NEVER


def _pass_finished(counting: Counting, event: PassFinished) -> None:
    count = counting.of(event.mirror)
    count.is_counted = True
    count.passes["complete" if event.complete else "incomplete"] += 1
    count.moving.clear()
    if event.complete:
        count.pending_since = None


def _pass_failed(counting: Counting, event: PassFailed) -> None:
    count = counting.of(event.mirror)
    _add(count.pass_failures, event.error)
    count.moving.clear()
    if not count.is_counted:  # an incomplete pass published the available files, and was counted
        count.passes["failed"] += 1


def _planned(counting: Counting, event: Planned) -> None:
    count = counting.of(event.mirror)
    if count.pending_since is None and event.fetch + event.replace:
        count.pending_since = counting.now()


def _started(counting: Counting, event: TransferStarted) -> None:
    count = counting.of(event.mirror)
    count.moving[event.path] = 0
    modified = event.modified
    if modified is not None and modified > count.upstream_newest:
        count.upstream_newest = modified


def _advanced(counting: Counting, event: TransferAdvanced) -> None:
    count = counting.of(event.mirror)
    count.received += event.received
    count.moving[event.path] = count.moving.get(event.path, 0) + event.received


def _finished(counting: Counting, event: TransferFinished) -> None:
    count = counting.of(event.mirror)
    if event.copied:
        count.copied_files += 1
        count.copied_bytes += event.size
        count.moving.pop(event.path, None)
    elif not count.moving.pop(event.path, 0):
        count.received += event.size  # it arrived at once, without an event in between
    count.transfers["replaced" if event.replaced else "fetched"] += 1
    count.stored += event.size
    counting.durations.observe(event.seconds)
    counting.sizes.observe(event.size)
    modified = event.modified
    if modified is not None:
        count.newest_proved = max(count.newest_proved, modified)
        age = counting.now() - modified
        if age > OLD:
            count.lag.observe(age)
        else:
            minute = int(modified) // MINUTE
            count.proved[minute] = count.proved.get(minute, 0) + 1


def _failed(counting: Counting, event: TransferFailed) -> None:
    count = counting.of(event.mirror)
    count.wasted["failed"] += count.moving.pop(event.path, 0)
    count.transfers["quarantined" if event.quarantined else "failed"] += 1
    _add(count.failures, event.error)


def _retried(counting: Counting, event: TransferRetried) -> None:
    _add(counting.retries, event.error)


def _restarted(counting: Counting, event: TransferRestarted) -> None:
    count = counting.of(event.mirror)
    count.wasted["changed" if event.error == "Changed" else "mismatch"] += count.moving.get(event.path, 0)
    count.moving[event.path] = 0


def _published(counting: Counting, event: Published) -> None:
    count = counting.of(event.mirror)
    count.published += event.changed
    now = counting.now()
    for minute, times in count.proved.items():
        count.lag.observe(max(0.0, now - (minute + 0.5) * MINUTE), times)
    count.proved.clear()
    count.local_newest = max(count.local_newest, count.newest_proved)
    count.newest_proved = NEVER


def _document_failed(counting: Counting, event: DocumentFailed) -> None:
    counting.of(event.mirror).documents_failed += 1


def _scrubbed(counting: Counting, event: ScrubAdvanced) -> None:
    count = counting.of(event.mirror)
    count.scrubbed_files += event.files
    count.scrubbed_bytes += event.bytes


def _damaged(counting: Counting, event: DamageFound) -> None:
    _add(counting.of(event.mirror).damaged, event.finding)


def _repaired(counting: Counting, event: DamageMended) -> None:
    counting.of(event.mirror).mended += 1


def _manifest_rejected(counting: Counting, _: ManifestRejected) -> None:
    counting.manifests_rejected += 1


def _reloaded(counting: Counting, _: Reloaded) -> None:
    counting.reload_good, counting.reloaded_at = True, counting.now()


def _reload_failed(counting: Counting, _: ReloadFailed) -> None:
    counting.reload_good = False


def _clock_stepped(counting: Counting, _: ClockStepped) -> None:
    counting.clock_steps += 1


def _backup_failed(counting: Counting, _: BackupFailed) -> None:
    counting.backups_failed += 1


_TAKES: dict[type[Event], Callable[[Counting, Any], None]] = {
    PassStarted: _pass_started,
    PassFinished: _pass_finished,
    PassFailed: _pass_failed,
    Planned: _planned,
    TransferStarted: _started,
    TransferAdvanced: _advanced,
    TransferFinished: _finished,
    TransferFailed: _failed,
    TransferRetried: _retried,
    TransferRestarted: _restarted,
    Published: _published,
    DocumentFailed: _document_failed,
    ScrubAdvanced: _scrubbed,
    DamageFound: _damaged,
    DamageMended: _repaired,
    ManifestRejected: _manifest_rejected,
    Reloaded: _reloaded,
    ReloadFailed: _reload_failed,
    ClockStepped: _clock_stepped,
    BackupFailed: _backup_failed,
}
