"""A Store whose operations are counted and timed, for the metrics; it changes nothing else."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, cast

from manifests.stat import Stat
from syncd.core import Body, Exists, Histogram, NotFound, Page, Staged, Store, SyncdError

OPERATION = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds, in seconds
OPERATIONS = ("put", "stage", "commit", "open", "stat", "move", "copy", "delete")
_ANSWERS = (NotFound, Exists)  # what is not there, or is there already, is an answer and no failure


class Meter:
    """How often each operation was asked for, how long it took, how often it failed."""

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
        """Enter it into `meter` when it is over."""
        self._meter = meter
        self._operation = operation

    def __enter__(self) -> None:
        self._began = self._meter.clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        meter = self._meter
        if kind is not None and not issubclass(kind, SyncdError):
            return  # cancelled, or a bug: says nothing of the store
        meter.times[self._operation].observe(meter.clock() - self._began)
        if kind is not None and not issubclass(kind, _ANSWERS):
            meter.failed[self._operation] += 1


class MeteredStore:
    """Wraps a Store; what it does not name itself it leaves to the store within."""

    def __init__(self, inner: Store, meter: Meter) -> None:
        """Count in `meter`."""
        self.inner = inner  # for `probe`, which asks what kind of store this is
        self._inner = inner
        self._meter = meter
        self.piece = inner.piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List; not timed, for who reads it sets the pace."""
        return self._inner.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        return self._inner.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Ask for one file."""
        with self._meter.timing("stat"):
            return await self._inner.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read; the time is that to the beginning of the answer."""
        return _TimedOpening(self._inner.open(path, start=start, stop=stop, version=version), self._meter)

    async def put(self, path: str, body: bytes, *, if_absent: bool = False) -> Stat:
        """Write one small object."""
        with self._meter.timing("put"):
            return await self._inner.put(path, body, if_absent=if_absent)

    def stage(self, path: str, *, size: int | None, resume: str | None = None) -> AbstractAsyncContextManager[Staged]:
        """Begin a file; its commit is timed too."""
        return _TimedStaging(self._inner.stage(path, size=size, resume=resume), self._meter)

    async def move(self, path: str, to: str) -> None:
        """Rename inside the store."""
        with self._meter.timing("move"):
            await self._inner.move(path, to)

    async def copy(self, path: str, to: str) -> None:
        """Copy inside the store."""
        with self._meter.timing("copy"):
            await self._inner.copy(path, to)

    async def delete(self, path: str) -> None:
        """Remove."""
        with self._meter.timing("delete"):
            await self._inner.delete(path)

    async def identify(self, expected: str | None) -> str:
        """Ask for its id."""
        return await self._inner.identify(expected)

    async def free(self) -> int | None:
        """Ask for room."""
        return await self._inner.free()

    async def sweep(self, older_than: float) -> int:
        """Drop stale stagings."""
        return await self._inner.sweep(older_than)

    async def aclose(self) -> None:
        """Close the store within."""
        await self._inner.aclose()


class _TimedOpening:
    """A block whose entering is timed."""

    __slots__ = ("_inner", "_meter")

    def __init__(self, inner: AbstractAsyncContextManager[Body], meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def __aenter__(self) -> Body:
        with self._meter.timing("open"):
            return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)


class _TimedStaging:
    """The block of a staging: its entering and its commit are timed."""

    __slots__ = ("_inner", "_meter")

    def __init__(self, inner: AbstractAsyncContextManager[Staged], meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def __aenter__(self) -> Staged:
        with self._meter.timing("stage"):
            return cast("Staged", _TimedStaged(await self._inner.__aenter__(), self._meter))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)


class _TimedStaged:
    """A Staged whose commit is timed; all else is the one within."""

    def __init__(self, inner: Staged, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        with self._meter.timing("commit"):
            return await self._inner.commit(size=size, sha256=sha256, if_absent=if_absent, to=to)
