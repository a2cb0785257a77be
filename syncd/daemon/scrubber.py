"""Reads stored bytes again, all of them within each mirror's `verify.scrub`, and mends what is not as it was proved.

Rules:
1. The longest unread comes first. Reading goes on steadily, as fast as it must and never faster than `scrub.rate`; when
   each file was read stands in the Catalogue, so a restart goes on where it was.
2. A file is damaged only if a second read says so too, and it is still the file that was proved: what a pass replaces
   meanwhile is no damage. Two reads that differ from one another point at memory, cable or disk, and nothing is mended.
3. Mending puts proved bytes in the place and the damaged ones into the quarantine; the last copy is never deleted.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import msgspec

from manifests.model.mirror import Verify
from manifests.snapshot import Entry
from syncd.catalogue import Damage
from syncd.catalogue.background_reader import Beside
from syncd.core.errors import (
    Busy,
    ConfigError,
    NoSpace,
    NotFound,
    Offline,
    PermanentError,
    TransientError,
)
from syncd.core.events import DamageFound, DamageMended, DamageStays, ScrubAdvanced
from syncd.core.ports import Body, Transport
from syncd.daemon.mirror_registry import Fleet, Standing
from syncd.daemon.pass_scheduler import Rota
from syncd.daemon.schedule import opens_in
from syncd.engine.transfer import Place, read_back
from syncd.engine.verify import Fault, Finding, Report, Verification
from syncd.session.session import Workbench

SHARE = 0.8  # of `verify.scrub`: the time in which all is read
PARTS = 100  # in so many parts
MIN_FILES, MAX_FILES = 64, 5_000  # of one part
MIN_BYTES = 64 << 20
YOUNG = 0.1  # of `verify.scrub`, up to a day: what was read so lately is not read again
COUNTED = 3_600.0  # seconds between two counts of what was read
MEND_AGAIN = 3_600.0  # seconds between two tries to mend
DIFFER = "two reads of it differ: suspect memory, cable or disk"
IDLE = 30.0  # seconds between two looks when there is nothing to read


@dataclass(slots=True)
class Reading:
    """How far the reading of one mirror is; `next` and `counted` are of the monotonic clock."""

    next: float = 0.0
    counted: float = -COUNTED
    within: float = 0.0
    files: int = 0
    bytes: int = 0
    oldest: float | None = None
    covered: float = 1.0
    rate: float = 0.0
    is_reading: bool = False


class Scrub:
    """The reading of all mirrors, one after the other."""

    def __init__(
        self, fleet: Fleet, rota: Rota, bench: Callable[[], Workbench], beside: Beside, idle: float = IDLE
    ) -> None:
        """`bench` is the workbench of the configuration in force, `idle` the longest rest, in seconds."""
        self.fleet = fleet
        self.rota = rota
        self.bench = bench
        self.beside = beside
        self.idle = idle
        self.readings: dict[str, Reading] = {}

    async def run(self) -> None:
        """Read, as long as the daemon runs."""
        while True:
            try:
                rests = await self.go_on()
            except (TransientError, NoSpace, Busy):  # the store or the state's disk: nothing of a single file
                await self.rota.trouble()
                rests = self.idle
            await asyncio.sleep(rests)

    async def go_on(self) -> float:
        """Count, read one part, mend; returns how long to rest."""
        await self.count()
        standing = self._next() if self.fleet.store.state == "online" and not self.rota.draining else None
        if standing is not None:
            await self._read_part(standing)
        await self.mend()
        return 0.0 if standing is not None else self._pause()

    def reading(self, standing: Standing) -> Reading:
        """Return how far one mirror is."""
        return self.readings.setdefault(standing.name, Reading())

    async def count(self) -> None:
        """Count, for each mirror now and then, how much was read."""
        for standing in list(self.fleet.standings.values()):
            reading = self.reading(standing)
            waited = self.fleet.clock() - reading.counted
            if standing.row is not None and (
                waited >= min(COUNTED, reading.within or COUNTED) or (reading.files == 0 and standing.files)
            ):
                await self._count(standing, reading)
        for name in self.readings.keys() - self.fleet.standings.keys():
            del self.readings[name]

    async def _count(self, standing: Standing, reading: Reading) -> None:
        assert standing.row is not None
        mirror, within = standing.row.id, _within(standing)
        since = self.fleet.now() - within
        files, size, fresh, oldest = await self.beside.ask(lambda c: c.chronicle.coverage(mirror, since))
        reading.counted, reading.within = self.fleet.clock(), within
        reading.files, reading.bytes, reading.oldest = files, size, oldest
        reading.covered = fresh / files if files else 1.0

    def _next(self) -> Standing | None:
        if not self.bench().config.scrub.enabled:
            return None
        now = self.fleet.clock()
        ready = [
            (reading.next, name)
            for name, reading in self.readings.items()
            if reading.files and reading.next <= now and name in self.fleet.standings
        ]
        return self.fleet.standings[min(ready)[1]] if ready else None

    def _pause(self) -> float:
        now = self.fleet.clock()
        nexts = [reading.next - now for reading in self.readings.values() if reading.files]
        return max(0.01, min([*nexts, self.idle])) if self.bench().config.scrub.enabled else self.idle

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read_part(self, standing: Standing) -> None:
        """Read the files of one mirror that were unread for longest."""
        fleet, reading = self.fleet, self.reading(standing)
        assert standing.row is not None
        mirror, now = standing.row.id, fleet.now()
        before = now - min(86_400.0, YOUNG * reading.within)
        files = min(MAX_FILES, max(MIN_FILES, reading.files // PARTS))
        size = max(MIN_BYTES, reading.bytes // PARTS)
        oldest = await self.beside.ask(lambda c: list(c.chronicle.oldest(mirror, before, files, size)))
        began, good, read = fleet.clock(), list[str](), 0
        reading.is_reading = bool(oldest)
        try:
            for path, _ in oldest:
                entry = self._held(standing, path)
                if entry is None:
                    continue
                try:
                    if await self._is_good(standing, entry):
                        good.append(path)
                except Offline:
                    raise
                except TransientError:  # of this file alone: it stays unread for longest, so it comes again first
                    continue
                read += entry.size
                if fleet.store.state != "online" or self.rota.draining:
                    break
        except Offline:
            await self.rota.trouble()
        finally:
            fleet.catalogue.holdings.check(mirror, good, fleet.now())
            reading.is_reading = False
        spent = max(0.001, fleet.clock() - began)
        reading.rate = read / spent
        if good:
            fleet.hear(ScrubAdvanced(standing.name, len(good), read))
        reading.next = fleet.clock() + self._rest(reading, oldest, len(good), read, now)
        await self._count(standing, reading)

    def _rest(self, reading: Reading, oldest: list[tuple[str, float]], files: int, read: int, now: float) -> float:
        """Return how long to rest, so that all is read in SHARE of the time."""
        span = SHARE * reading.within
        if not oldest:
            return min(span / PARTS, COUNTED)
        if now - oldest[0][1] > span and files:
            return 0.0  # late: go on as fast as is allowed
        part = max(files / max(1, reading.files), read / max(1, reading.bytes), 1 / max(PARTS, reading.files))
        return span * part

    def _held(self, standing: Standing, path: str) -> Entry | None:
        assert standing.row is not None
        held = self.fleet.catalogue.holdings.entry(standing.row.id, path)
        return held[0] if held is not None else None

    async def _is_good(self, standing: Standing, entry: Entry) -> bool:
        assert standing.row is not None
        place = standing.row.prefix + entry.path
        first = await self._look(place, entry)
        if first is None:
            return True
        again = await self._look(place, entry)
        if again is None:
            if first[0] == "digest":  # it was another only once
                self._found(standing, entry, "unreadable", DIFFER)
            return False
        if first[0] == again[0] == "digest" and first[1] != again[1]:
            self._found(standing, entry, "unreadable", DIFFER)
        else:
            self._found(standing, entry, again[0], again[1])
        return False

    async def _look(self, place: str, entry: Entry) -> tuple[Finding, str] | None:
        """Return what is wrong with stored bytes, or None."""
        bench = self.bench()
        paced = cast("Transport", _Paced(bench.store, bench.config.scrub.rate))
        try:
            size, digests = await read_back(paced, place, ("xxh3-128",), bench.hashing)
        except NotFound:
            return "missing", f"{entry.size} bytes proved, nothing found"
        except (Busy, NoSpace):
            raise
        except PermanentError as error:  # a link or a lost permission is of this file, and must not stop the others
            return "unreadable", str(error).removeprefix(f"{place}: ")
        if size != entry.size:
            return "size", f"{entry.size} bytes proved, {size} found"
        if digests["xxh3-128"] != entry.xxh3:
            return "digest", f"xxh3-128 {entry.xxh3} proved, {digests['xxh3-128']} found"
        return None

    def _found(self, standing: Standing, entry: Entry, finding: str, reason: str) -> None:
        """Write damage down, unless the file is another by now, or about to be."""
        fleet, row = self.fleet, standing.row
        assert row is not None
        if self._held(standing, entry.path) != entry:
            return
        if any(swap.path == entry.path for swap in fleet.catalogue.history.swaps(row.id)):
            return
        reason = f"{entry.path}: {reason}"
        known = {one.path: one for one in fleet.catalogue.chronicle.faults(row.id)}.get(entry.path)
        tried = known.tried if known is not None else None
        fleet.catalogue.chronicle.find(row.id, Damage(entry.path, finding, reason, entry.sha256, fleet.now(), tried))
        if known is None:
            fleet.hear(DamageFound(standing.name, entry.path, finding, reason))
        fleet.look_up(standing)

    # -- mending --------------------------------------------------------------------------------------------------

    async def mend(self) -> None:
        """Mend what can be mended now, mirror by mirror."""
        if not self.bench().config.scrub.mend:
            return
        for standing in [one for one in self.fleet.standings.values() if one.faults]:
            if self.fleet.store.state != "online" or self.rota.draining or standing.row is None:
                return
            now = self.fleet.now()
            faults = [
                fault
                for fault in self.fleet.catalogue.chronicle.faults(standing.row.id)
                if fault.tried is None or abs(now - fault.tried) >= MEND_AGAIN
            ]
            if not faults or standing.run is not None or standing.busy:
                continue
            with self.rota.holding(standing, "mends damage"):
                left = [fault for fault in faults if await self._is_to_mend(standing, fault)]
                if left:
                    await self._mend(standing, left)
                self.fleet.look_up(standing)

    async def _is_to_mend(self, standing: Standing, fault: Damage) -> bool:
        try:
            return not await self._is_whole(standing, fault)
        except Offline:
            raise
        except TransientError:  # nothing is known of it now
            assert standing.row is not None
            tried = msgspec.structs.replace(fault, tried=self.fleet.now())
            self.fleet.catalogue.chronicle.find(standing.row.id, tried)
            return False

    async def _is_whole(self, standing: Standing, fault: Damage) -> bool:
        """Tell whether a file that was called damaged is whole, or must be left alone: there is nothing to mend."""
        chronicle, row = self.fleet.catalogue.chronicle, standing.row
        assert row is not None
        entry = self._held(standing, fault.path)
        if entry is None:
            return True
        place = row.prefix + fault.path
        if await self._look(place, entry) is None and await self._look(place, entry) is None:
            chronicle.mended(row.id, fault.path)
            self.fleet.catalogue.holdings.check(row.id, [fault.path], self.fleet.now())
            self.fleet.hear(DamageMended(standing.name, fault.path))
            return True
        if fault.reason.endswith(DIFFER):
            chronicle.find(row.id, msgspec.structs.replace(fault, tried=self.fleet.now()))
            return True
        return False

    async def _mend(self, standing: Standing, faults: list[Damage]) -> None:
        fleet, bench, row = self.fleet, self.bench(), standing.row
        assert row is not None
        place = Place(row.name, row.prefix, f"scrub-{secrets.token_hex(6)}")
        report = Report(
            row.name, row.snapshot, faults=[Fault(one.path, cast("Finding", one.finding), one.reason) for one in faults]
        )
        try:
            async with self._source(standing) as source:
                await Verification(
                    bench.store, fleet.catalogue, row, place, bench.hashing, lambda *_: None, source, fleet.now
                ).repair(report)
        except (ConfigError, PermanentError, TransientError) as error:  # its source cannot even be opened
            report.faults = [msgspec.structs.replace(one, reason=f"{one.reason}; {error}") for one in report.faults]
        for damage, fault in zip(faults, report.faults, strict=True):
            if fault.repaired:
                fleet.catalogue.chronicle.mended(row.id, fault.path)
                fleet.catalogue.holdings.check(row.id, [fault.path], fleet.now())
                standing.mended += 1
                fleet.hear(DamageMended(standing.name, fault.path))
            else:
                fleet.catalogue.chronicle.find(row.id, msgspec.structs.replace(damage, tried=fleet.now()))
                fleet.hear(DamageStays(standing.name, fault.path, fault.reason))

    @asynccontextmanager
    async def _source(self, standing: Standing) -> AsyncIterator[Transport | None]:
        """Open the upstream of a mirror that is in force and in its window; else there is none."""
        declared = standing.declared
        if declared is None or opens_in(declared.mirror, self.fleet.now()) > 0:
            yield None
            return
        async with self.bench().source(declared.mirror) as source:
            yield source


def _within(standing: Standing) -> float:
    return (standing.declared.mirror.verify if standing.declared is not None else Verify()).scrub


class _Paced:
    """The reading side of a store, no faster than `rate` bytes a second."""

    def __init__(self, store: Transport, rate: float) -> None:
        self._store = store
        self._rate = rate

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator["_Slow"]:
        async with self._store.open(path) as body:
            yield _Slow(body, self._rate)


class _Slow:
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
