"""Asks the document that named a signed link for a fresh one, in the pass in which it ended.

Rules:
1. A document is asked once for all files that wait for it, and its old links are not used any more.
2. It is asked at most once in a second, and less often while none of its fresh links works: a link that upstream
   refuses for another reason does not cost one request for each file.
3. No slot is held meanwhile: the refused request has ended.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from manifests.reading import Document, DocumentError, DocumentRequest, Reader
from manifests.stat import Stat
from syncd.core import (
    LOCAL_FAILURES,
    SLICE,
    Denied,
    NotFound,
    PermanentError,
    ReplacesLinks,
    Step,
    SyncdError,
    TransientError,
    Transport,
    Unsupported,
    capability,
    is_signed,
    next_turn,
)
from syncd.streams import IN_MEMORY, fetch
from syncd.wrappers import urgent

if TYPE_CHECKING:
    from syncd.catalogue import SigningDocuments  # a worker signs nothing, and has no database

RENEWALS = 20  # fresh links of one file in a pass: a file that waits for a slot may wait longer than its link lives
PAUSE = 1.0  # seconds between two requests of one document

_ENDED = (Denied, NotFound, PermanentError, Unsupported)  # exactly: 401, 403; 404, 410; 400 and others; 405


def has_signed_link(stat: Stat) -> bool:
    """Return True if the link of a file is signed, and so ends."""
    return bool(stat.urls) and is_signed(stat.urls[0])


class SignedLinks:
    """The signed links of one pass."""

    def __init__(
        self,
        records: "SigningDocuments",
        mirror_id: int,
        source: Transport,
        open_reader: Callable[[], Reader],
        spool: Path,
    ) -> None:
        """`open_reader` returns a reader as new: one that has counted its documents may refuse to see one twice."""
        self._records = records
        self._mirror = mirror_id
        self._source = source
        self._open_reader = open_reader
        self._spool = spool
        self._asked: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._turns: dict[int, asyncio.Lock] = {}
        replacing = capability(source, ReplacesLinks)
        self._links = replacing.links if replacing is not None else {}
        self._under_way: dict[str, str] = {}  # the link of each path, as its transfer has it

    def current(self, stat: Stat) -> Stat:
        """Return a Stat with fresh links, if its document was asked again."""
        if not self._asked or not has_signed_link(stat):
            return stat
        urls = self._records.fresh(self._mirror, stat.path)
        return msgspec.structs.replace(stat, urls=urls) if urls else stat

    def refreshed(self, step: Step) -> Step:
        """Return a step with fresh links, if its document was asked again."""
        if not self._asked or step.stat is None or (stat := self.current(step.stat)) is step.stat:
            return step
        return msgspec.structs.replace(step, stat=stat)

    def may_renew(self, stat: Stat, error: SyncdError) -> bool:
        """Return True if a failure may be due to the end of a signed link."""
        return type(error) in _ENDED and has_signed_link(stat)

    @contextmanager
    def following(self, stat: Stat) -> Iterator[None]:
        """Use the fresh link of a file for its requests that wait for a slot, until the block ends."""
        if not has_signed_link(stat):
            yield
            return
        self._under_way[stat.path] = link = stat.urls[0]
        try:
            yield
        finally:
            del self._under_way[stat.path]
            self._links.pop(link, None)

    def worked(self, stat: Stat) -> None:
        """Note that the link of a file has worked."""
        if self._pauses and stat.urls and (found := self._records.document(self._mirror, stat.path)) is not None:
            self._pauses.pop(found[0], None)

    async def renew(self, stat: Stat) -> Stat | None:
        """Return a Stat with other links than the refused ones, None if there are none."""
        if (found := self._records.document(self._mirror, stat.path)) is None:
            return None
        mark, request = found
        async with self._turns.setdefault(mark, asyncio.Lock()):
            if (fresh := self.current(stat)).urls != stat.urls:
                return fresh  # asked for by another file meanwhile
            now = time.monotonic()
            pause = self._pauses.get(mark, PAUSE)
            if now - self._asked.get(mark, float("-inf")) < pause:
                return None
            self._pauses[mark] = pause * 2
            self._asked[mark] = now
            try:
                await self._read(mark, request)
            except LOCAL_FAILURES:
                raise
            except (TransientError, PermanentError, DocumentError):
                return None  # the refusal of the link is what is reported
        fresh = self.current(stat)
        return fresh if fresh.urls != stat.urls else None

    async def _read(self, mark: int, request: DocumentRequest) -> None:
        """Read a document again, and record its links."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=os.fspath(self._spool)) as spool:
            token = urgent.set(True)  # the files that wait for a slot need it
            try:
                document = await fetch(self._source, request, cast("BinaryIO", spool))
            finally:
                urgent.reset(token)
            await self._store_links(mark, document)

    async def _store_links(self, mark: int, document: Document) -> None:
        links: dict[str, tuple[str, ...]] = {}
        try:
            for found in self._open_reader().read(document):
                if isinstance(found, Stat) and found.urls:
                    links[found.path] = found.urls
                    if (old := self._under_way.get(found.path, found.urls[0])) != found.urls[0]:
                        self._links[old] = found.urls[0]
                    if len(links) >= SLICE:
                        self._records.renew(self._mirror, mark, links)
                        links = {}
                        await next_turn()
        finally:  # those before a mistake are good
            self._records.renew(self._mirror, mark, links)
