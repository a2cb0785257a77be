"""Asks upstream what it has: fetches the documents that a Reader names, many at once, and collects what they say.

An inventory is complete only if every document was read to its end. One that could not be read is told about and leaves
the inventory incomplete; the others go on. If not even one of the first documents can be had, the source itself is not
there, and that error is raised.
"""

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import xxhash

from manifests.document import Document, DocumentError, Follow, Found, Gap, Gone, Made, Mark, Reader, Resumable
from manifests.stat import Promise, Stat
from syncd.catalogue import Claims
from syncd.errors import Interrupted, NotFound, PermanentError, SyncdError, TooLarge, TransientError, Unsupported
from syncd.events import DocumentFailed, Listener, SurveyAdvanced
from syncd.made import WAITING, Spool
from syncd.ports import Transport
from syncd.redaction import redact

WIDTH = 32  # documents under way at once; the governor decides how many of them talk
IN_MEMORY = 4 << 20  # bytes of a document kept in memory; the rest goes to a file
SLICE = 2000  # Stats read between two looks at the event loop
MAX_CHANGES = 200_000  # paths in memory that changed since a mark; more of them are better read with all the others

Wants = Callable[[str], bool]


@dataclass(slots=True)
class Inventory:
    """How a survey went: `files` claimed, `documents` read, and what could not be read with the reason.

    `made` holds the files that the Reader made from documents, None if there are none. `mark` is how far upstream was
    read, "" where it has no such thing. `is_part` says that only what changed since a mark was asked for, and `gap`
    that upstream did not tell all of it.
    """

    files: int = 0
    documents: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    made: Spool | None = None
    mark: str = ""
    gap: bool = False
    is_part: bool = False

    def add(self, other: "Inventory") -> None:
        """Take what another survey of the same source found into this one."""
        self.files += other.files
        self.documents += other.documents
        self.failed += other.failed
        self.made = self.made or other.made
        self.mark = max(self.mark, other.mark)

    @property
    def complete(self) -> bool:
        """Tell whether every document was read to its end."""
        return not self.failed


@dataclass(frozen=True, slots=True)
class Survey:
    """What a survey needs: whom to ask, how to read the answer, where to put it, what to leave out, whom to tell."""

    mirror: str
    mirror_id: int
    transport: Transport
    claims: Claims
    wants: Wants
    listener: Listener
    spool: Path
    made: Spool

    async def read(self, reader: Reader) -> Inventory:
        """Collect into the Catalogue's claims what the documents of `reader` say.

        Raises the first error if none of the first documents can be had.
        """
        return await _Reading(self, reader).run(reader.start())

    async def take(self, reader: Reader, mark: str) -> Inventory:
        """Collect what changed since `mark`, or everything where there is none or upstream left a gap.

        Raises as `read`.
        """
        if not hasattr(reader, "resume"):
            return await self.read(reader)
        resumable = cast("Resumable", reader)
        if mark:
            inventory = await self._changes(resumable, mark, held=True)
            if not inventory.gap:
                inventory.is_part = True
                return inventory
            self.claims.forget(self.mirror_id)
        inventory = await self.read(reader)
        if inventory.mark and inventory.complete:
            # all of it may be older than the last changes, and reading it took its time
            changes = await self._changes(resumable, inventory.mark, held=False)
            if changes.gap:
                inventory.mark = ""
            else:
                inventory.add(changes)
        return inventory

    async def _changes(self, reader: Resumable, mark: str, *, held: bool) -> Inventory:
        """Collect what changed since `mark`, over what we hold or what is claimed already; nothing if it has a gap."""
        reading = _Reading(self, reader)
        reading.changes = {}
        inventory = await reading.run(reader.resume(mark))
        if not inventory.gap:
            if held:
                self.claims.hold(self.mirror_id)
            self.claims.change(self.mirror_id, reading.changes)
        return inventory

    async def listed(self) -> AsyncGenerator[list[Stat], None]:
        """Yield the transport's own listing a page at a time, without what the mirror does not want."""
        async for page in self.transport.list_pages():
            yield self._wanted(page)

    def _wanted(self, page: list[Stat]) -> list[Stat]:
        wants = self.wants
        return [stat for stat in page if wants(stat.path)]


