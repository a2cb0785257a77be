"""Finds held content for the files that a plan transfers, so that they are copied inside the store.

Rules:
1. Any mirror's current files, removed files and replaced versions count. Found content is planned, not proved:
   the copy's bytes are hashed like those of a download.
2. A strong checksum of upstream tells alone. Anything weaker counts only within one upstream, and ranges are compared.
3. Who knows a checksum must not get the bytes: content of a mirror with narrower access is used only after upstream
   has shown, by ranges at places that it cannot foresee, that it has these bytes.
"""

from collections.abc import Container
from contextlib import nullcontext

from manifests.origins import origin_of
from syncd.catalogue import HeldBytes, LocalCopy, MirrorRow, Run, suppress_damage
from syncd.core import SLICE, Step, SurveyNoted, in_slices, next_turn
from syncd.engine.content_claims import Evidence, evidence_of, keys_of
from syncd.engine.content_index import index_mirror
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.planner import Counts

BATCH = SLICE  # steps looked up at once
RUNS = 4  # runs read between two turns of the event loop
LEAST_SAMPLED = 256 << 10  # bytes of a file of which ranges are compared: a smaller one is downloaded as cheaply


async def plan_copies(context: PassContext, row: MirrorRow, counts: Counts, *, elsewhere: bool) -> None:
    """Record which steps of a plan are copies of held content, and count them."""
    index, claims = context.catalogue.held, context.catalogue.claims
    index.forget_plan(row.name)
    if index.least is None or not counts.fetch + counts.replace:
        return
    await index_mirror(context.catalogue, row)
    if not index.is_empty():
        finder = _Finder(context, row, elsewhere=elsewhere)
        steps = claims.steps(row.id, "fetch", "replace")
        async for batch in in_slices(steps, BATCH):
            copies = await finder.find(batch)
            index.plan(row.name, copies)
            _count(counts, batch, copies)
    if index.trouble:
        context.listener(SurveyNoted(context.mirror.name, index.trouble, 1))


def _count(counts: Counts, steps: list[Step], copies: list[LocalCopy]) -> None:
    """Count copies; the size of a file of which upstream tells none is known now."""
    sizes = {copy.path: copy.bytes for copy in copies}
    counts.copy += len(sizes)
    counts.copy_bytes += sum(sizes.values())
    for step in steps:
        if step.path in sizes and step.stat is not None and step.stat.size is None:
            counts.sizeless -= 1
            if step.action == "fetch":
                counts.fetch_bytes += sizes[step.path]
            else:
                counts.replace_bytes += sizes[step.path]


Content = dict[int, list[HeldBytes]]
"""The content of a run, by its keys in the index."""


class _Finder:
    """Finds content for the steps of one mirror's plan."""

    def __init__(self, context: PassContext, row: MirrorRow, *, elsewhere: bool) -> None:
        """`elsewhere`: another source than the mirror's first is surveyed, so nothing weak is known of its files."""
        self.context = context
        self.row = row
        self.elsewhere = elsewhere
        self.mirrors: dict[str, MirrorRow | None] = {row.name: row if row.snapshot else None}
        self.origin = origin_of(context.mirror.source.url)

    async def find(self, steps: list[Step]) -> list[LocalCopy]:
        """Return the copies for some of the steps."""
        index = self.context.catalogue.held
        wanted = [(step, self._wanted(step)) for step in steps]
        runs = index.runs({one.key for _, evidence in wanted for one in evidence})
        contents: dict[Run, Content] = {}
        for number, run in enumerate(dict.fromkeys(run for each in runs.values() for run in each)):
            contents[run] = self._content(run, runs)
            if number % RUNS == RUNS - 1:
                await next_turn()
        for key, each in runs.items():
            for run in each:
                if key not in contents[run]:
                    index.drop(key, run)
        found = [self._best(step, evidence, runs, contents) for step, evidence in wanted if evidence]
        return [copy for copy in found if copy is not None]

    def _wanted(self, step: Step) -> list[Evidence]:
        stat, least = step.stat, self.context.catalogue.held.least or 0
        if stat is None or stat.size == 0 or (stat.size is not None and stat.size < least):
            return []
        found = evidence_of(stat)
        if not found or found[0].is_strong:
            return found
        return [] if self.elsewhere or stat.size is None or stat.size < LEAST_SAMPLED else found

    def _content(self, run: Run, wanted: Container[int]) -> Content:
        """Return the content of a run by those of its keys that are wanted."""
        found: Content = {}
        lender = self._mirror(run.mirror)
        if lender is not None:
            with suppress_damage() if lender.name != self.row.name else nullcontext():  # of another mirror's records
                self._add_content(found, lender, run, wanted)
        return found

    def _add_content(self, found: Content, lender: MirrorRow, run: Run, wanted: Container[int]) -> None:
        content = self.context.catalogue.content
        for read in (content.entries, content.others):
            for stored in read(lender.id, run.first, run.last):
                for key in keys_of(stored):
                    if key in wanted:
                        found.setdefault(key, []).append(stored)

    def _mirror(self, name: str) -> MirrorRow | None:
        if name not in self.mirrors:
            self.mirrors[name] = self.context.catalogue.history.mirror(name)
        return self.mirrors[name]

    def _best(
        self, step: Step, wanted: list[Evidence], runs: dict[int, list[Run]], contents: dict[Run, Content]
    ) -> LocalCopy | None:
        assert step.stat is not None
        best: tuple[tuple[bool, bool, bool], LocalCopy] | None = None
        for one in wanted:
            for run in runs.get(one.key, ()):
                is_own, is_sampled = run.mirror == self.row.name, not one.is_strong or not self._lends(run.mirror)
                if not self._is_usable(one, run.mirror):
                    continue
                for stored in contents[run].get(one.key, ()):
                    is_itself = is_own and stored.path == step.path and stored.kind == "entry"
                    if is_itself or not one.fits(stored) or step.stat.size not in {None, stored.bytes}:
                        continue
                    if is_sampled and stored.bytes < LEAST_SAMPLED:
                        continue
                    rank = (is_sampled, stored.kind != "entry", not is_own)
                    if best is None or rank < best[0]:
                        best = rank, self._copy(step, run.mirror, stored, is_sampled=is_sampled)
        return best[1] if best is not None else None

    def _is_usable(self, evidence: Evidence, lender: str) -> bool:
        """Return True if content of a mirror may be used by this evidence: weak evidence is one upstream's own."""
        if evidence.is_strong or lender == self.row.name:
            return True
        row = self._mirror(lender)
        return row is not None and self._lends(lender) and _origin(row.source) == self.origin

    def _lends(self, lender: str) -> bool:
        return lender == self.row.name or self.context.lends(lender)

    def _copy(self, step: Step, lender: str, stored: HeldBytes, *, is_sampled: bool) -> LocalCopy:
        row = self._mirror(lender)
        assert row is not None
        place = PassPaths(row.name, row.prefix, "")
        if stored.kind == "version":
            at = place.version(stored.snapshot, stored.path)
        elif stored.kind == "removed" and stored.snapshot not in {"", "-"}:
            at = place.removed(stored.snapshot, stored.path)
        else:
            at = place.natural(stored.path)
        return LocalCopy(step.path, at, stored.bytes, stored.sha256, lender, stored.path, is_sampled, stored.kind)


def _origin(url: str) -> str:
    try:
        return origin_of(url)
    except ValueError:
        return ""
