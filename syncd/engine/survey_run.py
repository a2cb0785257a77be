"""Fetches the documents that a Reader requests, concurrently, and records their claims in slices."""

import asyncio
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO, TypeVar, cast

import msgspec

from manifests.messages import message
from manifests.reading import (
    CountNotReached,
    Cursor,
    Deleted,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    FirstFound,
    Found,
    Gap,
    HeadFound,
    ListedEntry,
    Reader,
    ReaderWarning,
    Selected,
)
from manifests.snapshot import Entry, FirstOrigin
from manifests.stamps import shows_only_a_day
from manifests.stat import Promise, Stat
from syncd.core import (
    LOCAL_FAILURES,
    SLICE,
    DocumentFailed,
    NotFound,
    PermanentError,
    SurveyAdvanced,
    SurveyNoted,
    SyncdError,
    TooLarge,
    TransientError,
    Unsafe,
    Unsupported,
    is_signed,
    next_turn,
    redact,
)
from syncd.engine.inventory import Inventory
from syncd.engine.survey_scope import SurveyScope
from syncd.streams import IN_MEMORY, WAITING, check_request, fetch

T = TypeVar("T")

WIDTH = 32  # documents under way at once; the governor limits the requests among them
LARGE = 16 << 10  # bytes from which a document is read in a thread, off the event loop: some milliseconds' work
BATCH = 1000  # Stats read in the thread at once
LINE = 64  # bytes of a small document for which a row is expected
NOTES = 100  # different warnings that are reported
BARREN = 200_000  # documents after which one in FRUITFUL must have named a file: an endless calendar names none
FRUITFUL = 100
MAX_CHANGES = 200_000  # changed paths in memory; beyond that, a full survey is cheaper


class UnwrittenClaims(msgspec.Struct):
    """Claims that are not yet recorded."""

    stats: list[Stat] = []
    promises: list[Promise] = []
    follows: list[DocumentRequest] = []
    done: list[int] = []
    signed: list[tuple[str, DocumentRequest]] = []
    firsts: list[tuple[str, FirstOrigin]] = []

    def size(self) -> int:
        """Return the number of claims and requests."""
        return len(self.stats) + len(self.promises) + len(self.follows) + len(self.firsts)