class _Reading:
    """One run over the documents of one Reader."""

    def __init__(self, survey: Survey, reader: Reader) -> None:
        self.survey = survey
        self.reader = reader
        self.inventory = Inventory()
        self.waiting: list[Follow] = []
        self.seen: set[int] = set()
        self.known = 0
        self.first_error: SyncdError | None = None
        self.slots = asyncio.Semaphore(WIDTH)
        self.turn = asyncio.Event()
        self.under_way = 0
        self.changes: dict[str, Stat | None] | None = None

    async def run(self, follows: Iterable[Follow]) -> Inventory:
        self._add(follows)
        first = self.known
        async with asyncio.TaskGroup() as group:
            while self.waiting or self.under_way:
                if not self.waiting:
                    self.turn.clear()
                    await self.turn.wait()
                    continue
                await self.slots.acquire()
                self.under_way += 1
                group.create_task(self._one(self.waiting.pop()))
        none_read = self.inventory.documents == 0 and len(self.inventory.failed) >= first
        if self.first_error is not None and none_read and not self.inventory.gap:
            raise self.first_error
        return self.inventory

    def _add(self, follows: Iterable[Follow]) -> None:
        for follow in follows:
            mark = xxhash.xxh3_64_intdigest(f"{follow.method} {follow.url} {follow.state}".encode() + follow.body)
            if mark not in self.seen:
                self.seen.add(mark)
                self.waiting.append(follow)
                self.known += 1

    async def _one(self, follow: Follow) -> None:
        survey = self.survey
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=os.fspath(survey.spool)) as spool:
                document = await _fetched(survey.transport, follow, cast("BinaryIO", spool))
                if document is not None:
                    await self._read(document)
            self.inventory.documents += 1
        except NotFound as error:
            if not follow.optional:
                self._failed(follow, error)
            elif follow.told:
                await self._missing(follow)
        except (TransientError, PermanentError) as error:
            self._failed(follow, error)
        except DocumentError as error:
            self.inventory.gap = self.inventory.gap or isinstance(error, Gap)
            self._failed(follow, Unsupported(str(error)))
        finally:
            self.slots.release()
            self.under_way -= 1
            self.turn.set()
        survey.listener(SurveyAdvanced(survey.mirror, self.inventory.documents, self.known, self.inventory.files))

    async def _missing(self, follow: Follow) -> None:
        try:
            await self._read(Document(follow, follow.url, {}, io.BytesIO(), missing=True))
        except DocumentError as error:
            self._failed(follow, Unsupported(str(error)))

    def _failed(self, follow: Follow, error: SyncdError) -> None:
        if self.first_error is None:
            self.first_error = error
        url = redact(follow.url)  # a link that a catalogue signed
        reason = str(error).removeprefix(f"{url}: ")
        self.inventory.failed.append((url, reason))
        self.survey.listener(DocumentFailed(self.survey.mirror, url, reason))

    async def _read(self, document: Document) -> None:
        survey, claims = self.survey, self.survey.claims
        stats: list[Stat] = []
        promises: list[Promise] = []
        follows: list[Follow] = []
        async for batch in _batches(self.reader.read(document), document):
            for found in batch:
                if isinstance(found, Stat):
                    if survey.wants(found.path):
                        stats.append(found)
                elif isinstance(found, Made):
                    if survey.wants(found.path):
                        stats.append(survey.made.keep(found, document.url))
                        self.inventory.made = survey.made
                elif isinstance(found, Promise):
                    promises.append(found)
                elif isinstance(found, Gone):
                    self._keep(claims, stats, promises)  # in order: the last word counts
                    stats, promises = [], []
                    if self.changes is not None:
                        self.changes[found.path] = None
                elif isinstance(found, Mark):
                    self.inventory.mark = max(self.inventory.mark, found.value)
                else:
                    follows.append(found)
            if self.inventory.made is not None:
                await survey.made.flush()
            self._keep(claims, stats, promises)
            stats, promises = [], []
        self._add(follows)

    def _keep(self, claims: Claims, stats: list[Stat], promises: list[Promise]) -> None:
        self.inventory.files += len(stats)
        if self.changes is not None:
            self.changes.update((stat.path, stat) for stat in stats)
            if len(self.changes) > MAX_CHANGES:
                raise Gap(f"more than {MAX_CHANGES} files changed")
        elif stats:
            claims.add(self.survey.mirror_id, stats)
        if promises:
            claims.promise(self.survey.mirror_id, promises)


