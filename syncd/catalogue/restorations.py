"""The moves of a restoration while they are recorded: too many for one transaction, and all of them or none.

Rules:
1. Moves are recorded in parts, and do nothing until they are decided, in one small transaction.
2. Decided ones are handed over in parts: a returning file waits for its swap, and a leaving one is removed.
3. What a process leaves undecided is dropped, and what it leaves decided is handed over, before the next publish.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from manifests.messages import plain
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.holdings import Holdings
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.parts import MirrorPart
from syncd.catalogue.work_journal import Swap, WorkJournal

PART = 128  # moves handed over or dropped in one transaction: a few milliseconds

_json = msgspec.json.Encoder(enc_hook=plain).encode
_swap = msgspec.json.Decoder(Swap).decode


@reads_rows
class Restorations(MirrorPart):
    """The recorded moves of each mirror's restoration; at most one restoration of a mirror is under way."""

    def __init__(self, files: MirrorFiles, journal: WorkJournal, holdings: Holdings) -> None:
        """Hand decided moves over to `journal` and `holdings`."""
        super().__init__(files)
        self._journal = journal
        self._holdings = holdings

    def begin(self, mirror: int) -> None:
        """Begin to record; nothing of another restoration may be left."""
        self._of(mirror).do("INSERT INTO restoration VALUES (?,0,0)", (mirror,))

    def add(self, mirror: int, returning: Iterable[tuple[Swap, str]], leaving: Iterable[str]) -> None:
        """Record files that return, with the places of their kept bytes, and paths that leave."""
        rows: list[tuple[Any, ...]] = [(mirror, swap.path, source, _json(swap)) for swap, source in returning]
        rows += [(mirror, path, "", None) for path in leaving]
        self._of(mirror).many("INSERT INTO restoring VALUES (?,?,?,?)", rows)

    def returning(self, mirror: int, after: str = "", limit: int = -1) -> list[tuple[Swap, str]]:
        """Return at most `limit` files that return after the path `after`, sorted; -1: all."""
        sql = "SELECT swap, source FROM restoring WHERE mirror=? AND path>? AND swap IS NOT NULL ORDER BY path LIMIT ?"
        return [(_swap(swap), source) for swap, source in self._of(mirror).rows(sql, (mirror, after, limit))]

    def decide(self, mirror: int, at: float, also: Callable[[], None]) -> None:
        """Decide that all recorded moves are made, from the time `at`, and change `also` in the same transaction."""

        def work() -> None:
            self._of(mirror).do("UPDATE restoration SET is_decided=1, at=? WHERE mirror=?", (at, mirror))
            also()

        self._of(mirror).together(work)

    def is_under_way(self, mirror: int) -> bool:
        """Return True if moves are recorded, or a process ended while it recorded or handed over some."""
        return self._of(mirror).one("SELECT 1 FROM restoration WHERE mirror=?", (mirror,)) is not None

    def staged_paths(self, mirror: int) -> set[str]:
        """Return the paths at which returning files are staged."""
        return {swap.staged for swap, _ in self.returning(mirror)}

    def settle_part(self, mirror: int) -> bool:
        """Hand a part of decided moves over, or drop a part of undecided ones; return True if there may be more."""
        row = self._of(mirror).one("SELECT at, is_decided FROM restoration WHERE mirror=?", (mirror,))
        if row is None:
            return False
        at, is_decided = row
        sql = "SELECT path, swap FROM restoring WHERE mirror=? ORDER BY path LIMIT ?"
        part: list[tuple[str, bytes | None]] = list(self._of(mirror).rows(sql, (mirror, PART)))

        def work() -> None:
            if is_decided:
                self._journal.add_swaps(mirror, [_swap(swap) for _, swap in part if swap is not None])
                self._holdings.remove(mirror, [path for path, swap in part if swap is None], at)
            self._of(mirror).add(
                "DELETE FROM restoring WHERE mirror=? AND path=?", ((mirror, path) for path, _ in part)
            )
            if not part:
                self._of(mirror).do("DELETE FROM restoration WHERE mirror=?", (mirror,))

        self._of(mirror).together(work)
        return bool(part)
