"""Surveys upstream: fetches the documents that a Reader requests, concurrently, and collects their claims.

An Inventory is complete only if every document was read to its end. An unreadable document is reported, and the others
are still read. If all of the first documents fail, and none names a file before it does, the source is unavailable, and
the error is raised.
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

from manifests.messages import message, plain
from manifests.model import everything
from manifests.reading import (
    CountNotReached,
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
    LOCAL_FAILURES,
    DocumentFailed,
    Listener,
    NotFound,
    Page,
    PermanentError,
    SurveyAdvanced,
    SurveyNoted,
    SyncdError,
    TooLarge,
    TransientError,
    Transport,
    Unsafe,
    Unsupported,
    redact,
)
from syncd.streams import IN_MEMORY, WAITING, Spool, check_request, fetch

WIDTH = 32  # documents under way at once; the governor limits the requests among them
LARGE = 256 << 10  # bytes from which a document is read in a thread, off the event loop
SLICE = 2000  # Stats read before the event loop runs again
NOTES = 100  # different warnings that are reported
MAX_GROWTH = 64 << 30  # bytes by which one survey may enlarge the Catalogue
BARREN = 200_000  # documents after which one in FRUITFUL must have named a file: an endless calendar names none
FRUITFUL = 100
MAX_CHANGES = 200_000  # changed paths in memory; beyond that, a full survey is cheaper

Wants = Callable[[str], bool]


class Inventory(msgspec.Struct):
    """The result of a survey: the numbers of `files` claimed and `documents` read, and failures with their reasons.

    `made` holds the files that the Reader derived from documents, or None. `mark` is the upstream's cursor, "" if it
    has none. `is_part` is True if only changes since a cursor were requested, `gap` if upstream did not report all of
    them. `notes` are warnings on ignored parts of documents, and their counts.
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
    """The url of the source that was surveyed because the first one did not respond: its files are only added."""

    def add(self, other: "Inventory") -> None:
        """Add the results of another survey of the same source."""
        self.files += other.files
        self.documents += other.documents
        self.failed += other.failed
        self.made = self.made or other.made
        self.mark = max(self.mark, other.mark)

    @property
    def complete(self) -> bool:
        """Return True if every document was read to its end."""
        return not self.failed


class Survey(msgspec.Struct, frozen=True):
    """Surveys one source of a mirror, and stores its claims in the Catalogue.

    `key` identifies the source as declared: a killed survey is resumed under the same key; "" is never resumed.
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
    max_files: int = 100_000_000
    """The most files that the source may name (`source.limits.max_files`)."""

    def excess(self, files: int) -> str:
        """Return why a survey that named so many files must stop, or "" if it may go on."""
        if files > self.max_files:
            return message(
                "more than {most:,} files are named: is the listing endless? See source.limits.max_files",
                most=self.max_files,
            )
        if self.claims.growth() > MAX_GROWTH:
            return message(
                "the files that it names take more than {size} GiB in the Catalogue: is the listing endless?",
                size=MAX_GROWTH >> 30,
            )
        return ""

    async def read(self, reader: Reader) -> Inventory:
        """Read all documents of `reader`, and record their claims in the Catalogue.

        Resumes a survey of the same source that was killed within the last hour. Raises the first error if all of the
        first documents fail without naming a file.
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
        """Collect the changes since `cursor`, or everything if there is no cursor or upstream reports a gap.

        Raises like `read`.
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
            # reading took time: the listing may be older than the last changes
            changes = await self._changes(reader, inventory.mark, held=False)
            if changes.gap:
                inventory.mark = ""
            else:
                inventory.add(changes)
        return inventory

    async def _changes(self, reader: Resumable, cursor: str, *, held: bool) -> Inventory:
        """Apply the changes since `cursor` to the claims; without effect if there is a gap."""
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

    def _wanted(self, page: Page) -> Page:
        wants = self.wants
        if wants is everything:
            return page
        return page.where(wants) if isinstance(page, Stats) else [stat for stat in page if wants(stat.path)]


class _UnwrittenClaims(msgspec.Struct):
    """Claims that are not yet recorded."""

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
        self.is_answered = False  # a document named a file or a count, even if it could not be read to its end
        self.first_error: SyncdError | None = None
        self.slots = asyncio.Semaphore(WIDTH)
        self.turn = asyncio.Event()
        self.under_way = 0
        self.unwritten = _UnwrittenClaims()
        self.changes: dict[str, Stat | None] | None = None

    def resume(self) -> None:
        """Resume a killed survey, whose claims are recorded."""
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
        none_read = self.inventory.documents == 0 and not self.is_answered and len(self.inventory.failed) >= fresh
        if self.first_error is not None and none_read and not self.inventory.gap:
            raise self.first_error
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
        if not self.is_given_up and (excess := self.survey.excess(self.inventory.files)):
            self.is_given_up = True
            self._failed(self.first[0], TooLarge(excess))
        return self.is_given_up

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
        except LOCAL_FAILURES:
            raise
        except (TransientError, PermanentError) as error:
            self._failed(follow, error)
        except DocumentError as error:
            self.inventory.gap = self.inventory.gap or isinstance(error, Gap)
            self.is_answered = self.is_answered or isinstance(error, CountNotReached)
            self._failed(follow, Unsupported(str(error)))
        finally:
            self.slots.release()
            self.under_way -= 1
            self.turn.set()
        survey.listener(SurveyAdvanced(survey.mirror, self.inventory.documents, self.known, self.inventory.files))

    async def _missing(self, follow: DocumentRequest) -> bool:
        """Report a missing document to the Reader; return True if the Reader accepts that."""
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
        """Record the claims of a document. Raises DocumentError, after recording the claims before the mistake."""
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
                if self._is_excessive():
                    return
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
            text = found.text if found.text in notes or len(notes) < NOTES else message("further parts were ignored")
            notes[text] = notes.get(text, 0) + found.count
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
    """Return the identity of a survey, which a resumed one shares: the source, and the first requests."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode((key, first), enc_hook=plain))


def _batch(found: Iterator[Found]) -> tuple[list[Found], DocumentError | None]:
    """Return the next Stats, at most SLICE and about WAITING bytes of derived files, and why they ended."""
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
    """Request (HEAD) each file for which the documents give no attribute to detect changes by."""
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
                    # the file stays in the Inventory: a failed request is no reason to delete a listed file
                    survey.listener(DocumentFailed(survey.mirror, claim.path, str(error)))
                    continue
                seen.append(Stat(claim.path, found.size, found.modified, found.version, found.digests, claim.urls))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(WIDTH, len(page))):
                group.create_task(ask())
        survey.claims.add(survey.mirror_id, seen)
        survey.listener(SurveyAdvanced(survey.mirror, inventory.documents, inventory.documents, inventory.files))
