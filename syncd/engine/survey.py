"""Surveys upstream: fetches the documents that a Reader requests, concurrently, and collects their claims.

An Inventory is complete only if every document was read to its end. An unreadable document is reported, and the others
are still read. If all of the first documents fail, and none names a file before it does, the source is unavailable, and
the error is raised.
"""

from collections.abc import AsyncGenerator
from typing import TypeVar

import msgspec
import xxhash

from manifests.messages import message, plain
from manifests.model import everything
from manifests.reading import DocumentRequest, FollowsNode, Gap, Reader, Resumable, Stats
from syncd.core import DocumentFailed, Page, ReportsSkipped, SurveyNoted, TooLarge, capability, next_turn, redact
from syncd.engine.inventory import Inventory
from syncd.engine.survey_run import SurveyRun
from syncd.engine.survey_scope import SurveyScope

R = TypeVar("R", bound=Reader)


class Survey(SurveyScope, frozen=True):
    """Surveys one source of a mirror, and stores its claims in the Catalogue."""

    async def read(self, reader: Reader) -> Inventory:
        """Read all documents of `reader`, and record their claims in the Catalogue.

        Resumes a survey of the same source that was killed within the last hour. Raises the first error if all of the
        first documents fail without naming a file.
        """
        reader = self._remembering(reader)
        reading = SurveyRun(self, reader)
        first = list(reader.start())
        key = _key(self.key, first) if self.key else ""
        if self.frontier.can_resume(self.mirror_id, key, self.now()):
            reading.resume()
        else:
            await self._forget()
            self.frontier.begin(self.mirror_id, key, self.now())
        return await reading.run(first)

    async def read_changes(self, reader: Reader, cursor: str) -> Inventory:
        """Collect the changes since `cursor`, or everything if there is no cursor or upstream reports a gap.

        Raises like `read`.
        """
        if not isinstance(reader, Resumable):
            return await self.read(reader)
        if cursor:
            await self._forget()
            inventory = await self._changes(self._remembering(reader), cursor, held=True)
            if not inventory.gap:
                inventory.is_part = True
                return inventory
            await self._forget()
        inventory = await self.read(reader)
        if inventory.mark and inventory.complete and not isinstance(reader, FollowsNode):
            # reading took time: the listing may be older than the last changes
            changes = await self._changes(reader, inventory.mark, held=False)
            if changes.gap:
                inventory.mark = ""
            else:
                inventory.add(changes)
        return inventory

    def _remembering(self, reader: R) -> R:
        """Return a Reader of another node with the facts remembered of it; any other one unchanged."""
        return self.node.reader(reader) if self.node is not None else reader

    async def _changes(self, reader: Resumable, cursor: str, *, held: bool) -> Inventory:
        """Apply the changes since `cursor` to the claims; without effect if there is a gap."""
        reading = SurveyRun(self, reader)
        reading.changes = {}
        self.frontier.begin(self.mirror_id, "", self.now())
        try:
            first = list(reader.resume(cursor))
        except Gap:
            return Inventory(gap=True)
        inventory = await reading.run(first)
        if (
            self.node is not None
            and inventory.complete
            and not inventory.gap
            and not await self._is_proved(reading, cursor)
        ):
            inventory.gap = True
        if not inventory.gap:
            if held:
                self.claims.claim_held(self.mirror_id)
            self.claims.change(self.mirror_id, reading.changes)
        return inventory

    async def _is_proved(self, reading: SurveyRun, cursor: str) -> bool:
        """Return True if what a node says has changed leads from the Snapshot that we hold to the one it names."""
        assert self.node is not None
        accepted = self.node.accepted
        if accepted is None or accepted.snapshot == cursor.partition(" ")[2]:
            return True
        if await self.node.proves(reading.listed):
            return True
        what = message(
            "this difference does not lead to snapshot {snapshot}: the lists are read instead",
            snapshot=accepted.snapshot[:12],
        )
        self.listener(DocumentFailed(self.mirror, redact(reading.listed_by), what))
        return False

    async def _forget(self) -> None:
        """Delete the claims of the survey before, a part at a time: no survey resumes with the rest of them."""
        self.frontier.end(self.mirror_id)
        for _ in self.claims.forgetting(self.mirror_id):
            await next_turn()

    def end(self) -> None:
        """Delete the record of read documents: the next survey requests all of them."""
        self.frontier.end(self.mirror_id)

    async def listed(self) -> AsyncGenerator[Page, None]:
        """Yield the transport's own listing in pages, without the files that the mirror excludes.

        Raises TooLarge after a page that names too many.
        """
        files = 0
        async for page in self.transport.list_pages():
            wanted = self._wanted(page)
            files += len(wanted)
            yield wanted
            if excess := self.excess(files):
                raise TooLarge(excess)
        if (reporting := capability(self.transport, ReportsSkipped)) is not None:
            for text, count in reporting.skipped().items():
                self.listener(SurveyNoted(self.mirror, text, count))

    def _wanted(self, page: Page) -> Page:
        wants = self.wants
        if wants is everything:
            return page
        return page.where(wants) if isinstance(page, Stats) else [stat for stat in page if wants(stat.path)]


def _key(key: str, first: list[DocumentRequest]) -> str:
    """Return the identity of a survey, which a resumed one shares: the source, and the first requests."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode((key, first), enc_hook=plain))
