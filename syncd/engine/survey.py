"""Asks upstream what it has: fetches the documents that a Reader names, many at once, and collects what they say.

An inventory is complete only if every document was read to its end. One that could not be read is told about and leaves
the inventory incomplete; the others go on. If not even one of the first documents can be had, the source itself is not
there, and that error is raised.
"""

import asyncio
import io
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import xxhash

from manifests.model import everything
from manifests.reading import (
    Cursor,
    Deleted,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Gap,
    Reader,
    ReaderWarning,
    Resumable,
    Stats,
)
from manifests.stat import Promise, Stat
from syncd.catalogue import Claims, SurveyFrontier
from syncd.core import (
    DocumentFailed,
    Listener,
    NoSpace,
    NotFound,
    Page,
    PermanentError,
    SurveyAdvanced,
    SurveyNoted,
    SyncdError,
    TransientError,
    Transport,
    Unsafe,
    Unsupported,
    redact,
)
from syncd.streams import IN_MEMORY, WAITING, Spool, check_request, fetch

WIDTH = 32  # documents under way at once; the governor decides how many of them talk
LARGE = 256 << 10  # bytes of a document that is read in a thread, to let all else go on
SLICE = 2000  # Stats read between two looks at the event loop
NOTES = 100  # different things that are passed over, and told
BARREN = 200_000  # documents read from which on one in FRUITFUL must have named a file: a calendar never ends
FRUITFUL = 100
MAX_CHANGES = 200_000  # paths in memory that changed since a mark; more of them are better read with all the others

Wants = Callable[[str], bool]


class Inventory(msgspec.Struct):
    """How a survey went: `files` claimed, `documents` read, and what could not be read with the reason.

    `made` holds the files that the Reader made from documents, None if there are none. `cursor` is how far upstream was
    read, "" where it has no such thing. `is_part` says that only what changed since a mark was asked for, and `gap`
    that upstream did not tell all of it. `notes` are what was passed over in documents that were read, and how often.
    """

    files: int = 0
    documents: int = 0
    failed: list[tuple[str, str]] = []
    made: Spool | None = None
    mark: str = ""
    gap: bool = False
    is_part: bool = False
    notes: dict[str, int] = {}
    elsewhere: str = ""
    """The url of another source than the first one, which did not answer: what that has is added, nothing else."""

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


class Survey(msgspec.Struct, frozen=True):
    """What a survey needs: whom to ask, how to read the answer, where to put it, what to leave out, whom to tell.

    `key` stands for the source as declared: a killed survey is gone on with under the same key, unless that is "".
    """

    mirror: str
    mirror_id: int
    transport: Transport
    claims: Claims
    frontier: SurveyFrontier
    wants: Wants
    listener: Listener
    spool: Path
    made: Spool
    key: str = ""
    now: Callable[[], float] = time.time

    async def read(self, reader: Reader) -> Inventory:
        """Collect into the Catalogue's claims what the documents of `reader` say.

        Goes on with a survey of the same source that was killed within the hour. Raises the first error if none of the
        first documents can be had.
        """
        reading = _SurveyRun(self, reader)
        first = list(reader.start())
        key = _key(self.key, first) if self.key else ""
        if self.frontier.can_resume(self.mirror_id, key, self.now()):
            reading.resume()
        else:
            self.claims.forget(self.mirror_id)
            self.frontier.begin(self.mirror_id, key, self.now())
        return await reading.run(first)

    async def read_changes(self, reader: Reader, cursor: str) -> Inventory:
        """Collect what changed since `cursor`, or everything where there is none or upstream left a gap.

        Raises as `read`.
        """
        if not isinstance(reader, Resumable):
            return await self.read(reader)
        if cursor:
            self.claims.forget(self.mirror_id)
            inventory = await self._changes(reader, cursor, held=True)
            if not inventory.gap:
                inventory.is_part = True
                return inventory
            self.claims.forget(self.mirror_id)
        inventory = await self.read(reader)
        if inventory.mark and inventory.complete:
            # all of it may be older than the last changes, and reading it took its time
            changes = await self._changes(reader, inventory.mark, held=False)
            if changes.gap:
                inventory.mark = ""
            else:
                inventory.add(changes)
        return inventory

    async def _changes(self, reader: Resumable, cursor: str, *, held: bool) -> Inventory:
        """Collect what changed since `cursor`, over what we hold or have claimed; nothing if there is a gap."""
        reading = _SurveyRun(self, reader)
        reading.changes = {}
        self.frontier.begin(self.mirror_id, "", self.now())
        try:
            first = list(reader.resume(cursor))
        except Gap:
            return Inventory(gap=True)
        inventory = await reading.run(first)
        if not inventory.gap:
            if held:
                self.claims.claim_held(self.mirror_id)
            self.claims.change(self.mirror_id, reading.changes)
        return inventory

    def end(self) -> None:
        """Forget which documents were read: the next survey asks for all of them again."""
        self.frontier.end(self.mirror_id)

    async def listed(self) -> AsyncGenerator[Page, None]:
        """Yield the transport's own listing a page at a time, without what the mirror does not want."""
        async for page in self.transport.list_pages():
            yield self._wanted(page)

    def _wanted(self, page: Page) -> Page:
        wants = self.wants
        if wants is everything:
            return page
        return page.where(wants) if isinstance(page, Stats) else [stat for stat in page if wants(stat.path)]


