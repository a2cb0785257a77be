"""Which mirrors there are for strangers: those whose manifest has `publish` and that have a snapshot.

Rules:
1. While Catalogue or store is away, or the Catalogue is being rebuilt, there is no list at all: Unavailable is raised,
   never a shorter list returned. A portal that harvests a list takes a missing name for a deleted dataset.
2. A mirror that is private is not in the list, so a request for it takes the way of one for an unknown name.
3. Nothing is written: the Catalogue is a second, read-only connection.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from manifests.access import access_of
from manifests.messages import message
from manifests.model import Mirror, load_mirror
from manifests.snapshot import Snapshot
from manifests.yaml import ManifestError
from syncd.catalogue import Catalogue, MirrorRow, Tombstone
from syncd.config import Config
from syncd.core import Damaged, Offline, Store, SyncdError, TransientError
from syncd.engine import REBUILDING

LOOK = 0.5  # seconds between two looks at a Catalogue that changes all the time
STORE_EVERY = 5.0  # seconds between two looks at the store's id
SNAPSHOTS = 32  # that are kept in memory
T = TypeVar("T")

REASON = message("the store or the Catalogue of this node is not available: ask again")


class Unavailable(TransientError):
    """Store or Catalogue is away."""


class PublicMirror(msgspec.Struct, frozen=True):
    """One mirror that strangers may know of."""

    row: MirrorRow
    manifest: Mirror

    @property
    def name(self) -> str:
        """Return the name of the mirror."""
        return self.row.name


class PublicMirrors:
    """The mirrors of one node, read from its Catalogue."""

    def __init__(
        self,
        config: Config,
        store: Store,
        on_problem: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`store` is the adapter, whose id is compared with the one that the Catalogue knows."""
        self._folder, self._store, self._on_problem = config.state, store, on_problem
        self._clock, self._now = clock, now
        self._catalogue: Catalogue | None = None
        self._file: tuple[int, int] = (0, 0)
        self._looked = self._counter = -1.0
        self._all: dict[str, PublicMirror] = {}
        self._ended: dict[str, Tombstone] = {}
        self._parsed: dict[str, tuple[str, Mirror | None]] = {}
        self._snapshots: OrderedDict[tuple[int, str], Snapshot] = OrderedDict()
        self._stored_at = -STORE_EVERY
        self._store_lock = asyncio.Lock()

    @property
    def catalogue(self) -> Catalogue:
        """Return the open Catalogue. Raises Unavailable."""
        if self._catalogue is None:
            raise Unavailable(REASON)
        return self._catalogue

    async def check(self) -> None:
        """Raise Unavailable if the store or the Catalogue is away; looks at the store every few seconds."""
        clock = self._clock()
        if self._catalogue is None or not 0 <= clock - self._looked < LOOK:
            await self._refresh(clock)
        if self._clock() - self._stored_at < STORE_EVERY:
            return
        async with self._store_lock:
            if self._clock() - self._stored_at < STORE_EVERY:
                return
            expected = self.catalogue.settings.get("store")
            if expected is None:
                raise Unavailable(REASON)
            await self.in_store(self._look(expected))
            self._stored_at = self._clock()

    async def _look(self, expected: str) -> None:
        """Raise what keeps the store from being the one that the Catalogue describes."""
        await self._store.identify(expected)
        if not self.catalogue.history.mirrors():
            async for stat in self._store.list(".syncd/mirrors/"):
                raise Offline(message("{path}: the Catalogue does not know this mirror yet", path=stat.path))

    async def in_store(self, work: Awaitable[object]) -> None:
        """Await work on the store. Raises Unavailable if that is away."""
        try:
            await work
        except SyncdError as error:
            self._on_problem(str(error))
            raise Unavailable(REASON) from error

    def find(self, name: str) -> PublicMirror | None:
        """Return a mirror that strangers may know of, as it was at the last `check`."""
        found = self._all.get(name)
        return found if found is not None and access_of(found.manifest, self.moment()) != "private" else None

    def ended(self, name: str) -> Tombstone | None:
        """Return the tombstone of a mirror that was published and is no longer, as it was at the last `check`."""
        return self._ended.get(name)

    def all(self) -> list[PublicMirror]:
        """Return all mirrors that strangers may know of, by name, as they were at the last `check`."""
        now = self.moment()
        return [one for _, one in sorted(self._all.items()) if access_of(one.manifest, now) != "private"]

    def moment(self) -> datetime:
        """Return the time of day."""
        return datetime.fromtimestamp(self._now(), UTC)

    def snapshot(self, mirror: PublicMirror, name: str) -> Snapshot | None:
        """Return a kept snapshot. Raises Unavailable."""
        key = (mirror.row.id, name)
        if key in self._snapshots and (name == mirror.row.snapshot or name in self.kept(mirror)):
            self._snapshots.move_to_end(key)
            return self._snapshots[key]
        found = self.ask(lambda catalogue: catalogue.history.snapshot(mirror.row.id, name))
        if found is not None:
            self._snapshots[key] = found
            if len(self._snapshots) > SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return found

    def kept(self, mirror: PublicMirror) -> list[str]:
        """Return the ids of the kept snapshots, the current one first. Raises Unavailable."""
        return [name for name, _ in self.ask(lambda catalogue: catalogue.history.snapshot_times(mirror.row.id))]

    def is_kept(self, row: MirrorRow, name: str) -> bool:
        """Return True if a snapshot is still kept. Raises Unavailable."""
        return self.ask(lambda catalogue: catalogue.history.snapshot(row.id, name)) is not None

    def was_published(self, mirror: PublicMirror, name: str) -> bool:
        """Return True if a snapshot was published once, as far as the records reach. Raises Unavailable."""
        return self.ask(lambda catalogue: catalogue.published.was_published(mirror.row.id, name))

    def ask(self, question: Callable[[Catalogue], T]) -> T:
        """Return what a short question to the Catalogue brings. Raises Unavailable."""
        try:
            return question(self.catalogue)
        except (TransientError, Damaged) as error:
            if isinstance(error, Damaged) and error.of_mirror:
                self._on_problem(str(error))
            else:
                self._lose(str(error))
            raise Unavailable(REASON) from error

    def close(self) -> None:
        """Close the Catalogue."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    # -- the Catalogue --------------------------------------------------------------------------------------------

    async def _refresh(self, clock: float) -> None:
        """Read the mirrors again if the Catalogue has changed. Raises Unavailable."""
        try:
            stat = await asyncio.to_thread(os.stat, self._folder / "catalogue.sqlite")
            if self._catalogue is None or (stat.st_dev, stat.st_ino) != self._file:
                self._lose("")  # another one took its place
                self._catalogue, self._file = Catalogue(self._folder, read_only=True), (stat.st_dev, stat.st_ino)
            counter = self._catalogue.change_counter()
            if counter != self._counter:
                self._read(self._catalogue)
                self._counter = counter
        except Unavailable:
            raise
        except (OSError, TransientError, Damaged) as error:
            self._lose(str(error))
            raise Unavailable(REASON) from error
        self._looked = clock

    def _read(self, catalogue: Catalogue) -> None:
        if catalogue.settings.get(REBUILDING):
            raise Unavailable(REASON)
        found: dict[str, PublicMirror] = {}
        for row in catalogue.history.mirrors():
            text = catalogue.settings.get(f"manifest:{row.name}")
            if text is None or not row.snapshot or row.last.get("state") == "forgetting":
                continue
            if catalogue.settings.get(f"withdrawn:{row.name}"):
                continue
            manifest = self._manifest(row.name, text)
            if manifest is not None:
                found[row.name] = PublicMirror(row, manifest)
        self._all = found
        self._ended = {one.mirror: one for one in catalogue.publications.tombstones()}
        self._parsed = {name: kept for name, kept in self._parsed.items() if name in found or kept[1] is None}

    def _manifest(self, name: str, text: str) -> Mirror | None:
        """Return a manifest, or None for one without `publish`, or that this syncd cannot read: it stays private."""
        known = self._parsed.get(name)
        if known is not None and known[0] == text:
            return known[1]
        manifest = None
        if "publish" in text:
            try:
                manifest = load_mirror(text, name)
            except ManifestError as error:
                self._on_problem(str(error))
        if manifest is not None and manifest.publish is None:
            manifest = None
        self._parsed[name] = (text, manifest)
        return manifest

    def _lose(self, why: str) -> None:
        if why:
            self._on_problem(why)
        if self._catalogue is not None:
            with suppress(SyncdError):
                self._catalogue.close()
        self._catalogue, self._counter, self._looked = None, -1.0, -1.0
        self._snapshots.clear()
