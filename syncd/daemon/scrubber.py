"""Runs the fixity check (scrub): reads every stored file again within its mirror's `verify.scrub`, and repairs damage.

Rules:
1. The file whose last check is longest ago comes first. Reading is spread evenly over the time, and never faster than
   `scrub.rate`. The Catalogue holds the time of each check, so a restart continues there.
2. A file is damaged only if a second read confirms it and its Entry is unchanged: a file that a pass replaces meanwhile
   is not damaged. If the two reads differ from each other, memory, cable or disk is suspect, and nothing is repaired.
3. A repair stores proved bytes and quarantines the damaged ones; the last copy is never deleted.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import msgspec

from manifests.model import Verify
from manifests.snapshot import Entry
from syncd.catalogue import BackgroundReader, DamagedFile
from syncd.core import (
    Body,
    Busy,
    ConfigError,
    DamageFound,
    DamageMended,
    DamageStays,
    NoSpace,
    NotFound,
    Offline,
    PermanentError,
    ScrubAdvanced,
    TransientError,
    Transport,
)
from syncd.daemon.mirror_registry import MirrorRegistry, MirrorState
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.reasons import because
from syncd.daemon.schedule import opens_in
from syncd.engine import Fault, Finding, PassPaths, Report, Verification, hash_stored
from syncd.session import Session

SHARE = 0.8  # of `verify.scrub`: the time in which every file is read
PARTS = 100  # parts of one round
MIN_FILES, MAX_FILES = 64, 5_000  # of one part
MIN_BYTES = 64 << 20
YOUNG = 0.1  # of `verify.scrub`, up to a day: files read within it are not read again
COUNTED = 3_600.0  # seconds between two counts of the coverage
MEND_AGAIN = 3_600.0  # seconds between two attempts at a repair
DIFFER = "two reads of it differ: suspect memory, cable or disk"
IDLE = 30.0  # seconds between two steps if there is nothing to read


@dataclass(slots=True)
class ScrubProgress:
    """The progress of one mirror's fixity check; `next` and `counted` are times of the monotonic clock."""

    next: float = 0.0
    counted: float = -COUNTED
    within: float = 0.0
    files: int = 0
    bytes: int = 0
    oldest: float | None = None
    covered: float = 1.0
    rate: float = 0.0
    is_reading: bool = False


