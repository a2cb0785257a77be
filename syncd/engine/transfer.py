"""Moves one file from a Transport to a Store and verifies it.

Rules:
1. A file gets its final name only after its size and every promised digest matched and its bytes are durable.
2. A small file is read whole into memory and put at once. A large file is downloaded in ranges inside a sliding window
   and staged; another process can resume it (`syncd.engine.small_files`, `syncd.engine.large_files`).
3. A file that does not match is downloaded once more, from another source if there is one. If it still does not match,
   its bytes go to the quarantine with the reason and the failure at each source.
4. A file that is in the store without a record is never overwritten (`syncd.engine.leftovers`).
"""

import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from manifests.messages import message
from manifests.stat import Stat
from syncd.catalogue import Inflight
from syncd.core import (
    LOCAL_FAILURES,
    Buffering,
    Changed,
    Listener,
    Mismatch,
    PermanentError,
    RangeRefused,
    Step,
    Store,
    SyncdError,
    TransferRestarted,
    TransientError,
    Transport,
    capability,
)
from syncd.engine.copied_files import CopiedFiles
from syncd.engine.destination import Destination
from syncd.engine.large_files import Journal, LargeFiles
from syncd.engine.leftovers import Leftovers
from syncd.engine.memory_hold import MemoryHold, NeedsRoom
from syncd.engine.newer_answer import expected_size, overrides
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import PassQuarantine, QuarantineRoom
from syncd.engine.ranged_download import FirstResponse
from syncd.engine.signed_links import RENEWALS, SignedLinks, has_signed_link
from syncd.engine.small_files import SMALL, SmallFiles
from syncd.engine.verdict import has_digest
from syncd.engine.verified_file import VerifiedFile, Verifier
from syncd.streams import DecodedBody, is_decoded
from syncd.wrappers import PLACES, FailoverTransport

FRESH_TRIES = 2  # downloads of a file that does not match, or that changes during the download
UNKNOWN_COST = 512 << 10  # bytes of the budget that a file of unknown size takes


class NotSmall(SyncdError):
    """A file of unknown size is too large for a process that moves only small files."""


def own_targets(stat: Stat) -> tuple[str, ...]:
    """Return the URLs that upstream lists for a file, or its path."""
    return stat.urls[:PLACES] or (stat.path,)


