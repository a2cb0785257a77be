"""Records what became of each file of a pass: in the Catalogue, in batches, and to the listener."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from manifests.messages import count, message
from manifests.reading import FollowsNode
from manifests.snapshot import Entry
from manifests.stat import Stat
from syncd.catalogue import MirrorRow, Swap
from syncd.core import (
    Archived,
    CredentialExpired,
    FailureView,
    Halted,
    LeaseLost,
    Mismatch,
    NoSpace,
    Offline,
    PermanentError,
    Step,
    SurveyNoted,
    SyncdError,
    TooLarge,
    TransferFailed,
    TransferFinished,
    TransientError,
    next_turn,
)
from syncd.engine.identical_files import IdenticalFiles
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import Quarantined
from syncd.engine.transfer import error_name
from syncd.engine.verified_file import VerifiedFile
from syncd.engine.worker_port import ActiveTransfer

BATCH_FILES = 256  # verified files recorded in one transaction ...
BATCH_BYTES = 32 << 20  # ... or this many of their bytes: the most that a kill can lose


class PassResults:
    """The results of one pass so far."""

    def __init__(self, context: PassContext, row: MirrorRow, place: PassPaths) -> None:
        """Begin with no results; `row` is the mirror."""
        self.context = context
        self.row = row
        self.place = place
        self.fetched = self.failed = self.moved = 0
        self.copied = self.copied_bytes = self.fetched_bytes = 0
        self.batch: list[VerifiedFile] = []
        self.batch_bytes = 0
        self.schedule: Callable[[Coroutine[Any, Any, None]], object] | None = None
        """What starts the task that records the batch, None while it waits for its turn."""
        self.no_space: NoSpace | Offline | LeaseLost | None = None
        self.expired: CredentialExpired | None = None
        self.unasked = 0  # files that wait for a renewed credential
        self.quarantined = 0
        self.archived: dict[str, int] = {}
        self.has_deferred = context.catalogue.deferred.any(row.id)
        self.identical = IdenticalFiles(context, row)
        self.has_doubts = context.catalogue.doubts.any(row.id)

    def end(self, moving: ActiveTransfer, outcome: VerifiedFile | TransientError | PermanentError) -> None:
        """Record the result of a transfer."""
        context = self.context
        context.budget.release(moving.cost)
        if isinstance(outcome, NoSpace | Offline | LeaseLost):
            self.no_space = outcome
        elif isinstance(outcome, CredentialExpired):
            self.expired = outcome
            self.unasked += 1
        elif isinstance(outcome, Halted):
            pass  # neither read nor failed: the next pass takes the file
        elif isinstance(outcome, SyncdError):
            self.fail(moving.step.path, outcome, moving.step.stat)
        else:
            self._arrived(outcome, context.clock() - moving.began)

    def needs_expired(self, urls: Sequence[str]) -> bool:
        """Return True if every url of a file needs the credential that has expired; a path is the source's own."""
        assert self.expired is not None
        prefixes = tuple(f"{origin}/" for origin in self.expired.origins)
        return all(url.startswith(prefixes) or "://" not in url for url in urls)

    def waits_for(self, error: CredentialExpired) -> CredentialExpired:
        """Return the error of a pass whose credential has expired."""
        waiting = count(self.unasked, "{n} file waits", "{n:,} files wait")
        return CredentialExpired(message("{cause}; {waiting}", cause=error, waiting=waiting), origins=error.origins)

    def _arrived(self, proved: VerifiedFile, seconds: float) -> None:
        entry = proved.entry
        if proved.is_copy:
            self.copied += 1
            self.copied_bytes += entry.size
        else:
            self.moved += entry.size
        self.batch.append(proved)
        self.batch_bytes += entry.size
        if self.schedule is not None and (len(self.batch) >= BATCH_FILES or self.batch_bytes >= BATCH_BYTES):
            self.schedule(self._flush_in_turn())
            self.schedule = None
        self.context.listener(
            TransferFinished(
                self.context.mirror.name,
                entry.path,
                entry.size,
                proved.origin.verdict,
                proved.replaces,
                seconds,
                proved.origin.modified,
                proved.is_copy,
            )
        )

    @contextmanager
    def recording(self, schedule: Callable[[Coroutine[Any, Any, None]], object]) -> Iterator[None]:
        """Record batches as they fill up, in tasks that `schedule` starts, and the rest at the end of the block."""
        self._again = self.schedule = schedule
        try:
            yield
        finally:
            self.schedule = None
            self.flush_batch()

    async def _flush_in_turn(self) -> None:
        await next_turn()
        self.schedule = self._again
        self.flush_batch()

    def _with_firsts(self, batch: list[VerifiedFile]) -> list[VerifiedFile]:
        """Return files of another node with where they came from first, as far as that node said."""
        firsts = self.context.catalogue.firsts.of(self.row.id, [proved.entry.path for proved in batch])
        replace = msgspec.structs.replace
        return [replace(proved, origin=replace(proved.origin, first=firsts.get(proved.entry.path))) for proved in batch]

    def flush_batch(self) -> None:
        """Record durable files, never earlier."""
        batch, self.batch, self.batch_bytes = self.batch, [], 0
        if not batch:
            return
        catalogue, row = self.context.catalogue, self.row
        if isinstance(self.context.reader, FollowsNode):
            batch = self._with_firsts(batch)
        fetched = [(proved.entry, proved.origin) for proved in batch if not proved.replaces]
        replaced = [proved for proved in batch if proved.replaces]
        if fetched:
            catalogue.holdings.add(row.id, fetched)
            self.fetched += len(fetched)
            self.fetched_bytes += sum(entry.size for entry, _ in fetched)
        if replaced:
            self._stage_replacements(replaced)
        self._keep_doubts(batch)
        if self.has_deferred:
            for proved in batch:
                catalogue.deferred.forget(row.id, proved.entry.path)
        catalogue.journal.end_all(row.id, [proved.entry.path for proved in batch])
        if downloaded := sum(proved.entry.size for proved in batch if not proved.is_copy):
            day = datetime.fromtimestamp(self.context.now(), UTC).strftime("%Y-%m-%d")
            catalogue.pass_history.add_fetched(row.name, day, downloaded)

    def _stage_replacements(self, replaced: list[VerifiedFile]) -> None:
        catalogue, row, swaps = self.context.catalogue, self.row, []
        for proved in replaced:
            held = catalogue.holdings.entry(row.id, proved.entry.path)
            if not self.identical.take(proved, held):
                swaps.append(self.swap(proved, held[0] if held is not None else None))
        if swaps:
            catalogue.staged.add(row.id, self.place.pass_id, swaps)

    def _keep_doubts(self, batch: list[VerifiedFile]) -> None:
        doubts, row = self.context.catalogue.doubts, self.row
        found = [(proved.entry.path, proved.doubt, proved.clock) for proved in batch if proved.doubt]
        if found:
            doubts.add(row.id, found)
        if self.has_doubts:
            doubts.clear(row.id, [proved.entry.path for proved in batch if not proved.doubt])

    def swap(self, proved: VerifiedFile, held: Entry | None) -> Swap:
        """Return the swap that puts a staged replacement in the place of `held`."""
        entry = proved.entry
        old_bytes, old_sha256 = (held.size, held.sha256) if held is not None else (0, "")
        return Swap(entry.path, proved.place, entry, proved.origin, old_bytes, old_sha256)

    def fail(self, path: str, error: SyncdError, stat: Stat | None = None) -> None:
        """Record and report a file that failed."""
        context = self.context
        self.failed += 1
        quarantined = error.place if isinstance(error, Quarantined) else ""
        self.quarantined += bool(quarantined)
        kind = error_name(error)
        if isinstance(error, Archived | Mismatch | TooLarge) and stat is not None:
            again = not isinstance(error, Archived)
            context.catalogue.deferred.failed(
                self.row.id, stat, kind, str(error), quarantined, context.now(), again=again
            )
        self._report(path, kind, str(error), quarantined, is_reported=self._is_first(path, kind, str(error)))

    def is_deferred(self, step: Step, stat: Stat) -> bool:
        """Return True for a file that keeps failing verification and is not due yet; it is reported as failed."""
        context = self.context
        known = context.catalogue.deferred.get(self.row.id, stat)
        if known is None or known.due <= context.now() or context.retry_failed:
            return False
        self.failed += 1
        reason = message(
            "{reason}; failed {tries} times, requested again after {due} (at once: syncd sync --retry-failed)",
            reason=known.reason,
            tries=known.tries,
            due=datetime.fromtimestamp(known.due, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        is_first = self._is_first(step.path, known.error, known.reason)
        self._report(step.path, known.error, reason, known.quarantined, is_reported=is_first)
        return True

    def _is_first(self, path: str, kind: str, reason: str) -> bool:
        """Return False for an archived file if another of its storage class was reported: there may be millions."""
        if kind != Archived.__name__:
            return True
        said = reason.removeprefix(f"{path}: ")
        self.archived[said] = self.archived.get(said, 0) + 1
        return self.archived[said] == 1

    def report_archived(self) -> None:
        """Report how many files are archived, once for each storage class."""
        for said, number in self.archived.items():
            self.context.listener(SurveyNoted(self.context.mirror.name, said, number))

    def _report(self, path: str, kind: str, reason: str, quarantined: str, *, is_reported: bool) -> None:
        context = self.context
        failed = FailureView(path=path, error=kind, reason=reason, at=context.now(), quarantined=quarantined)
        context.catalogue.failures.add(self.row.id, failed)
        if is_reported:
            context.listener(TransferFailed(context.mirror.name, path, kind, bool(quarantined), reason))
