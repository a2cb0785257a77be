"""Asks upstream about each file of which only the listing's stamp changed, or proves nothing yet, before it is fetched.

Upstream's answer to one small request decides: the same size and validator as those of the answer that brought the
bytes mean the same file. Then the listing's new stamp is remembered, so that the next pass asks nothing.
"""

from collections.abc import Mapping

import msgspec

from manifests.snapshot import Origin
from manifests.stamps import Doubt, doubt
from manifests.stat import Stat
from syncd.catalogue import MirrorRow
from syncd.core import (
    PermanentError,
    SeveralSources,
    Step,
    SurveyAdvanced,
    TransientError,
    capability,
    collected,
    in_lanes,
    in_slices,
    next_turn,
)
from syncd.engine.claim_changes import is_unchanged
from syncd.engine.identical_files import has_several_etags
from syncd.engine.inventory import Inventory
from syncd.engine.pass_context import PassContext
from syncd.engine.planner import Counts

UNASKED = 64  # files that are compared, and not asked for, in one turn of the event loop
AT_ONCE = 32  # requests under way; the governor limits them
BATCH = 2000  # steps that are decided together


async def ask_upstream(context: PassContext, row: MirrorRow, counts: Counts, inventory: Inventory) -> None:
    """Decide the steps `ask`: each becomes `keep` or `replace`."""
    if counts.ask:
        asking = _QuestionRun(context, row, counts, dict(await collected(context.catalogue.doubts.all(row.id))))
        while steps := await collected(context.catalogue.claims.first(row.id, "ask", BATCH)):
            await asking.run(steps)
            documents = inventory.documents
            context.listener(SurveyAdvanced(context.mirror.name, documents, documents, inventory.files))


class _QuestionRun:
    def __init__(self, context: PassContext, row: MirrorRow, counts: Counts, doubts: Mapping[str, Doubt]) -> None:
        self.context = context
        self.row = row
        self.counts = counts
        self.doubts = doubts
        self.several_etags = has_several_etags(context)
        self.several_sources = capability(context.source, SeveralSources)
        self.kept: list[tuple[int, Step, Origin | None]] = []
        self.replaced: list[tuple[int, Step]] = []
        self.proved: list[str] = []
        self.unasked = 0

    async def run(self, steps: list[tuple[int, Step]]) -> None:
        """Ask for these files, and record the decisions."""
        await in_lanes(AT_ONCE, steps, self._ask)
        claims, holdings = self.context.catalogue.claims, self.context.catalogue.holdings
        kept, replaced, proved = self.kept, self.replaced, self.proved
        self.kept, self.replaced, self.proved = [], [], []
        async for some in in_slices([origin for _, _, origin in kept if origin is not None]):
            holdings.renew(self.row.id, some)
        async for paths in in_slices(proved):
            self.context.catalogue.doubts.clear(self.row.id, paths)
        async for numbers in in_slices([number for number, _, _ in kept]):
            claims.change_action(self.row.id, numbers, "keep")
        async for numbers in in_slices([number for number, _ in replaced]):
            claims.change_action(self.row.id, numbers, "replace")
        self._count([step for _, step, _ in kept], [step for _, step in replaced])

    def _count(self, kept: list[Step], replaced: list[Step]) -> None:
        counts = self.counts
        counts.ask -= len(kept) + len(replaced)
        counts.keep += len(kept)
        counts.keep_bytes += sum(step.bytes for step in kept)
        for step in replaced:
            counts.add(msgspec.structs.replace(step, action="replace"))

    async def _ask(self, numbered: tuple[int, Step]) -> None:
        number, step = numbered
        held = self.context.catalogue.holdings.entry(self.row.id, step.path)
        assert held is not None
        assert step.stat is not None
        entry, origin = held
        is_doubted = step.path in self.doubts
        if not is_doubted and _is_as_listed_before(origin, step.stat):
            self.kept.append((number, step, None))
            self.unasked += 1
            if self.unasked % UNASKED == 0:
                await next_turn(UNASKED)
            return
        found = await self._answer(step.stat)
        if found is None or not is_unchanged(entry, origin, found, several_etags=self.several_etags):
            self.replaced.append((number, step))
            return
        self.kept.append((number, step, _renewed(origin, step.stat, found)))
        if is_doubted:
            self._end_doubt(step.stat, found)

    async def _answer(self, stat: Stat) -> Stat | None:
        """Return upstream's answer; None if it gives none: then the transfer tells why, or succeeds."""
        urls = self.several_sources.targets(stat) if self.several_sources is not None else stat.urls
        try:
            return await self.context.source.stat(urls[0] if urls else stat.path)
        except (TransientError, PermanentError):
            return None

    def _end_doubt(self, listed: Stat, found: Stat) -> None:
        """Let the doubt about a file end if its stamp is old enough by upstream's clock."""
        clock = self.context.catalogue.doubts.clock(self.row.id, listed.path)
        if not doubt(listed, found, self.context.now() + clock):
            self.proved.append(listed.path)


def _is_as_listed_before(origin: Origin, stat: Stat) -> bool:
    """Return True if the listing says what it said when the file was read: its size is not that of the file."""
    before = (origin.size, origin.modified, origin.version)
    return stat.size is not None and before == (stat.size, stat.modified, stat.version)


def _renewed(origin: Origin, listed: Stat, found: Stat) -> Origin:
    """Return an Origin with the listing's new stamp beside the validator of the answer."""
    return msgspec.structs.replace(
        origin,
        size=listed.size,
        modified=listed.modified,
        version=listed.version,
        digests={},  # those that are recorded stay
        answer_version=found.version if found.version != listed.version else None,
        answer_modified=found.modified if found.modified != listed.modified else None,
    )
