"""Makes the tree of a mirror what the next Snapshot says: removed files leave it, and replacements take their places.

Rules:
1. The moves are recorded in the Catalogue, then in the store's journal, before the first one; each may be made twice.
2. A replaced file is never absent: its old bytes are copied aside inside the store, then the new ones move over it.
3. A place that cannot be taken or left concerns that file only: it is reported, and tried again by the next publish.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry
from syncd.catalogue import ArchivedVersion, Catalogue, MirrorRow, RemovedFile, Swap
from syncd.core import Busy, Damaged, Mismatch, NoSpace, NotFound, PermanentError, Store, Unsafe, in_lanes, next_turn
from syncd.engine.kept_snapshots import RetainedSnapshots
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish_journal import JournalHead, write_journal
from syncd.engine.quarantine import PassQuarantine, QuarantineRoom

WIDTH = 32  # moves under way at once
STAYS = message("was deleted, but its bytes cannot leave their path")
TAKEN = message("its path in the store cannot be taken")
PAGE = 128  # moves recorded in one transaction

Work = TypeVar("Work", RemovedFile, Swap)
OnFailed = Callable[[str, PermanentError], None]
"""Called with the path of a file whose place could not be taken or left, and why."""


class TreeMoves(msgspec.Struct, frozen=True):
    """What moving the files of one mirror needs."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    on_failed: OnFailed
    now: Callable[[], float]

    async def settle(self) -> JournalHead | None:
        """Make all moves that wait, and go on where a crash interrupted that; return the head of their journal.

        Raises TransientError, NoSpace and Busy: the rest waits.
        """
        catalogue, mirror = self.catalogue, self.mirror
        if not catalogue.journal.swaps(mirror.id, limit=1) and not catalogue.holdings.removed_in_place(
            mirror.id, limit=1
        ):
            return None
        current = catalogue.history.current_id(mirror.id)
        head = None
        if current:
            head = await write_journal(self.store, catalogue, mirror, self.place, current, self.now)
        # removals first: where a folder becomes a file, the folder must be gone
        await self._remove_all(current or "none")
        await self._swap_all(current or "none")
        return head

    # -- removals -------------------------------------------------------------------------------------------------

    async def _remove_all(self, current: str) -> None:
        after = ""
        while page := self.catalogue.holdings.removed_in_place(self.mirror.id, after, PAGE):
            after = page[-1].path
            await self._remove_page(page, current)
            await next_turn()

    async def _remove_page(self, page: Sequence[RemovedFile], current: str) -> None:
        holdings, mirror = self.catalogue.holdings, self.mirror.id
        naming = await self._snapshots_naming([removed for removed in page if removed.was_left])
        moved: list[tuple[RemovedFile, str]] = []
        gone: list[RemovedFile] = []
        failed: list[tuple[RemovedFile, PermanentError]] = []
        try:
            await _each(page, lambda one: self._remove(one, naming.get(one.path, current), moved, gone), failed)
            await next_turn()
        finally:
            holdings.end_removals(mirror, moved)
            holdings.forget_removed(mirror, gone)
            holdings.fail_removals(mirror, [(removed, str(error)) for removed, error in failed])
        for removed, error in failed:
            self.on_failed(removed.path, _explained(removed.path, STAYS, error))

    async def _remove(
        self, removed: RemovedFile, snapshot: str, moved: list[tuple[RemovedFile, str]], gone: list[RemovedFile]
    ) -> None:
        try:
            await self.store.move(self.place.natural(removed.path), self.place.removed(snapshot, removed.path))
        except NotFound:  # taken by hand: there is nothing to keep
            gone.append(removed)
        else:
            moved.append((removed, snapshot))

    async def _snapshots_naming(self, left: Sequence[RemovedFile]) -> dict[str, str]:
        """Return the last kept Snapshot that names each file which an older syncd left under its final name."""
        if not left:
            return {}
        kept = self.catalogue.history.snapshots(self.mirror.id)
        named = RetainedSnapshots(self.store, self.mirror.name, kept)
        found: dict[str, str] = {}
        for removed in left:
            with suppress(PermanentError):  # a snapshot that cannot be read does not hold the file in its place
                if (name := await named.snapshot_naming(removed.path, removed.entry.sha256)) is not None:
                    found[removed.path] = name
        return found

    # -- swaps ----------------------------------------------------------------------------------------------------

    async def _swap_all(self, current: str) -> None:
        after = ""
        while page := self.catalogue.journal.swaps(self.mirror.id, after, PAGE):
            after = page[-1].path
            await self._swap_page(page, current)
            await next_turn()

    async def _swap_page(self, page: Sequence[Swap], current: str) -> None:
        swapped: list[Swap] = []
        kept: list[ArchivedVersion] = []
        failed: list[tuple[Swap, PermanentError]] = []
        try:
            await _each(page, lambda swap: self._swap(swap, current, swapped, kept), failed)
            await next_turn()
        finally:
            self.catalogue.together(self.mirror.id, lambda: self._end_swaps(swapped, kept, failed))
        for swap, error in failed:
            self.on_failed(swap.path, _explained(swap.path, TAKEN, error))

    def _end_swaps(
        self, swapped: list[Swap], kept: list[ArchivedVersion], failed: list[tuple[Swap, PermanentError]]
    ) -> None:
        catalogue, mirror = self.catalogue, self.mirror.id
        catalogue.holdings.add_versions(mirror, kept, self.now())
        catalogue.holdings.add(mirror, [(swap.entry, swap.origin) for swap in swapped])
        lost = [swap.path for swap, error in failed if isinstance(error, StagedBytesLost)]
        catalogue.journal.end_swaps(mirror, [*(swap.path for swap in swapped), *lost])
        catalogue.journal.fail_swaps(mirror, [(swap.path, str(error)) for swap, error in failed])

    async def _swap(self, swap: Swap, current: str, swapped: list[Swap], kept: list[ArchivedVersion]) -> None:
        natural, aside = self.place.natural(swap.path), self.place.version(current, swap.path)
        is_kept = False
        if await self._is_there(swap.staged):
            was_kept = await self._is_there(aside)  # of two swaps before a snapshot, the first holds what was published
            if swap.old_sha256:
                is_kept = was_kept or await self._archive_replaced(natural, aside)
            else:
                self._require_vacancy(swap.path)
                await self._save_unknown(swap.entry, natural)
            try:
                await self.store.move(swap.staged, natural)
            except PermanentError:
                if is_kept and not was_kept:  # nothing was replaced, so nothing records these bytes
                    await self.store.delete(aside)
                raise
        else:  # moved before a crash; what is left is to say so
            if not await self._holds(natural, swap.entry):
                if await self._bring_back(swap, natural, aside):
                    kept.append(ArchivedVersion(current, swap.path, swap.old_bytes, swap.old_sha256))
                raise StagedBytesLost(
                    message("{path}: the bytes that waited at {staged} are missing", path=swap.path, staged=swap.staged)
                )
            is_kept = bool(swap.old_sha256) and await self._is_there(aside)
        if is_kept:
            kept.append(ArchivedVersion(current, swap.path, swap.old_bytes, swap.old_sha256))
        swapped.append(swap)

    async def _bring_back(self, swap: Swap, natural: str, aside: str) -> bool:
        """Bring the replaced bytes back to their path where neither these nor the new ones are; True if they were kept.

        The new ones rotted, or were changed by hand, after a crash: the Catalogue names the replaced ones still.
        """
        old = Entry(swap.path, swap.old_bytes, swap.old_sha256, "")
        if not old.sha256 or await self._holds(natural, old) or not await self._holds(aside, old):
            return False
        await self._save_unknown(old, natural)
        await self.store.copy(aside, swap.staged)
        await self.store.move(swap.staged, natural)
        return True

    def _require_vacancy(self, path: str) -> None:
        """Raise Unsafe if the copy has a file that is a folder of `path`, or is below it."""
        other = self.catalogue.holdings.nested(self.mirror.id, path)
        if other:
            raise Unsafe(
                message(
                    "{other!r} is still a file of the copy: its deletion was not yet allowed (held for approval, "
                    "pinned, or not listed completely)",
                    other=other,
                )
            )

    async def _archive_replaced(self, natural: str, aside: str) -> bool:
        """Copy the bytes that will be replaced; False if there are none."""
        try:
            await self.store.copy(natural, aside)
        except NotFound:
            if not await self._is_there(natural):  # already gone from its place: there is nothing to keep
                return False
            await self.store.copy(natural, aside)  # something else of the copy's was missing; twice, and we stop here
        return True

    async def _save_unknown(self, entry: Entry, natural: str) -> None:
        """Copy an unknown file, stored where a file returns, into the quarantine."""
        if not await self._is_there(natural) or await self._holds(natural, entry):
            return
        await self.store.copy(natural, self.place.quarantine(entry.path))
        unknown = Mismatch(message("{path}: an unknown file was stored at this path", path=entry.path))
        await PassQuarantine(self.store, self.place, self.now, QuarantineRoom()).write_reason(
            entry.path, unknown, {}, None
        )

    async def _holds(self, path: str, entry: Entry) -> bool:
        """Return True if these are the bytes of an Entry; they are read."""
        try:
            if (await self.store.stat(path)).size != entry.size:
                return False
            digest = hashlib.sha256()
            async with self.store.open(path) as body:
                async for chunk in body:
                    await asyncio.to_thread(digest.update, chunk)
        except NotFound:
            return False
        return digest.hexdigest() == entry.sha256

    async def _is_there(self, path: str) -> bool:
        try:
            await self.store.stat(path)
        except NotFound:
            return False
        return True


class StagedBytesLost(Damaged):
    """The bytes of a replacement are neither where they waited nor under their final name."""


async def _each(
    works: Sequence[Work],
    act: Callable[[Work], Coroutine[Any, Any, None]],
    failed: list[tuple[Work, PermanentError]],
) -> None:
    """Call `act` with each, WIDTH at once; collect what concerns one file only, and raise the rest."""

    async def act_or_note(work: Work) -> None:
        try:
            await act(work)
        except (NoSpace, Busy):
            raise
        except PermanentError as error:
            failed.append((work, error))

    await in_lanes(WIDTH, works, act_or_note)


def _explained(path: str, what: str, error: PermanentError) -> PermanentError:
    """Return the same kind of failure with a message that begins with the file's own path."""
    return type(error)(message("{path}: {what}: {cause}", path=path, what=what, cause=error))