class _UnwrittenClaims(msgspec.Struct):
    """What was found and is not yet written down."""

    stats: list[Stat] = []
    promises: list[Promise] = []
    follows: list[DocumentRequest] = []
    done: list[int] = []

    def size(self) -> int:
        return len(self.stats) + len(self.promises) + len(self.follows)


class _SurveyRun:
    """One run over the documents of one Reader."""

    def __init__(self, survey: Survey, reader: Reader) -> None:
        self.survey = survey
        self.reader = reader
        self.inventory = Inventory()
        self.known = 0
        self.first: list[DocumentRequest] = []
        self.is_given_up = False
        self.first_error: SyncdError | None = None
        self.slots = asyncio.Semaphore(WIDTH)
        self.turn = asyncio.Event()
        self.under_way = 0
        self.unwritten = _UnwrittenClaims()
        self.changes: dict[str, Stat | None] | None = None

    def resume(self) -> None:
        """Go on with a survey that was killed: what it had read stands among the claims."""
        survey, frontier = self.survey, self.survey.frontier
        self.known, self.inventory.documents = frontier.progress(survey.mirror_id)
        self.inventory.files = survey.claims.claimed(survey.mirror_id)
        self.inventory.mark = frontier.cursor(survey.mirror_id)

    async def run(self, first: list[DocumentRequest]) -> Inventory:
        survey, frontier, mirror, number = self.survey, self.survey.frontier, self.survey.mirror_id, 0
        fresh = frontier.add(mirror, first)
        self.known += fresh
        self.first = first
        async with asyncio.TaskGroup() as group:
            while True:
                self.turn.clear()
                self._flush()
                waiting = [] if self._is_barren() else frontier.next(mirror, number, WIDTH)
                for number, follow in waiting:
                    await self.slots.acquire()
                    self.under_way += 1
                    group.create_task(self._read_one(number, follow))
                if not waiting:
                    if not self.under_way:
                        break
                    await self.turn.wait()
        none_read = self.inventory.documents == 0 and len(self.inventory.failed) >= fresh
        if self.first_error is not None and none_read and not self.inventory.gap:
            raise self.first_error
        for text, count in self.inventory.notes.items():
            survey.listener(SurveyNoted(survey.mirror, text, count))
        return self.inventory

    def _is_barren(self) -> bool:
        """Give up on documents that name ever more documents and hardly a file; the inventory stays incomplete."""
        documents, files = self.inventory.documents, self.inventory.files
        if documents < BARREN or documents < FRUITFUL * files:
            return False
        if not self.is_given_up:
            self.is_given_up = True
            what = f"{documents} documents were read and name {files} files: do they go on for ever?"
            self._failed(self.first[0], Unsupported(f"{what} Leave out (source.exclude) what leads nowhere"))
        return True

    async def _read_one(self, number: int, follow: DocumentRequest) -> None:
        survey = self.survey
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=os.fspath(survey.spool)) as spool:
                document = await fetch(survey.transport, follow, cast("BinaryIO", spool))
                await self._read(document)
            self._note_read(number)
        except NotFound as error:
            if not follow.optional:
                self._failed(follow, error)
            elif not follow.told or await self._missing(follow):
                self._note_read(number, read=0)
        except NoSpace:  # our own disk is full: nothing that is wrong with a document
            raise
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

    async def _missing(self, follow: DocumentRequest) -> bool:
        """Tell the Reader that a document is not there; returns whether it could make something of that."""
        try:
            await self._read(Document(follow, follow.url, {}, io.BytesIO(), missing=True))
        except DocumentError as error:
            self._failed(follow, Unsupported(str(error)))
            return False
        return True

    def _failed(self, follow: DocumentRequest, error: SyncdError) -> None:
        if self.first_error is None:
            self.first_error = error
        url = redact(follow.url)  # a link that a catalogue signed
        reason = str(error).removeprefix(f"{url}: ")
        self.inventory.failed.append((url, reason))
        self.survey.listener(DocumentFailed(self.survey.mirror, url, reason))

    async def _read(self, document: Document) -> None:
        """Keep what the document says; raises DocumentError after all that came before the mistake was kept."""
        found = self.reader.read(document)
        is_large = document.stream.seek(0, os.SEEK_END) > LARGE
        document.stream.seek(0)
        while True:
            batch, error = await asyncio.to_thread(_batch, found) if is_large else _batch(found)
            for one in batch:
                self._collect(one, document)
            if self.inventory.made is not None:
                await self.survey.made.flush()
            if self.unwritten.size() >= SLICE:
                self._flush()
            if error is not None:
                raise error
            if not batch:
                return
            await asyncio.sleep(0)

    def _collect(self, found: Found, document: Document) -> None:
        if isinstance(found, Stat):
            self._claim(found)
        elif isinstance(found, DerivedFile):
            if self.survey.wants(found.path):
                self._bind()
                self._claim(self.survey.made.add(found, document.url))
        elif isinstance(found, Promise):
            self.unwritten.promises.append(found)
        elif isinstance(found, Deleted):
            if self.changes is not None:
                self.changes[found.path] = None
        elif isinstance(found, Cursor):
            self.inventory.mark = max(self.inventory.mark, found.value)
        elif isinstance(found, ReaderWarning):
            notes = self.inventory.notes
            text = found.text if found.text in notes or len(notes) < NOTES else "more was passed over"
            notes[text] = notes.get(text, 0) + found.count
        else:
            try:
                self.unwritten.follows.append(check_request(found, document))
            except Unsafe as error:
                self._failed(found, error)

    def _claim(self, stat: Stat) -> None:
        if not self.survey.wants(stat.path):
            return
        self.inventory.files += 1
        if self.changes is None:
            self.unwritten.stats.append(stat)
            return
        self.changes[stat.path] = stat
        if len(self.changes) > MAX_CHANGES:
            raise Gap(f"more than {MAX_CHANGES} files changed")

    def _bind(self) -> None:
        """Made files lie in the spool, which ends with this process: nobody else can go on with the survey."""
        if self.inventory.made is None:
            self.inventory.made = self.survey.made
            self.survey.frontier.forbid_resume(self.survey.mirror_id)

    def _note_read(self, number: int, read: int = 1) -> None:
        self.inventory.documents += read
        self.unwritten.done.append(number)

    def _flush(self) -> None:
        """Write down what was found in many documents at once, and only then that they were read."""
        survey, mirror = self.survey, self.survey.mirror_id
        unwritten, self.unwritten = self.unwritten, _UnwrittenClaims()
        if unwritten.stats:
            survey.claims.add(mirror, unwritten.stats)
        if unwritten.promises:
            survey.claims.promise(mirror, unwritten.promises)
        if unwritten.follows:
            self.known += survey.frontier.add(mirror, unwritten.follows)
        if unwritten.done:
            survey.frontier.mark_read(mirror, unwritten.done, survey.now(), self.inventory.mark)


def _key(key: str, first: list[DocumentRequest]) -> str:
    """Return what a survey must share with another to go on with it: the source, and the first questions."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode((key, first)))


def _batch(found: Iterator[Found]) -> tuple[list[Found], DocumentError | None]:
    """Return the next ones: at most SLICE, and not much more than WAITING bytes of made files; and why they ended."""
    batch: list[Found] = []
    size = 0
    try:
        for one in islice(found, SLICE):
            batch.append(one)
            if isinstance(one, DerivedFile):
                size += len(one.body)
                if size > WAITING:
                    break
    except DocumentError as error:
        return batch, error
    return batch, None


async def probe_missing_metadata(
    survey: Survey, inventory: Inventory, without_validator: Callable[[str, int], list[Stat]]
) -> None:
    """Ask (HEAD) for each file of which the documents say nothing by which a change could be seen."""
    after = ""
    while page := without_validator(after, SLICE):
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
