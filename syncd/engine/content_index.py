"""Keeps the index of held content: what a publish changed, or a whole mirror where the index does not know it."""

from collections.abc import Iterator

from syncd.catalogue import Catalogue, HeldBytes, MirrorRow, Run, begins_run
from syncd.core import SLICE, in_slices, next_turn
from syncd.engine.content_claims import keys_of

BATCH = 50_000  # rows sorted in memory: the more, the fewer pages of the index are written twice
PARTS = 64  # parts of the sorted rows, each of which is added in a transaction of its own
KEY_BITS = 48
LOOK = 64  # files read between two turns of the event loop


async def index_published(catalogue: Catalogue, mirror: MirrorRow, files: int) -> None:
    """Index what changed since the last Snapshot, before its record is cleared; `files` are in the new one.

    May be repeated after a crash. Everything, if the mirror is not indexed yet.
    """
    index = catalogue.held
    if index.least is None:
        return
    filling = _Filling(catalogue, mirror, index.least)
    if index.is_filled(mirror.name):
        await filling.add_changed(catalogue.holdings.changed(mirror.id))
    else:
        await filling.add_range("", None)
    index.filled(mirror.name, files)
    if index.trouble:
        index.missed.add(mirror.name)


async def index_mirror(catalogue: Catalogue, mirror: MirrorRow) -> None:
    """Index a mirror that was published before there was an index, or whose index was lost."""
    index = catalogue.held
    if index.least is not None and mirror.snapshot and not index.is_filled(mirror.name):
        await _Filling(catalogue, mirror, index.least).add_range("", None)
        current = catalogue.history.current(mirror.id)
        index.filled(mirror.name, current.files if current is not None else 0)


class _Filling:
    """Adds the files of one mirror to the index, in batches."""

    def __init__(self, catalogue: Catalogue, mirror: MirrorRow, least: int) -> None:
        self.index = catalogue.held
        self.content = catalogue.content
        self.mirror = mirror
        self.least = least
        self.firsts: set[str] = set()
        self.rows: list[tuple[str, int]] = []
        self.run: Run | None = None
        self.left: str | None = None
        self.looked = 0

    async def add_changed(self, paths: Iterator[str]) -> None:
        """Add the files at sorted paths. A path that divides a run moves what follows into a run of its own."""
        done: str | None = ""
        for path in paths:
            if done is None or path < done:
                continue
            run = self._run_of(path)
            if begins_run(path) and run.first != path:
                await self._flush()
                await self.add_range(path, run.last, left=run.first)
                done = run.last
                continue
            for stored in self.content.entries(self.mirror.id, path, path + "\0"):
                self._add(run.first, stored)
            await self._pause()
        await self._flush()

    async def add_range(self, first: str, last: str | None, left: str | None = None) -> None:
        """Add all files in `[first, last)`, in runs that begin at `first` and at each path where one begins.

        `left` is the beginning of the run that held them, if it is divided here.
        """
        self.left = left
        at = first
        self.firsts.add(at)
        for stored in self.content.entries(self.mirror.id, first, last):
            if begins_run(stored.path):
                at = stored.path
                self.firsts.add(at)
            self._add(at, stored)
            await self._pause()
        await self._flush()
        for stored in self.content.others(self.mirror.id, first, last):
            self._add(self._run_of(stored.path).first, stored)
            await self._pause()
        await self._flush()
        self.left = None

    def _add(self, first: str, stored: HeldBytes) -> None:
        if stored.bytes >= self.least:
            self.firsts.add(first)
            self.rows += [(first, key) for key in keys_of(stored)]

    def _run_of(self, path: str) -> Run:
        run = self.run
        if run is None or path < run.first or (run.last is not None and path >= run.last):
            run = self.run = self.index.run_of(self.mirror.name, path)
        return run

    async def _pause(self) -> None:
        """Let others run now and then, and add the rows when there are many."""
        self.looked += 1
        if len(self.rows) >= BATCH:
            await self._flush()
        elif self.looked % LOOK == 0:
            await next_turn()

    async def _flush(self) -> None:
        if self.firsts:
            firsts = self.firsts if self.left is None else self.firsts | {self.left}
            anchors = self.index.anchors(self.mirror.name, firsts)
            if anchors:  # else the index cannot be used
                left = anchors[self.left] if self.left is not None else None
                for part in await _sorted_parts(self.rows, anchors):
                    async for rows in in_slices(sorted(part), 2 * SLICE):
                        self.index.add(rows, left)
        self.firsts, self.rows, self.run = set(), [], None
        await next_turn()


async def _sorted_parts(rows: list[tuple[str, int]], anchors: dict[str, int]) -> list[list[tuple[int, int]]]:
    """Return the keys with the numbers of their runs, in parts that follow one another: sorting all takes too long."""
    parts: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]
    shift = KEY_BITS - PARTS.bit_length() + 1
    async for some in in_slices(rows, 8 * SLICE):
        for first, key in some:
            parts[(key >> shift) + PARTS // 2].append((key, anchors[first]))
    return parts
