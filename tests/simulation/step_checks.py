"""What must hold between two steps of a simulated history, when nothing moves."""

from collections.abc import Iterable

from manifests.snapshot import Entry
from syncd.catalogue import Catalogue
from syncd.engine import needs_rebuild
from tests.simulation.commands import Commands
from tests.simulation.invariants import MIRROR, PREFIX, Violation
from tests.simulation.memory_store import StoredObject
from tests.simulation.scenario import Step


class StepChecks(Commands):
    """The checks; those of single changes are in `Invariants`."""

    def _on_change(self, what: str, path: str, old: StoredObject | None, new: StoredObject | None) -> None:
        self._note(f"{what} {path} {new.sha256[:8] if new is not None else '-'}")
        try:
            self.invariants.check_change(what, path, old, new)
        except Violation as violation:
            self.violation = self.violation or violation
            raise

    def _check_bugs(self) -> None:
        if self.violation is not None:
            raise self.violation
        if self.loop.bugs:
            raise Violation("bug", self.loop.bugs[0])

    def _check_losses(self, step: Step, before: dict[str, Entry]) -> None:
        """P5: what left the snapshot was missing from a listing told to its end, and was not too much at once.

        Content that is in the snapshot under another name was not lost.
        """
        self.is_rolled_back |= step.kind == "rollback"  # or will be, if it was interrupted
        resumed, self.resumed = self.resumed, None
        after = self._current_paths()
        new = self.upstream.listings[self.listed :]
        is_same = {path: entry.size for path, entry in before.items()} == {p: e.size for p, e in after.items()}
        if is_same and not new:
            return
        gone = before.keys() - after.keys()
        if gone and not self.is_rolled_back:
            # a publish that is resumed asks for no listing: it was founded on the last one
            founding = new or self.upstream.listings[-1:]
            if unfounded := {path for path in gone if all(path in told for told in founding)}:
                raise Violation("P5", f"deleted, and every listing that was told to its end names it: {unfounded}")
            # the guard takes its shares of the snapshot that a pass begins with
            spans = [(before, after)] if resumed is None else [(before, resumed), (resumed, after)]
            for first, last in spans:
                lost = _lost(first, last)
                is_over = len(lost) * 2 > len(first) or _bytes(lost) * 2 > _bytes(first.values())
                if is_over and len(new) == 1 and not self.is_approved:
                    raise Violation("P5", f"{len(lost)} of {len(first)} files were deleted without approval")
            if len(_lost(before, after)) < len(gone):
                self.reached.add("rename")
        if not is_same:
            self.listed = len(self.upstream.listings)
            self.is_approved &= not gone  # by what was published first, if an interrupted publish was finished
            # in the step of a rollback, what was published may be what an earlier one had left unfinished
            self.is_rolled_back = step.kind == "rollback"

    def _current_paths(self) -> dict[str, Entry]:
        return self.invariants.current()

    def _check_catalogue(self) -> None:
        """P2: what the Catalogue says is done is in the store."""
        if not (self._state(self.daemon) / "catalogue.sqlite").exists():
            return
        with Catalogue(self._state(self.daemon), read_only=True) as catalogue:
            row = catalogue.history.mirror(MIRROR)
            if row is None or needs_rebuild(catalogue):  # a rebuild that failed is done again
                return
            swaps = {swap.path: swap for swap in catalogue.journal.swaps(row.id)}
            for entry in catalogue.holdings.entries(row.id):
                found = self.shelf.objects.get(PREFIX + entry.path)
                seen = {(entry.path, entry.sha256), (entry.path, found.sha256 if found is not None else "")}
                if seen & self.invariants.rotten:  # a rollback brings back a kept version as it is, rotten or not
                    continue
                proved = {entry.sha256} | ({swaps[entry.path].entry.sha256} if entry.path in swaps else set())
                if found is None or found.sha256 not in proved:
                    raise Violation(
                        "P2", f"{entry.path}: the Catalogue says that it is held, and the store has no such bytes"
                    )
            for swap in swaps.values():
                if (swap.path, swap.entry.sha256) in self.invariants.rotten:
                    continue
                staged = self.shelf.objects.get(swap.staged) or self.shelf.objects.get(PREFIX + swap.path)
                if staged is None or staged.sha256 != swap.entry.sha256:
                    raise Violation("P2", f"{swap.path}: a swap is journaled, and its bytes are nowhere")

    def _is_current(self) -> bool:
        return not self._difference()

    def _difference(self) -> list[str]:
        with Catalogue(self._state(self.daemon), read_only=True) as catalogue:
            row = catalogue.history.mirror(MIRROR)
            pinned = catalogue.approvals.pinned(row.id) if row is not None else set()
        held = {path: entry.sha256 for path, entry in self.invariants.current().items()}
        wanted = {path: file.sha256 for path, file in self.upstream.files.items()}
        return sorted(
            path
            for path in held.keys() | wanted.keys()
            if held.get(path) != wanted.get(path) and not (path in pinned and path not in wanted)
        )


def _lost(before: dict[str, Entry], after: dict[str, Entry]) -> list[Entry]:
    """Return the Entries whose paths and contents are both gone."""
    held = {entry.sha256 for entry in after.values()}
    return [entry for path, entry in before.items() if path not in after and entry.sha256 not in held]


def _bytes(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)
