"""Counts and times the operations of a Store, for the metrics."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from manifests.stat import Stat
from syncd.core import Body, Exists, Histogram, NotFound, Staged, Store, SyncdError
from syncd.wrappers.base import OpeningWrapper, StagedWrapper, StoreWrapper

T = TypeVar("T")

OPERATION = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds, in seconds
OPERATIONS = ("put", "stage", "commit", "open", "stat", "move", "copy", "delete")
_ANSWERS = (NotFound, Exists)  # a missing or existing object is a result, not a failure


class Meter:
    """The counts, durations and failures of each operation."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` is monotonic, in seconds."""
        self.clock = clock
        self.times = {operation: Histogram(OPERATION) for operation in OPERATIONS}
        self.failed = dict.fromkeys(OPERATIONS, 0)

    def timing(self, operation: str) -> "Timing":
        """Time a block."""
        return Timing(self, operation)


class Timing:
    """One operation being timed."""

    __slots__ = ("_began", "_meter", "_operation")

    def __init__(self, meter: Meter, operation: str) -> None:
        """Record it in `meter` at its end."""
        self._meter = meter
        self._operation = operation

    def __enter__(self) -> None:
        self._began = self._meter.clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        meter = self._meter
        if kind is not None and not issubclass(kind, SyncdError):
            return  # cancelled, or a bug: not a failure of the store
        meter.times[self._operation].observe(meter.clock() - self._began)
        if kind is not None and not issubclass(kind, _ANSWERS):
            meter.failed[self._operation] += 1


class MeteredStore(StoreWrapper):
    """A Store whose operations are counted and timed. Listings are not: their consumer sets the pace."""

    def __init__(self, inner: Store, meter: Meter) -> None:
        """Count in `meter`."""
        super().__init__(inner)
        self._meter = meter

    async def stat(self, path: str) -> Stat:
        """Return a Stat."""
        with self._meter.timing("stat"):
            return await self.inner.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read; the measured time ends when the response begins."""
        return _TimedOpening(self.inner.open(path, start=start, stop=stop, version=version), self._meter, "open")

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one small object."""
        with self._meter.timing("put"):
            return await self.inner.put(path, body, if_absent=if_absent, sha256=sha256)

    def stage(
        self,
        path: str,
        *,
        size: int | None,
        resume: str | None = None,
        is_record: bool = False,
        in_place: bool = False,
        of: str | None = None,
    ) -> AbstractAsyncContextManager[Staged]:
        """Begin a file; its commit is also timed."""
        return _TimedStaging(
            self.inner.stage(path, size=size, resume=resume, is_record=is_record, in_place=in_place, of=of),
            self._meter,
            "stage",
        )

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store."""
        with self._meter.timing("move"):
            await self.inner.move(path, to)

    async def copy(self, path: str, to: str) -> None:
        """Copy inside the store."""
        with self._meter.timing("copy"):
            await self.inner.copy(path, to)

    async def delete(self, path: str) -> None:
        """Delete."""
        with self._meter.timing("delete"):
            await self.inner.delete(path)


class _TimedOpening(OpeningWrapper[T]):
    """A block whose entry is timed."""

    __slots__ = ("_meter", "_operation")

    def __init__(self, inner: AbstractAsyncContextManager[T], meter: Meter, operation: str) -> None:
        super().__init__(inner)
        self._meter = meter
        self._operation = operation

    async def __aenter__(self) -> T:
        with self._meter.timing(self._operation):
            return await self.inner.__aenter__()


class _TimedStaging(_TimedOpening[Staged]):
    """The block of a staging: its entry and its commit are timed."""

    __slots__ = ()

    async def __aenter__(self) -> Staged:
        return _TimedStaged(await super().__aenter__(), self._meter)


class _TimedStaged(StagedWrapper):
    """A Staged whose commit is timed."""

    def __init__(self, inner: Staged, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        with self._meter.timing("commit"):
            return await self.inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to)