async def _batches(found: Iterator[Found], document: Document) -> AsyncIterator[list[Found]]:
    """Yield what a Reader finds, some at a time; a document that is on disk is read in a thread."""
    is_large = document.stream.seek(0, os.SEEK_END) > IN_MEMORY
    document.stream.seek(0)
    while batch := await asyncio.to_thread(_batch, found) if is_large else _batch(found):
        yield batch
        await asyncio.sleep(0)


def _batch(found: Iterator[Found]) -> list[Found]:
    """Return the next ones: at most SLICE, and not much more than WAITING bytes of made files."""
    batch: list[Found] = []
    size = 0
    for one in islice(found, SLICE):
        batch.append(one)
        if isinstance(one, Made):
            size += len(one.body)
            if size > WAITING:
                break
    return batch


async def _fetched(transport: Transport, follow: Follow, spool: BinaryIO) -> Document | None:
    """Return the whole document; raises Interrupted if it is shorter than announced, TooLarge past its bound."""
    if follow.method == "LIST":
        async for page in transport.list_pages(follow.url):
            await asyncio.to_thread(spool.write, b"".join(msgspec.json.encode(stat) + b"\n" for stat in page))
        spool.seek(0)
        return Document(follow, follow.url, {}, spool)
    if follow.method != "GET":
        raise Unsupported(f"{follow.url}: {follow.method} is not a way to ask for a document here")
    async with transport.open(follow.url) as body:
        count = 0
        async for chunk in body:
            count += len(chunk)
            if count > follow.max_bytes:
                raise TooLarge(f"{follow.url}: longer than the {follow.max_bytes} bytes allowed for such a document")
            if count > IN_MEMORY:
                await asyncio.to_thread(spool.write, chunk)
            else:
                spool.write(chunk)
        if body.stat.size is not None and count != body.stat.size:
            raise Interrupted(f"{follow.url}: {body.stat.size} bytes announced, {count} arrived")
        spool.seek(0)
        return Document(follow, body.url, body.headers, spool)


async def see(survey: Survey, inventory: Inventory, blind: Callable[[str, int], list[Stat]]) -> None:
    """Ask (HEAD) for each file of which the documents say nothing by which a change could be seen."""
    after = ""
    while page := blind(after, SLICE):
        after = page[-1].path
        seen: list[Stat] = []
        todo = iter(page)

        async def ask(todo: Iterator[Stat] = todo, seen: list[Stat] = seen) -> None:
            for claim in todo:
                try:
                    found = await survey.transport.stat(claim.urls[0] if claim.urls else claim.path)
                except (TransientError, PermanentError) as error:
                    # the file stays in the inventory: what is listed is not removed because it cannot be asked for
                    survey.listener(DocumentFailed(survey.mirror, claim.path, str(error)))
                    continue
                seen.append(Stat(claim.path, found.size, found.modified, found.version, found.digests, claim.urls))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(WIDTH, len(page))):
                group.create_task(ask())
        survey.claims.add(survey.mirror_id, seen)
        survey.listener(SurveyAdvanced(survey.mirror, inventory.documents, inventory.documents, inventory.files))