class SurveyRun:
    """One run over the documents of one Reader."""

    def __init__(self, survey: SurveyScope, reader: Reader) -> None:
        self.survey = survey
        self.reader = reader
        self.inventory = Inventory()
        self.known = 0
        self.first: list[DocumentRequest] = []
        self.is_given_up = False
        self.is_answered = False  # a document named a file or a count, even if it could not be read to its end
        self.first_error: SyncdError | None = None
        self.slots = asyncio.Semaphore(WIDTH)
        self.turn = asyncio.Event()
        self.under_way = 0
        self.unwritten = UnwrittenClaims()
        self.changes: dict[str, Stat | None] | None = None
        self.listed: dict[str, Entry | None] = {}  # in a difference of two Snapshots, and where that was read
        self.listed_by = ""

    def resume(self) -> None:
        """Resume a killed survey, whose claims are recorded."""
        survey, frontier = self.survey, self.survey.frontier
        survey.selection.give_up()
        self.known, self.inventory.documents = frontier.progress(survey.mirror_id)
        self.inventory.files = survey.claims.claimed(survey.mirror_id)
        self.inventory.mark = frontier.cursor(survey.mirror_id)

    async def run(self, first: list[DocumentRequest]) -> Inventory:
        """Read the documents `first`, and all that they lead to. Raises as `Survey.read`."""
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
        none_read = self.inventory.documents == 0 and not self.is_answered and len(self.inventory.failed) >= fresh
        # the lists of another node are of one moment: with one of them missing, or refused, there is none
        is_refused = none_read or survey.node is not None
        if self.first_error is not None and is_refused and not self.inventory.gap:
            raise self.first_error
        if survey.node is not None:
            self.inventory.head = survey.node.accepted or survey.node.known
        for text, count in self.inventory.notes.items():
            survey.listener(SurveyNoted(survey.mirror, text, count))
        return self.inventory

    def _is_barren(self) -> bool:
        """Stop at too many files, and at ever more documents with hardly any files; the Inventory stays incomplete."""
        documents, files = self.inventory.documents, self.inventory.files
        if self._is_excessive():
            return True
        if documents < BARREN or documents < FRUITFUL * files:
            return False
        self.is_given_up = True
        what = message(
            "{documents} documents were read and name {files} files: is the listing endless?",
            documents=documents,
            files=files,
        )
        self._failed(
            self.first[0], Unsupported(message("{what} Exclude the paths without files (source.exclude)", what=what))
        )
        return True

    def _is_excessive(self) -> bool:
        """Return True if the source names too much; what was read counts, and the Inventory stays incomplete."""
        if self.inventory.documents >= self.survey.max_documents and not self.is_given_up:
            self.is_given_up = True
            self._failed(self.first[0], TooLarge(message("only the first documents were requested")))
        if not self.is_given_up and (excess := self.survey.excess(self.inventory.files)):
            self.is_given_up = True
            self._failed(self.first[0], TooLarge(excess))
        return self.is_given_up

    async def _read_one(self, number: int, follow: DocumentRequest) -> None:
        survey = self.survey
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=os.fspath(survey.spool)) as spool:
                if not follow.sha256 or not await self._read_held(follow):
                    document = await fetch(survey.transport, follow, cast("BinaryIO", spool))
                    await self._read(document)
            self._note_read(number)
        except NotFound as error:
            if not follow.optional:
                self._failed(follow, error)
            elif not follow.told or await self._missing(follow):
                self._note_read(number, read=0)
        except LOCAL_FAILURES:
            raise
        except (TransientError, PermanentError) as error:
            self._failed(follow, error)
        except DocumentError as error:
            self.inventory.gap = self.inventory.gap or isinstance(error, Gap)
            self.is_answered = self.is_answered or isinstance(error, CountNotReached)
            if str(error):
                self._failed(follow, Unsupported(str(error)))
        finally:
            self.slots.release()
            self.under_way -= 1
            self.turn.set()
        survey.listener(SurveyAdvanced(survey.mirror, self.inventory.documents, self.known, self.inventory.files))

    async def _read_held(self, follow: DocumentRequest) -> bool:
        """Read a shard of another node that our own store holds; return False if it must be requested."""
        node = self.survey.node
        held = await node.held_shard(follow.sha256) if node is not None else None
        if held is None:
            return False
        try:
            await self._read(Document(follow, self.first[0].url, {}, io.BytesIO(held), is_held=True))
        except DocumentError:  # damaged: it was refused before any line of it was believed
            return False
        return True

    async def _missing(self, follow: DocumentRequest) -> bool:
        """Report a missing document to the Reader; return True if the Reader accepts that."""
        try:
            await self._read(Document(follow, follow.url, {}, io.BytesIO(), missing=True))
        except DocumentError as error:
            self.inventory.gap = self.inventory.gap or isinstance(error, Gap)
            if str(error):
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
        """Record the claims of a document. Raises DocumentError, after recording the claims before the mistake."""
        found = self.reader.read(document)
        size = document.stream.seek(0, os.SEEK_END)
        document.stream.seek(0)
        rows = size // LINE + 1
        while True:
            if size > LARGE:
                batch, error = await self._in_thread(_batch, found)
            else:
                await next_turn(min(rows, SLICE))
                batch, error = _batch(found)
                rows = 1  # the rest is its end
            for at in range(0, len(batch), SLICE):
                if at or size > LARGE:
                    await next_turn()
                self._collect_all(batch[at : at + SLICE], document)
                if self.unwritten.size() >= SLICE:
                    self._flush()
                    if self._is_excessive():
                        return
            if self.inventory.made is not None:
                await self.survey.made.flush()
            if error is not None:
                raise error
            if not batch:
                return

    async def _in_thread(self, read: Callable[[Iterator[Found]], T], found: Iterator[Found]) -> T:
        """Read in the one thread that all surveys share: more of them would only compete for the interpreter."""
        return await asyncio.get_running_loop().run_in_executor(self.survey.reading, read, found)

    def _collect_all(self, batch: list[Found], document: Document) -> None:
        """Record what a document names: nearly all of it are Stats, which need no further look in a whole survey."""
        stats, signed = self.unwritten.stats, self.unwritten.signed
        wants, files = self.survey.wants, 0
        for one in batch:
            if type(one) is not Stat or self.changes is not None:
                self._collect(one, document)
                continue
            self.is_answered = True
            if wants(one.path):
                files += 1
                stats.append(one if one.size is not None else _without_day(one))
            if one.urls and is_signed(one.urls[0]):
                signed.append((one.path, document.asked))
        self.inventory.files += files

    def _collect(self, found: Found, document: Document) -> None:
        if isinstance(found, Stat):
            self._claim(found)
            if found.urls and is_signed(found.urls[0]):
                self.unwritten.signed.append((found.path, document.asked))
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
            text = found.text if found.text in notes or len(notes) < NOTES else message("further parts were ignored")
            notes[text] = notes.get(text, 0) + found.count
        elif isinstance(found, ListedEntry):
            self.listed[found.path] = found.entry
            self.listed_by = document.url
        elif isinstance(found, FirstFound):
            self.unwritten.firsts.append((found.path, found.first))
        elif isinstance(found, HeadFound):
            if self.survey.node is not None:
                self.survey.node.accept(found.head)
        elif isinstance(found, Selected):
            self.survey.selection.matched(found)
        else:
            try:
                self.unwritten.follows.append(check_request(found, document))
            except Unsafe as error:
                self._failed(found, error)

    def _claim(self, stat: Stat) -> None:
        self.is_answered = True
        if not self.survey.wants(stat.path):
            return
        self.inventory.files += 1
        stat = _without_day(stat)
        if self.changes is None:
            self.unwritten.stats.append(stat)
            return
        self.changes[stat.path] = stat
        if len(self.changes) > MAX_CHANGES:
            raise Gap(message("more than {max_changes} files changed", max_changes=MAX_CHANGES))

    def _bind(self) -> None:
        """Prevent a resume: derived files are in the spool, which ends with this process."""
        if self.inventory.made is None:
            self.inventory.made = self.survey.made
            self.survey.frontier.forbid_resume(self.survey.mirror_id)

    def _note_read(self, number: int, read: int = 1) -> None:
        self.inventory.documents += read
        self.unwritten.done.append(number)

    def _flush(self) -> None:
        """Record the claims of many documents at once, and only then that the documents were read."""
        unwritten, self.unwritten = self.unwritten, UnwrittenClaims()
        if unwritten.size() or unwritten.done or unwritten.signed:
            self.survey.claims.together(self.survey.mirror_id, lambda: self._add_to_catalogue(unwritten))

    def _add_to_catalogue(self, unwritten: UnwrittenClaims) -> None:
        survey, mirror = self.survey, self.survey.mirror_id
        if unwritten.stats:
            survey.claims.add(mirror, unwritten.stats)
        if unwritten.signed:
            survey.links.add(mirror, unwritten.signed)
        if unwritten.firsts and survey.node is not None:
            survey.node.note_firsts(unwritten.firsts)
        if unwritten.promises:
            survey.claims.promise(mirror, unwritten.promises)
        if unwritten.follows:
            self.known += survey.frontier.add(mirror, unwritten.follows)
        if unwritten.done:
            survey.frontier.mark_read(mirror, unwritten.done, survey.now(), self.inventory.mark)


def _without_day(stat: Stat) -> Stat:
    """Return the claim without a time that shows only a day, if nothing else would show a change on that day."""
    if stat.size is not None or stat.digests or not shows_only_a_day(stat):
        return stat
    return msgspec.structs.replace(stat, modified=None)


def _batch(found: Iterator[Found]) -> tuple[list[Found], DocumentError | None]:
    """Return the next Stats, at most BATCH and about WAITING bytes of derived files, and why they ended."""
    batch: list[Found] = []
    size = 0
    try:
        for one in islice(found, BATCH):
            batch.append(one)
            if isinstance(one, DerivedFile):
                size += len(one.body)
                if size > WAITING:
                    break
    except DocumentError as error:
        return batch, error
    return batch, None
