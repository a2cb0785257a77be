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

from manifests.model.globs import everything
from manifests.reading.document import (
    Document,
    DocumentError,
    Follow,
    Found,
    Gap,
    Gone,
    Made,
    Mark,
    Note,
    Reader,
    Resumable,
)
from manifests.reading.stat_page import Stats
from manifests.stat import Promise, Stat
from syncd.catalogue import Claims, Questions
from syncd.core.errors import NoSpace, NotFound, PermanentError, SyncdError, TransientError, Unsafe, Unsupported
from syncd.core.events import DocumentFailed, Listener, SurveyAdvanced, SurveyNoted
from syncd.core.ports import Page, Transport
from syncd.core.redaction import redact
from syncd.streams.derived_files import WAITING, Spool
from syncd.streams.documents import IN_MEMORY, fetch, guarded

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

    `made` holds the files that the Reader made from documents, None if there are none. `mark` is how far upstream was
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
    questions: Questions
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
        reading = _Reading(self, reader)
        first = list(reader.start())
        key = _key(self.key, first) if self.key else ""
        if self.questions.goes_on(self.mirror_id, key, self.now()):
            reading.resume()
        else:
            self.claims.forget(self.mirror_id)
            self.questions.begin(self.mirror_id, key, self.now())
        return await reading.run(first)

    async def take(self, reader: Reader, mark: str) -> Inventory:
        """Collect what changed since `mark`, or everything where there is none or upstream left a gap.

        Raises as `read`.
        """
        if not hasattr(reader, "resume"):
            return await self.read(reader)
        resumable = cast("Resumable", reader)
        if mark:
            self.claims.forget(self.mirror_id)
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
        self.questions.begin(self.mirror_id, "", self.now())
        try:
            first = list(reader.resume(mark))
        except Gap:
            return Inventory(gap=True)
        inventory = await reading.run(first)
        if not inventory.gap:
            if held:
                self.claims.hold(self.mirror_id)
            self.claims.change(self.mirror_id, reading.changes)
        return inventory

    def end(self) -> None:
        """Forget which documents were read: the next survey asks for all of them again."""
        self.questions.end(self.mirror_id)

    async def listed(self) -> AsyncGenerator[Page, None]:
        """Yield the transport's own listing a page at a time, without what the mirror does not want."""
        async for page in self.transport.list_pages():
            yield self._wanted(page)

    def _wanted(self, page: Page) -> Page:
        wants = self.wants
        if wants is everything:
            return page
        return page.where(wants) if isinstance(page, Stats) else [stat for stat in page if wants(stat.path)]


class _Kept(msgspec.Struct):
    """What was found and is not yet written down."""

    stats: list[Stat] = []
    promises: list[Promise] = []
    follows: list[Follow] = []
    done: list[int] = []

    def size(self) -> int:
        return len(self.stats) + len(self.promises) + len(self.follows)