class Attempt(msgspec.Struct, frozen=True):
    """One download of a file from `target` of `source`, and its fallback."""

    source: Transport
    step: Step
    stat: Stat
    target: str
    last: bool
    """Bytes that do not match go to the quarantine."""
    other_coding: bool
    """The bytes did not match before: whether an encoding is decoded is decided the other way."""
    whole: bool = False
    """In one stream, because ranges of it did not fit."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """Moves the files of one pass from `source` to `store`."""

    source: Transport
    store: Store
    place: PassPaths
    journal: Journal
    mirror_id: int
    listener: Listener
    hashing: Executor
    now: Callable[[], float] = time.time
    strays: frozenset[str] = frozenset()
    begun: dict[str, Inflight] = field(default_factory=dict)
    window: int = 128 << 20
    ceiling: int = 64
    most: int = 1 << 40
    """The largest file that is accepted, in bytes (`source.limits.max_file`)."""
    only_small: bool = False
    """Raise NotSmall for a file of unknown size that is not small: without a journal, nothing can be staged."""
    by: str = "upstream"
    links: SignedLinks | None = None
    targets: Callable[[Stat], tuple[str, ...]] = own_targets
    """Returns the URLs of a file, in the order in which they are requested."""
    tried: dict[str, list[str]] = field(default_factory=dict)
    """The failures of a file at earlier sources, by path; only while the file is under way."""
    quarantine_room: QuarantineRoom = field(default_factory=QuarantineRoom)
    leftovers: Leftovers = field(init=False)
    small: SmallFiles = field(init=False)
    large: LargeFiles = field(init=False)
    buffering: Buffering | None = field(init=False)
    """The store, if it keeps bytes in memory until they are sent."""

    def __post_init__(self) -> None:
        verifier = Verifier(self.place, self.by, self.now)
        quarantine = PassQuarantine(self.store, self.place, self.now, self.quarantine_room)
        leftovers = Leftovers(self.store, self.hashing, verifier, quarantine)
        copied = CopiedFiles(self.store)
        to = Destination(
            self.store, self.place, self.listener, self.hashing, verifier, quarantine, leftovers, copied, self.tried
        )
        buffering = capability(self.store, Buffering)
        window = self.window if buffering is None else min(self.window, buffering.window)
        large = LargeFiles(to, self.journal, self.mirror_id, self.begun, window, self.ceiling, self.most, buffering)
        # a frozen dataclass sets fields of its own only so
        object.__setattr__(self, "leftovers", leftovers)
        object.__setattr__(self, "small", SmallFiles(to))
        object.__setattr__(self, "large", large)
        object.__setattr__(self, "buffering", buffering)

    def has_leftovers(self, path: str) -> bool:
        """Return True if an earlier pass left staged parts or unrecorded bytes of this file."""
        return path in self.strays or path in self.begun

    def cost(self, stat: Stat) -> int:
        """Return the bytes of memory that the transfer of this file may take."""
        return UNKNOWN_COST if stat.size is None else min(stat.size, self.window)

    def transfer(self, step: Step) -> Coroutine[Any, Any, VerifiedFile]:
        """Return one new or replaced file once verified. Raises Quarantined, PermanentError, TransientError."""
        stat, links = step.stat, self.links
        assert stat is not None
        if links is None or not has_signed_link(stat):
            return self._transfer(step, stat)
        return self._with_fresh_links(step, links.current(stat), links)

    async def _with_fresh_links(self, step: Step, stat: Stat, links: SignedLinks) -> VerifiedFile:
        for _ in range(RENEWALS):
            try:
                with links.following(stat):
                    proved = await self._transfer(step, stat)
            except PermanentError as error:
                if not links.may_renew(stat, error) or (fresh := await links.renew(stat)) is None:
                    raise
                self._restarted(step, error)
                stat = fresh
            else:
                links.worked(stat)
                return proved
        return await self._transfer(step, stat)

    async def _transfer(self, step: Step, stat: Stat) -> VerifiedFile:
        if (
            step.action == "fetch"
            and step.path in self.strays
            and (found := await self.leftovers.adopt(stat)) is not None
        ):
            return found
        targets = self.targets(stat)
        if len(targets) > 1:
            return await self._try_targets(step, stat, targets)
        attempt, is_mismatch = 1, False
        while True:
            try:
                return await self._once(step, stat, targets[0], last=attempt >= FRESH_TRIES, other_coding=is_mismatch)
            except (Changed, Mismatch) as error:
                if attempt >= FRESH_TRIES:
                    raise
                is_mismatch = isinstance(error, Mismatch)
                self._restarted(step, error)
            attempt += 1

    async def _try_targets(self, step: Step, stat: Stat, targets: tuple[str, ...]) -> VerifiedFile:
        """Download a file from the first target whose bytes match; if none does, raise with the failure of each."""
        tried = self.tried.setdefault(step.path, [])
        mismatched = ""  # the target whose bytes did not match
        try:
            for number, target in enumerate(targets, 1):
                try:
                    return await self._once(step, stat, target, targets[number:], last=number == len(targets))
                except LOCAL_FAILURES:
                    raise
                except (TransientError, PermanentError) as error:
                    if number == len(targets) and (isinstance(error, Mismatch) or not mismatched):
                        raise
                    mismatched = target if isinstance(error, Mismatch) else mismatched
                    tried.append(str(error))
                    self._restarted(step, error)
            return await self._once(step, stat, mismatched, last=True)
        finally:
            del self.tried[step.path]

    def _restarted(self, step: Step, error: SyncdError) -> None:
        self.listener(TransferRestarted(self.place.mirror, step.path, str(error), error_name(error)))

    async def _once(
        self,
        step: Step,
        stat: Stat,
        target: str,
        others: tuple[str, ...] = (),
        *,
        last: bool,
        other_coding: bool = False,
    ) -> VerifiedFile:
        """Download a file; where its ranges are not served, or not of one version at the last try, in one stream."""
        self.large.require_size(stat.path, stat.size)
        source = FailoverTransport(self.source, others) if others and has_digest(stat) else self.source
        attempt = Attempt(source, step, stat, target, last, other_coding)
        try:
            return await self._attempt(attempt)
        except RangeRefused as error:
            self._restarted(step, error)
        except Changed as error:  # each server behind the name may have a version of its own
            if not last:
                raise
            self._restarted(step, error)
        return await self._attempt(msgspec.structs.replace(attempt, whole=True))

    def _attempt(self, attempt: Attempt) -> Coroutine[Any, Any, VerifiedFile]:
        """Download a file, at once or when the store has room for it in memory."""
        return self._download(attempt) if self.buffering is None else self._with_room(self.buffering, attempt)

    async def _with_room(self, buffering: Buffering, attempt: Attempt) -> VerifiedFile:
        begun = self.begun.get(attempt.step.path)
        size = attempt.stat.size if begun is None else begun.size
        count = UNKNOWN_COST if size is None else buffering.held(size)
        while True:
            try:
                async with MemoryHold(buffering, count, self.place.mirror) as hold:
                    return await self._download(attempt, hold)
            except NeedsRoom as needed:  # it is larger than was known
                count = needed.count

    async def _download(self, attempt: Attempt, hold: MemoryHold | None = None) -> VerifiedFile:
        """Download a file in the way that its size asks for, or as a whole."""
        source, step, stat, target, last = attempt.source, attempt.step, attempt.stat, attempt.target, attempt.last
        if stat.size is not None and stat.size <= SMALL:
            async with source.open(target) as sent:
                body = sent
                size: int | None = stat.size
                if "content-encoding" in body.headers and is_decoded(body, stat, is_again=attempt.other_coding):
                    body = DecodedBody(body)
                else:
                    size = expected_size(stat, body.stat)
                content = await self.small.gather(stat, body, size) if size is not None and size <= SMALL else None
            if content is not None:
                return await self.small.store(step, stat, source, target, body, content, last=last)
        if (begun := self.begun.pop(step.path, None)) is not None:
            if (
                not attempt.whole
                and stat.size in (None, begun.size)
                and (has_digest(stat) or step.path not in self.tried)
            ):
                return await self.large.stage(source, step, stat, target, None, begun, last=last)
            self.journal.end(self.mirror_id, step.path)
        async with FirstResponse(source.open(target) if attempt.whole else source.open(target, stop=SMALL)) as first:
            if "content-encoding" in first.body.headers and is_decoded(first.body, stat, is_again=attempt.other_coding):
                if first.body.stop == SMALL:
                    raise RangeRefused(message("{path}: upstream sends it compressed", path=stat.path))
                first.body = DecodedBody(first.body)
            total = first.body.stat.size
            has_other_size = (
                total is not None and total != stat.size is not None and not overrides(stat, first.body.stat)
            )
            if has_other_size and "content-range" in first.body.headers:
                raise RangeRefused(
                    message(
                        "{path}: {size} bytes promised, a range of {total} announced",
                        path=stat.path,
                        size=stat.size,
                        total=total,
                    )
                )
            if hold is not None:
                hold.grow(total)
            if total is None or total > SMALL:
                if self.only_small:
                    raise NotSmall(f"{stat.path}: {total} bytes")
                return await self.large.stage(source, step, stat, target, first, None, last=last)
            content = await self.small.gather(stat, first.body, total)
        assert content is not None  # its length was announced
        return await self.small.store(step, stat, source, target, first.body, content, last=last)


def error_name(error: SyncdError) -> str:
    """Return the class name of a failure in `syncd.core.errors`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == PermanentError.__module__)
