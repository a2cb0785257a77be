"""Runs the fixity check (scrub): reads every stored file again within its mirror's `verify.scrub`.

The file whose last check is longest ago comes first. Reading is spread evenly over the time, and never faster than
`scrub.rate`. The Catalogue holds the time of each check, so a restart continues there.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from manifests.model import Verify
from syncd.catalogue import BackgroundReader
from syncd.core import Busy, NoSpace, Offline, ScrubAdvanced, TransientError
from syncd.daemon.damage_repair import DamageRepair
from syncd.daemon.fixity_check import FixityCheck
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState, contain_damage
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.session import Session

SHARE = 0.8  # of `verify.scrub`: the time in which every file is read
PARTS = 100  # parts of one round
MIN_FILES, MAX_FILES = 64, 5_000  # of one part
MIN_BYTES = 64 << 20
YOUNG = 0.1  # of `verify.scrub`, up to a day: files read within it are not read again
COUNTED = 3_600.0  # seconds between two counts of the coverage
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
        self.check = FixityCheck(registry, session)
        self.damage = DamageRepair(registry, scheduler, session, self.check)

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
            with contain_damage(mirror_state):
                await self._read_part(mirror_state)
        await self.damage.repair()
        return 0.0 if mirror_state is not None else self._pause()

    def progress_of(self, mirror_state: MirrorState) -> ScrubProgress:
        """Return the progress of one mirror."""
        return self.progress.setdefault(mirror_state.name, ScrubProgress())

    def seen(self, mirror_state: MirrorState) -> ScrubProgress:
        """As `progress_of`, for other threads: changes nothing."""
        return self.progress.get(mirror_state.name) or ScrubProgress()

    async def count(self) -> None:
        """Count the coverage of each mirror whose last count is too old."""
        for mirror_state in list(self.registry.states.values()):
            reading = self.progress_of(mirror_state)
            waited = self.registry.clock() - reading.counted
            if (
                mirror_state.row is not None
                and not mirror_state.damaged
                and (waited >= min(COUNTED, reading.within or COUNTED) or (reading.files == 0 and mirror_state.files))
            ):
                with contain_damage(mirror_state):
                    await self._count(mirror_state, reading)
            if mirror_state.damaged:
                reading.files = 0  # it has no records to check
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
                entry = self.check.entry(mirror_state, path)
                if entry is None:
                    continue
                try:
                    if await self.check.is_good(mirror_state, entry):
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


def _within(mirror_state: MirrorState) -> float:
    return (mirror_state.declared.mirror.verify if mirror_state.declared is not None else Verify()).scrub
