"""Checks stored files against their Entries, and repairs them from a kept version or from upstream on request.

Rules:
1. A check changes nothing. Repair is a separate, explicit request, after the report.
2. Damaged bytes are never deleted: they go to the quarantine, once a verified copy exists to replace them.
3. A file is reported as damaged only after a second read confirms it.
4. Files that an interrupted publish is about to move are no damage: the publish is reported, and finished elsewhere.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.catalogue import Catalogue, MirrorRow, QuarantinedFile, is_interrupted
from syncd.core import (
    Busy,
    Damaged,
    NoSpace,
    NotFound,
    PermanentError,
    Step,
    Store,
    Summing,
    SyncdError,
    Transport,
    capability,
)
from syncd.engine.kept_snapshots import shard_entries
from syncd.engine.pass_paths import PassPaths
from syncd.engine.rebuild_catalogue import current_snapshot
from syncd.engine.stored_digests import hash_stored
from syncd.engine.survey_cursor import forget_cursor
from syncd.engine.transfer import Transfers
from syncd.streams import SCHEME

READERS = 8  # files read at once
BATCH = 64  # files that a thread reads in one call, if the store can
BATCH_BYTES = 4 << 20  # bytes that end a batch
SMALL = 2  # full batches read at once: with small files, more threads mostly wait for one another (GIL)
CHECKED = 512  # files whose reading is recorded in one transaction

Finding = Literal["missing", "size", "digest", "unreadable", "snapshot", "interrupted"]


class Fault(msgspec.Struct, frozen=True):
    """One difference between the store and the records."""

    path: str
    finding: Finding
    reason: str
    repaired: bool = False


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    mirror: str
    snapshot: str
    files: int = 0
    bytes: int = 0
    read: int = 0
    faults: list[Fault] = field(default_factory=list)
    waiting: frozenset[str] = frozenset()
    """Files that an interrupted publish is about to replace: whichever bytes they have, they are no damage."""

    def add(self, fault: Fault) -> None:
        """Report a fault, unless its file waits to be replaced."""
        if fault.path not in self.waiting:
            self.faults.append(fault)


@dataclass(slots=True)
class _VerifyProgress:
    """The state of a full read: remaining Entries, findings, and intact files not yet recorded."""

    entries: Iterator[Entry]
    report: Report
    good: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the results are no longer needed: the threads stop at the next block."""
    small: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SMALL))
    """Limits the batches that have many files but few bytes."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Verifies and repairs the files of one mirror; only repair needs `source`."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    hashing: Executor
    on_verified: Callable[[int, int], None]
    """Called with the numbers of files and bytes checked since the last call."""
    source: Transport | None = None
    now: Callable[[], float] = time.time
    threads: int = 2
    """The number of `hashing` threads that read at once, if the store can read in a thread."""

    async def run(self, *, read_data: bool) -> Report:
        """Check that snapshot and Catalogue agree, and each file's presence and size; with `read_data`, all bytes."""
        report = Report(self.mirror.name, self.mirror.snapshot)
        if is_interrupted(self.catalogue, self.mirror):
            waiting = [swap.path for swap in self.catalogue.journal.swaps(self.mirror.id) if not swap.failed]
            reason = message(
                "publish interrupted: the files are ahead of the snapshot, and {count} wait to be replaced: "
                "the next `syncd sync` or the daemon finishes it",
                count=len(waiting),
            )
            report.faults.append(Fault(self.mirror.snapshot, "interrupted", reason))
            report.waiting = frozenset(waiting)
        else:
            await self._snapshot(report)
        if read_data:
            await self._read_all(report)
        else:
            await self._check_sizes(report)
        return report

    async def repair(self, report: Report) -> None:
        """Replace damaged or missing files by verified bytes, as far as available."""
        for at, fault in enumerate(report.faults):
            if fault.finding in {"snapshot", "interrupted"} or fault.path in report.waiting:
                continue
            held = self.catalogue.holdings.entry(self.mirror.id, fault.path)
            if held is None:
                continue
            try:
                await self._repair_one(*held, fault.reason)
            except SyncdError as error:
                report.faults[at] = msgspec.structs.replace(
                    fault, reason=message("{reason}; not repaired: {cause}", reason=fault.reason, cause=error)
                )
            else:
                report.faults[at] = msgspec.structs.replace(fault, repaired=True)

    async def _repair_one(self, entry: Entry, origin: Origin, reason: str) -> None:
        if (version := await self._version(entry)) is not None:
            await self._quarantine(entry, reason)
            await self.store.copy(version, self.place.natural(entry.path))
            return
        if self.source is None:
            raise Damaged(message("{path}: no kept version has these bytes, and no source is known", path=entry.path))
        if origin.url.startswith(SCHEME):
            forget_cursor(self.catalogue.settings, self.mirror.name)
            self.catalogue.holdings.renew(self.mirror.id, [msgspec.structs.replace(origin, version="damaged")])
            raise Damaged(
                message(
                    "{path}: is derived from upstream's documents; the next pass will derive it again", path=entry.path
                )
            )
        with suppress(NotFound):  # raise now if the file cannot be quarantined: avoid a useless download
            await self.store.stat(self.place.natural(entry.path))
        urls = (origin.url,) if "://" in origin.url else ()
        wanted = Stat(entry.path, entry.size, None, None, {"sha256": entry.sha256}, urls)
        transfers = Transfers(
            source=self.source,
            store=self.store,
            place=self.place,
            journal=self.catalogue.journal,
            mirror_id=self.mirror.id,
            listener=lambda _: None,
            hashing=self.hashing,
            now=self.now,
        )
        journal, mirror = self.catalogue.journal, self.mirror.id
        begun = journal.all_inflight(mirror).get(entry.path)
        try:
            proved = await transfers.transfer(Step("replace", entry.path, "repair", wanted))
            await self._quarantine(entry, reason)
            await self.store.move(proved.place, self.place.natural(entry.path))
        finally:
            if journal.all_inflight(mirror).get(entry.path) != begun:  # no pass may resume the staging of a repair
                journal.end(mirror, entry.path)

    async def _version(self, entry: Entry) -> str | None:
        """Return the path of an intact archived version of an Entry; read it, because hard links share damage."""
        for version in self.catalogue.holdings.versions(self.mirror.id, entry.path):
            if version.sha256 != entry.sha256:
                continue
            place = self.place.version(version.snapshot, entry.path)
            with suppress(PermanentError):
                size, digests = await hash_stored(self.store, place, ("sha256",), self.hashing)
                if (size, digests["sha256"]) == (entry.size, entry.sha256):
                    return place
        return None

    async def _quarantine(self, entry: Entry, reason: str) -> None:
        """Copy the damaged bytes, if any, to the quarantine."""
        try:
            await self.store.copy(self.place.natural(entry.path), self.place.quarantine(entry.path))
        except NotFound:
            return
        aside = QuarantinedFile(self.place.quarantine(entry.path), entry.path, "Damaged", reason, self.now())
        self.catalogue.pass_history.add_quarantined(self.mirror.id, aside)

    # -- checks ---------------------------------------------------------------------------------------------------

    async def _snapshot(self, report: Report) -> None:
        """Check that pointer, shards and Catalogue agree."""
        holdings, mirror = self.catalogue.holdings, self.mirror
        try:
            pointer = await current_snapshot(self.store, mirror.name)
            if pointer.snapshot != mirror.snapshot:
                raise Damaged(
                    message(
                        "the pointer names {pointed}, the Catalogue {recorded}",
                        pointed=pointer.snapshot,
                        recorded=mirror.snapshot,
                    )
                )
            snapshot = self.catalogue.history.snapshots(mirror.id)[0]
            ours = holdings.entries(mirror.id)
            for shard in snapshot.content.shards:
                for entry in await shard_entries(self.store, mirror.name, shard.sha256):
                    if next(ours, None) != entry:
                        raise Damaged(message("{path}: the snapshot and the Catalogue differ", path=entry.path))
        except (SyncdError, IndexError) as error:
            if isinstance(error, Damaged) and error.in_catalogue:
                raise
            report.faults.append(Fault(mirror.snapshot or "no snapshot", "snapshot", str(error)))

    async def _check_sizes(self, report: Report) -> None:
        """Compare the store's listing with the Entries: find missing files, and files of another size."""
        entries, prefix = self.catalogue.holdings.entries(self.mirror.id), self.place.prefix
        entry = next(entries, None)
        async for stat in self.store.list(prefix):
            path = stat.path.removeprefix(prefix)
            while entry is not None and entry.path < path:
                self._is_missing(report, entry)
                entry = next(entries, None)
            if entry is not None and entry.path == path:
                report.files += 1
                report.bytes += entry.size
                if stat.size != entry.size:
                    reason = message(
                        "{path}: {size} bytes proved, {found} found", path=path, size=entry.size, found=stat.size
                    )
                    report.add(Fault(path, "size", reason))
                self.on_verified(1, 0)
                entry = next(entries, None)
        while entry is not None:
            self._is_missing(report, entry)
            entry = next(entries, None)

    def _is_missing(self, report: Report, entry: Entry) -> None:
        report.files += 1
        report.add(
            Fault(
                entry.path,
                "missing",
                message("{path}: {size} bytes proved, nothing found", path=entry.path, size=entry.size),
            )
        )

    async def _read_all(self, report: Report) -> None:
        reading = _VerifyProgress(self.catalogue.holdings.entries(self.mirror.id), report)
        summing = capability(self.store, Summing)
        if summing is not None:
            readers = [self._read_batches(reading, summing) for _ in range(self.threads)]
        else:
            readers = [self._read_each(reading) for _ in range(READERS)]
        try:
            async with asyncio.TaskGroup() as group:
                for reader in readers:
                    group.create_task(reader)
        finally:
            reading.over.set()
            self.catalogue.holdings.check(self.mirror.id, reading.good, self.now())

    async def _read_batches(self, reading: _VerifyProgress, store: Summing) -> None:
        """Hash many files in one call in a thread; read a file that differs a second time."""
        loop = asyncio.get_running_loop()
        while batch := _batch(reading.entries):
            places = [self.place.natural(entry.path) for entry in batch]
            async with reading.small if len(batch) == BATCH else nullcontext():
                sums = await loop.run_in_executor(self.hashing, store.sums, places, reading.over.is_set)
            judged = [
                (entry, None if found == entry.sha256 else await self._read_one(entry))
                for entry, found in zip(batch, sums, strict=True)
            ]
            self._enter(reading, judged)

    async def _read_each(self, reading: _VerifyProgress) -> None:
        for entry in reading.entries:
            fault = await self._read_one(entry)
            if fault is not None:
                fault = await self._read_one(entry)
            self._enter(reading, [(entry, fault)])

    def _enter(self, reading: _VerifyProgress, judged: Sequence[tuple[Entry, Fault | None]]) -> None:
        report, good = reading.report, reading.good
        for entry, fault in judged:
            report.files += 1
            report.bytes += entry.size
            if fault is not None:
                report.add(fault)
            else:
                report.read += entry.size
                good.append(entry.path)
        if len(good) >= CHECKED:
            self.catalogue.holdings.check(self.mirror.id, good, self.now())
            good.clear()
        self.on_verified(len(judged), sum(entry.size for entry, _ in judged))

    async def _read_one(self, entry: Entry) -> Fault | None:
        place = self.place.natural(entry.path)
        try:
            size, digests = await hash_stored(self.store, place, ("sha256",), self.hashing)
        except NotFound:
            return Fault(
                entry.path,
                "missing",
                message("{path}: {size} bytes proved, nothing found", path=entry.path, size=entry.size),
            )
        except (Busy, NoSpace):
            raise
        except PermanentError as error:  # a link or a missing permission concerns this file only
            return Fault(entry.path, "unreadable", str(error))
        if size != entry.size:
            return Fault(
                entry.path,
                "size",
                message("{path}: {size} bytes proved, {found} found", path=entry.path, size=entry.size, found=size),
            )
        if digests["sha256"] != entry.sha256:
            reason = message(
                "{path}: sha256 {sha256} proved, {found} found",
                path=entry.path,
                sha256=entry.sha256,
                found=digests["sha256"],
            )
            return Fault(entry.path, "digest", reason)
        return None


def _batch(entries: Iterator[Entry]) -> list[Entry]:
    """Take the next batch that a thread reads in one call."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry.size
        if len(batch) == BATCH or size >= BATCH_BYTES:
            break
    return batch