class _Reading:
    """One run over the documents of one Reader."""

    def __init__(self, survey: Survey, reader: Reader) -> None:
        self.survey = survey
        self.reader = reader
        self.inventory = Inventory()
        self.known = 0
        self.first: list[Follow] = []
        self.is_given_up = False
        self.first_error: SyncdError | None = None
        self.slots = asyncio.Semaphore(WIDTH)
        self.turn = asyncio.Event()
        self.under_way = 0
        self.kept = _Kept()
        self.changes: dict[str, Stat | None] | None = None

    def resume(self) -> None:
        """Go on with a survey that was killed: what it had read stands among the claims."""
        survey, questions = self.survey, self.survey.questions
        self.known, self.inventory.documents = questions.known(survey.mirror_id)
        self.inventory.files = survey.claims.claimed(survey.mirror_id)
        self.inventory.mark = questions.mark(survey.mirror_id)

    async def run(self, first: list[Follow]) -> Inventory:
        survey, questions, mirror, number = self.survey, self.survey.questions, self.survey.mirror_id, 0
        fresh = questions.add(mirror, first)
        self.known += fresh
        self.first = first
        async with asyncio.TaskGroup() as group:
            while True:
                self.turn.clear()
                self._write_down()
                waiting = [] if self._is_barren() else questions.next(mirror, number, WIDTH)
                for number, follow in waiting:
                    await self.slots.acquire()
                    self.under_way += 1
                    group.create_task(self._one(number, follow))
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

    async def _one(self, number: int, follow: Follow) -> None:
        survey = self.survey
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=os.fspath(survey.spool)) as spool:
                document = await fetch(survey.transport, follow, cast("BinaryIO", spool))
                await self._read(document)
            self._done(number)
        except NotFound as error:
            if not follow.optional:
                self._failed(follow, error)
            elif not follow.told or await self._missing(follow):
                self._done(number, read=0)
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

    async def _missing(self, follow: Follow) -> bool:
        """Tell the Reader that a document is not there; returns whether it could make something of that."""
        try:
            await self._read(Document(follow, follow.url, {}, io.BytesIO(), missing=True))
        except DocumentError as error:
            self._failed(follow, Unsupported(str(error)))
            return False
        return True

    def _failed(self, follow: Follow, error: SyncdError) -> None:
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
                self._keep(one, document)
            if self.inventory.made is not None:
                await self.survey.made.flush()
            if self.kept.size() >= SLICE:
                self._write_down()
            if error is not None:
                raise error
            if not batch:
                return
            await asyncio.sleep(0)

    def _keep(self, found: Found, document: Document) -> None:
        if isinstance(found, Stat):
            self._claim(found)
        elif isinstance(found, Made):
            if self.survey.wants(found.path):
                self._bind()
                self._claim(self.survey.made.keep(found, document.url))
        elif isinstance(found, Promise):
            self.kept.promises.append(found)
        elif isinstance(found, Gone):
            if self.changes is not None:
                self.changes[found.path] = None
        elif isinstance(found, Mark):
            self.inventory.mark = max(self.inventory.mark, found.value)
        elif isinstance(found, Note):
            notes = self.inventory.notes
            text = found.text if found.text in notes or len(notes) < NOTES else "more was passed over"
            notes[text] = notes.get(text, 0) + 1
        else:
            try:
                self.kept.follows.append(guarded(found, document))
            except Unsafe as error:
                self._failed(found, error)

    def _claim(self, stat: Stat) -> None:
        if not self.survey.wants(stat.path):
            return
        self.inventory.files += 1
        if self.changes is None:
            self.kept.stats.append(stat)
            return
        self.changes[stat.path] = stat
        if len(self.changes) > MAX_CHANGES:
            raise Gap(f"more than {MAX_CHANGES} files changed")

    def _bind(self) -> None:
        """Made files lie in the spool, which ends with this process: nobody else can go on with the survey."""
        if self.inventory.made is None:
            self.inventory.made = self.survey.made
            self.survey.questions.bind(self.survey.mirror_id)

    def _done(self, number: int, read: int = 1) -> None:
        self.inventory.documents += read
        self.kept.done.append(number)

    def _write_down(self) -> None:
        """Write down what was found in many documents at once, and only then that they were read."""
        survey, mirror = self.survey, self.survey.mirror_id
        kept, self.kept = self.kept, _Kept()
        if kept.stats:
            survey.claims.add(mirror, kept.stats)
        if kept.promises:
            survey.claims.promise(mirror, kept.promises)
        if kept.follows:
            self.known += survey.questions.add(mirror, kept.follows)
        if kept.done:
            survey.questions.done(mirror, kept.done, survey.now(), self.inventory.mark)


def _key(key: str, first: list[Follow]) -> str:
    """Return what a survey must share with another to go on with it: the source, and the first questions."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode((key, first)))


def _batch(found: Iterator[Found]) -> tuple[list[Found], DocumentError | None]:
    """Return the next ones: at most SLICE, and not much more than WAITING bytes of made files; and why they ended."""
    batch: list[Found] = []
    size = 0
    try:
        for one in islice(found, SLICE):
            batch.append(one)
            if isinstance(one, Made):
                size += len(one.body)
                if size > WAITING:
                    break
    except DocumentError as error:
        return batch, error
    return batch, None


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