class Scrubber:
    """The fixity check of all mirrors, one part of one mirror at a time."""

    def __init__(
        self,
        registry: MirrorRegistry,
        scheduler: PassScheduler,
        session: Callable[[], Session],
        background: BackgroundReader,
        idle: float = IDLE,
    ) -> None:
        """`session` returns the Session of the configuration in force; `idle` is the longest rest, in seconds."""
        self.registry = registry
        self.scheduler = scheduler
        self.session = session
        self.reader = background
        self.idle = idle
        self.progress: dict[str, ScrubProgress] = {}

    async def run(self) -> None:
        """Repeat steps until cancelled."""
        while True:
            try:
                rests = await self.step()
            except (TransientError, NoSpace, Busy):  # caused by the store or the state's disk, not by one file
                await self.scheduler.check_store()
                rests = self.idle
            await asyncio.sleep(rests)

    async def step(self) -> float:
        """Count, read one part, repair; returns the seconds to rest."""
        await self.count()
        mirror_state = self._next() if self.registry.store.state == "online" and not self.scheduler.draining else None
        if mirror_state is not None:
            await self._read_part(mirror_state)
        await self.repair()
        return 0.0 if mirror_state is not None else self._pause()

    def progress_of(self, mirror_state: MirrorState) -> ScrubProgress:
        """Return the progress of one mirror."""
        return self.progress.setdefault(mirror_state.name, ScrubProgress())

    async def count(self) -> None:
        """Count the coverage of each mirror whose last count is too old."""
        for mirror_state in list(self.registry.states.values()):
            reading = self.progress_of(mirror_state)
            waited = self.registry.clock() - reading.counted
            if mirror_state.row is not None and (
                waited >= min(COUNTED, reading.within or COUNTED) or (reading.files == 0 and mirror_state.files)
            ):
                await self._count(mirror_state, reading)
        for name in self.progress.keys() - self.registry.states.keys():
            del self.progress[name]

    async def _count(self, mirror_state: MirrorState, reading: ScrubProgress) -> None:
        assert mirror_state.row is not None
        mirror, within = mirror_state.row.id, _within(mirror_state)
        since = self.registry.now() - within
        files, size, fresh, oldest = await self.reader.run(lambda c: c.pass_history.coverage(mirror, since))
        reading.counted, reading.within = self.registry.clock(), within
        reading.files, reading.bytes, reading.oldest = files, size, oldest
        reading.covered = fresh / files if files else 1.0

    def _next(self) -> MirrorState | None:
        if not self.session().config.scrub.enabled:
            return None
        now = self.registry.clock()
        ready = [
            (reading.next, name)
            for name, reading in self.progress.items()
            if reading.files and reading.next <= now and name in self.registry.states
        ]
        return self.registry.states[min(ready)[1]] if ready else None

    def _pause(self) -> float:
        now = self.registry.clock()
        nexts = [reading.next - now for reading in self.progress.values() if reading.files]
        return max(0.01, min([*nexts, self.idle])) if self.session().config.scrub.enabled else self.idle

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read_part(self, mirror_state: MirrorState) -> None:
        """Read the files of one mirror whose last check is longest ago."""
        registry, reading = self.registry, self.progress_of(mirror_state)
        assert mirror_state.row is not None
        mirror, now = mirror_state.row.id, registry.now()
        before = now - min(86_400.0, YOUNG * reading.within)
        files = min(MAX_FILES, max(MIN_FILES, reading.files // PARTS))
        size = max(MIN_BYTES, reading.bytes // PARTS)
        oldest = await self.reader.run(lambda c: list(c.pass_history.oldest(mirror, before, files, size)))
        began, good, read = registry.clock(), list[str](), 0
        reading.is_reading = bool(oldest)
        try:
            for path, _ in oldest:
                entry = self._entry(mirror_state, path)
                if entry is None:
                    continue
                try:
                    if await self._is_good(mirror_state, entry):
                        good.append(path)
                except Offline:
                    raise
                except TransientError:  # concerns this file alone: it stays first in the order
                    continue
                read += entry.size
                if registry.store.state != "online" or self.scheduler.draining:
                    break
        except Offline:
            await self.scheduler.check_store()
        finally:
            registry.catalogue.holdings.check(mirror, good, registry.now())
            reading.is_reading = False
        spent = max(0.001, registry.clock() - began)
        reading.rate = read / spent
        if good:
            registry.on_event(ScrubAdvanced(mirror_state.name, len(good), read))
        reading.next = registry.clock() + self._rest(reading, oldest, len(good), read, now)
        await self._count(mirror_state, reading)

    def _rest(
        self, reading: ScrubProgress, oldest: list[tuple[str, float]], files: int, read: int, now: float
    ) -> float:
        """Return the seconds to rest so that a round takes SHARE of the time."""
        span = SHARE * reading.within
        if not oldest:
            return min(span / PARTS, COUNTED)
        if now - oldest[0][1] > span and files:
            return 0.0  # late: continue as fast as `scrub.rate` allows
        part = max(files / max(1, reading.files), read / max(1, reading.bytes), 1 / max(PARTS, reading.files))
        return span * part

    def _entry(self, mirror_state: MirrorState, path: str) -> Entry | None:
        assert mirror_state.row is not None
        held = self.registry.catalogue.holdings.entry(mirror_state.row.id, path)
        return held[0] if held is not None else None

    async def _is_good(self, mirror_state: MirrorState, entry: Entry) -> bool:
        assert mirror_state.row is not None
        place = mirror_state.row.prefix + entry.path
        first = await self._inspect(place, entry)
        if first is None:
            return True
        again = await self._inspect(place, entry)
        if again is None:
            if first[0] == "digest":  # only the first read was wrong
                self._note_damage(mirror_state, entry, "unreadable", DIFFER)
            return False
        if first[0] == again[0] == "digest" and first[1] != again[1]:
            self._note_damage(mirror_state, entry, "unreadable", DIFFER)
        else:
            self._note_damage(mirror_state, entry, again[0], again[1])
        return False

    async def _inspect(self, place: str, entry: Entry) -> tuple[Finding, str] | None:
        """Return the finding of one read and its reason, or None if the bytes match the Entry."""
        session = self.session()
        paced = cast("Transport", _PacedStore(session.store, session.config.scrub.rate))
        try:
            size, digests = await hash_stored(paced, place, ("xxh3-128",), session.hashing)
        except NotFound:
            return "missing", f"{entry.size} bytes proved, nothing found"
        except (Busy, NoSpace):
            raise
        except PermanentError as error:  # a link or a lost permission concerns this file alone
            return "unreadable", str(error).removeprefix(f"{place}: ")
        if size != entry.size:
            return "size", f"{entry.size} bytes proved, {size} found"
        if digests["xxh3-128"] != entry.xxh3:
            return "digest", f"xxh3-128 {entry.xxh3} proved, {digests['xxh3-128']} found"
        return None

    def _note_damage(self, mirror_state: MirrorState, entry: Entry, finding: str, reason: str) -> None:
        """Record damage, unless the file was replaced meanwhile or is about to be."""
        registry, row = self.registry, mirror_state.row
        assert row is not None
        if self._entry(mirror_state, entry.path) != entry:
            return
        if any(swap.path == entry.path for swap in registry.catalogue.journal.swaps(row.id)):
            return
        reason = f"{entry.path}: {reason}"
        known = {one.path: one for one in registry.catalogue.pass_history.damaged(row.id)}.get(entry.path)
        tried = known.tried if known is not None else None
        registry.catalogue.pass_history.add_damage(
            row.id, DamagedFile(entry.path, finding, reason, entry.sha256, registry.now(), tried)
        )
        if known is None:
            registry.on_event(DamageFound(mirror_state.name, entry.path, finding, reason))
        registry.refresh(mirror_state)

    # -- repair ---------------------------------------------------------------------------------------------------

    async def repair(self) -> None:
        """Repair damaged files, mirror by mirror."""
        if not self.session().config.scrub.mend:
            return
        for mirror_state in [one for one in self.registry.states.values() if one.faults]:
            if self.registry.store.state != "online" or self.scheduler.draining or mirror_state.row is None:
                return
            now = self.registry.now()
            faults = [
                fault
                for fault in self.registry.catalogue.pass_history.damaged(mirror_state.row.id)
                if fault.tried is None or abs(now - fault.tried) >= MEND_AGAIN
            ]
            if not faults or mirror_state.run is not None or mirror_state.busy:
                continue
            with self.scheduler.reserve(mirror_state, because("waits.repair")):
                left = [fault for fault in faults if await self._is_repairable(mirror_state, fault)]
                if left:
                    await self._repair(mirror_state, left)
                self.registry.refresh(mirror_state)

    async def _is_repairable(self, mirror_state: MirrorState, fault: DamagedFile) -> bool:
        try:
            return not await self._needs_no_repair(mirror_state, fault)
        except Offline:
            raise
        except TransientError:  # unreadable now: the file stays recorded as damaged
            assert mirror_state.row is not None
            tried = msgspec.structs.replace(fault, tried=self.registry.now())
            self.registry.catalogue.pass_history.add_damage(mirror_state.row.id, tried)
            return False

    async def _needs_no_repair(self, mirror_state: MirrorState, fault: DamagedFile) -> bool:
        """Return True if a damaged file is intact now, no longer exists, or must not be repaired."""
        pass_history, row = self.registry.catalogue.pass_history, mirror_state.row
        assert row is not None
        entry = self._entry(mirror_state, fault.path)
        if entry is None:
            return True
        place = row.prefix + fault.path
        if await self._inspect(place, entry) is None and await self._inspect(place, entry) is None:
            pass_history.forget_damage(row.id, fault.path)
            self.registry.catalogue.holdings.check(row.id, [fault.path], self.registry.now())
            self.registry.on_event(DamageMended(mirror_state.name, fault.path))
            return True
        if fault.reason.endswith(DIFFER):
            pass_history.add_damage(row.id, msgspec.structs.replace(fault, tried=self.registry.now()))
            return True
        return False

    async def _repair(self, mirror_state: MirrorState, faults: list[DamagedFile]) -> None:
        registry, session, row = self.registry, self.session(), mirror_state.row
        assert row is not None
        place = PassPaths(row.name, row.prefix, f"scrub-{secrets.token_hex(6)}")
        report = Report(
            row.name, row.snapshot, faults=[Fault(one.path, cast("Finding", one.finding), one.reason) for one in faults]
        )
        try:
            async with self._source(mirror_state) as source:
                await Verification(
                    session.store,
                    registry.catalogue,
                    row,
                    place,
                    session.hashing,
                    lambda *_: None,
                    source,
                    registry.now,
                ).repair(report)
        except (ConfigError, PermanentError, TransientError) as error:  # its source cannot be opened
            report.faults = [msgspec.structs.replace(one, reason=f"{one.reason}; {error}") for one in report.faults]
        for damage, fault in zip(faults, report.faults, strict=True):
            if fault.repaired:
                registry.catalogue.pass_history.forget_damage(row.id, fault.path)
                registry.catalogue.holdings.check(row.id, [fault.path], registry.now())
                mirror_state.mended += 1
                registry.on_event(DamageMended(mirror_state.name, fault.path))
            else:
                registry.catalogue.pass_history.add_damage(
                    row.id, msgspec.structs.replace(damage, tried=registry.now())
                )
                registry.on_event(DamageStays(mirror_state.name, fault.path, fault.reason))

    @asynccontextmanager
    async def _source(self, mirror_state: MirrorState) -> AsyncIterator[Transport | None]:
        """Open the source of a mirror; yields None if it has no manifest in force or its window is closed."""
        declared = mirror_state.declared
        if declared is None or opens_in(declared.mirror, self.registry.now()) > 0:
            yield None
            return
        async with self.session().source(declared.mirror) as source:
            yield source


def _within(mirror_state: MirrorState) -> float:
    return (mirror_state.declared.mirror.verify if mirror_state.declared is not None else Verify()).scrub


class _PacedStore:
    """A store whose reads are limited to `rate` bytes per second."""

    def __init__(self, store: Transport, rate: float) -> None:
        self._store = store
        self._rate = rate

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator["_PacedBody"]:
        async with self._store.open(path) as body:
            yield _PacedBody(body, self._rate)


class _PacedBody:
    def __init__(self, body: Body, rate: float) -> None:
        self._body = body
        self._rate = rate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        paid = loop.time()
        async for chunk in self._body:
            paid = max(paid, loop.time() - 0.1) + len(chunk) / self._rate
            yield chunk
            if (owed := paid - loop.time()) > 0:
                await asyncio.sleep(owed)
