"""Moves one file from a Transport to a Store and verifies it.

Rules:
1. A file gets its final name only after its size and every promised digest matched and its bytes are durable.
2. A small file is read whole into memory and put at once. A large file is downloaded in ranges inside a sliding window
   (`syncd.engine.ranged_download`) and staged; another process can resume it.
3. A file that does not match is downloaded once more, from another source if there is one. If it still does not match,
   its bytes go to the quarantine with the reason and the failure at each source.
4. A file that is in the store without a record is never overwritten (`syncd.engine.leftovers`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from manifests.content_coding import coding_of
from manifests.digest import digests_of
from manifests.messages import message
from manifests.stat import Stat
from syncd.catalogue import Inflight
from syncd.core import (
    LOCAL_FAILURES,
    Body,
    Changed,
    Exists,
    Listener,
    Mismatch,
    PermanentError,
    RangeRefused,
    Staged,
    Step,
    Store,
    SyncdError,
    TooLarge,
    TransferAdvanced,
    TransferRestarted,
    TransientError,
    Transport,
    Unsupported,
)
from syncd.engine.leftovers import Leftovers
from syncd.engine.newer_answer import changed_meanwhile, expected_size, overrides
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import PassQuarantine, Quarantined, QuarantineRoom
from syncd.engine.ranged_download import DownloadSpec, FirstResponse, download
from syncd.engine.signed_links import RENEWALS, SignedLinks, has_signed_link
from syncd.engine.stored_digests import INLINE
from syncd.engine.verdict import ReceivedFile, has_digest, hash_algorithms
from syncd.engine.verified_file import VerifiedFile, Verifier
from syncd.streams import DecodedBody, is_decoded
from syncd.wrappers import PLACES, FailoverTransport

SMALL = 4 << 20  # bytes up to which a file is held in memory; also the first range of one whose size is unknown
FRESH_TRIES = 2  # downloads of a file that does not match, or that changes during the download
UNKNOWN_COST = 512 << 10  # bytes of the budget that a file of unknown size takes


class NotSmall(SyncdError):
    """A file of unknown size is too large for a process that moves only small files."""


class Journal(Protocol):
    """Records which large files are partly staged; `syncd.catalogue.WorkJournal`."""

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """Record that the staging of a large file begins."""
        ...

    def end(self, mirror: int, path: str) -> None:
        """Delete the record of a staging that was committed or discarded."""
        ...


def own_targets(stat: Stat) -> tuple[str, ...]:
    """Return the URLs that upstream lists for a file, or its path."""
    return stat.urls[:PLACES] or (stat.path,)


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
    verifier: Verifier = field(init=False)
    quarantine: PassQuarantine = field(init=False)
    leftovers: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        verifier = Verifier(self.place, self.by, self.now)
        quarantine = PassQuarantine(self.store, self.place, self.now, self.quarantine_room)
        leftovers = Leftovers(self.store, self.hashing, verifier, quarantine)
        # a frozen dataclass sets fields of its own only so
        object.__setattr__(self, "verifier", verifier)
        object.__setattr__(self, "quarantine", quarantine)
        object.__setattr__(self, "leftovers", leftovers)

    def has_leftovers(self, path: str) -> bool:
        """Return True if an earlier pass left staged parts or unrecorded bytes of this file."""
        return path in self.strays or path in self.begun

    def cost(self, stat: Stat) -> int:
        """Return the bytes of memory that the transfer of this file may take."""
        return UNKNOWN_COST if stat.size is None else min(stat.size, self.window)

    async def transfer(self, step: Step) -> VerifiedFile:
        """Return one new or replaced file once verified. Raises Quarantined, PermanentError, TransientError."""
        stat, links = step.stat, self.links
        assert stat is not None
        if links is None or not has_signed_link(stat):
            return await self._transfer(step, stat)
        stat = links.current(stat)
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
        self._require_size(stat.path, stat.size)
        source = FailoverTransport(self.source, others) if others and has_digest(stat) else self.source
        download = partial(self._download, source, step, stat, target, last=last, other_coding=other_coding)
        try:
            return await download()
        except RangeRefused as error:
            self._restarted(step, error)
        except Changed as error:  # each server behind the name may have a version of its own
            if not last:
                raise
            self._restarted(step, error)
        return await download(whole=True)

    async def _download(
        self,
        source: Transport,
        step: Step,
        stat: Stat,
        target: str,
        *,
        last: bool,
        other_coding: bool,
        whole: bool = False,
    ) -> VerifiedFile:
        """Download a file in the way that its size asks for, or as a `whole`."""
        if stat.size is not None and stat.size <= SMALL:
            async with source.open(target) as sent:
                body = sent
                size: int | None = stat.size
                if "content-encoding" in body.headers and is_decoded(body, stat, is_again=other_coding):
                    body = DecodedBody(body)
                else:
                    size = expected_size(stat, body.stat)
                content = await self._gather(stat, body, size) if size is not None and size <= SMALL else None
            if content is not None:
                return await self._small(step, stat, _served(source, target), body, content, last=last)
        if (begun := self.begun.pop(step.path, None)) is not None:
            if not whole and stat.size in (None, begun.size) and (has_digest(stat) or step.path not in self.tried):
                return await self._large(source, step, stat, target, None, begun, last=last)
            self.journal.end(self.mirror_id, step.path)
        async with FirstResponse(source.open(target) if whole else source.open(target, stop=SMALL)) as first:
            if "content-encoding" in first.body.headers and is_decoded(first.body, stat, is_again=other_coding):
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
            if total is None or total > SMALL:
                if self.only_small:
                    raise NotSmall(f"{stat.path}: {total} bytes")
                return await self._large(source, step, stat, target, first, None, last=last)
            content = await self._gather(stat, first.body, total)
        return await self._small(step, stat, _served(source, target), first.body, content, last=last)

    # -- small files ----------------------------------------------------------------------------------------------

    async def _gather(self, stat: Stat, body: Body, size: int) -> bytes:
        """Return the whole body of `size` bytes; stop at the first chunk beyond them. Raises Mismatch."""
        chunks: list[bytes] = []
        count = 0
        async for chunk in body:
            chunks.append(chunk)
            count += len(chunk)
            if count > size:
                raise Mismatch(message("{path}: {size} bytes promised, more arrived", path=stat.path, size=size))
        self.listener(TransferAdvanced(self.place.mirror, stat.path, count))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _small(
        self, step: Step, stat: Stat, target: str, body: Body, content: bytes, *, last: bool
    ) -> VerifiedFile:
        names = hash_algorithms(stat.digests, body.stat.digests, path=stat.path)
        if len(content) <= INLINE:
            digests = digests_of(content, names)
        else:
            digests = await asyncio.get_running_loop().run_in_executor(self.hashing, digests_of, content, names)
        received = _received(stat, body.stat, len(content), digests, content[:1024], body.headers, target)
        try:
            proved = self.verifier.verify(step, stat, received)
        except Mismatch as error:
            _raise_if_changed(stat, body.stat, error)
            if last:
                if (refused := await self.quarantine.refused(error, len(content))) is not None:
                    raise refused from error
                await self.store.put(self.place.quarantine(step.path), content)
                raise await self._quarantined(step.path, error, digests, body) from error
            raise
        if proved.replaces:
            await self.store.put(proved.place, content)
            return proved
        try:
            await self.store.put(proved.place, content, if_absent=True)
        except Exists:
            if not await self.leftovers.clear_path(proved.entry):
                await self.store.put(proved.place, content)
        return proved

    # -- large files ----------------------------------------------------------------------------------------------

    async def _large(
        self,
        source: Transport,
        step: Step,
        stat: Stat,
        target: str,
        first: FirstResponse | None,
        begun: Inflight | None,
        *,
        last: bool,
    ) -> VerifiedFile:
        path, journal = step.path, self.journal
        answered = first.body.stat if first is not None else Stat(path, size=begun.size if begun is not None else None)
        is_decoded_here = first is not None and isinstance(first.body, DecodedBody)
        total = None if is_decoded_here else expected_size(stat, answered)  # decoded: the bytes themselves tell
        version = begun.version if begun is not None else answered.version
        self._require_size(path, total)
        order = DownloadSpec(
            target=target,
            total=total,
            version=version,
            names=hash_algorithms(stat.digests, answered.digests, path=stat.path),
            window=self.window,
            width=self.ceiling,
            parallel=version is not None or has_digest(stat),
        )
        resume = begun.token if begun is not None else None
        async with self.store.stage(self.verifier.target_path(step), size=total, resume=resume) as file:
            # a version identifies bytes of one source only: across sources, only a digest proves the parts one file
            is_bound = has_digest(stat) or step.path not in self.tried
            is_resumable = False
            if version is not None and total is not None and file.token and is_bound:
                is_resumable = True
                journal.begin(self.mirror_id, Inflight(path, file.token, version, total))
            try:
                size, digests, head = await download(
                    source,
                    order,
                    file,
                    first,
                    hashing=self.hashing,
                    on_received=self._on_received(path, is_endless=total is None),
                )
                headers = first.body.headers if first is not None else {}
                self._require_end(stat, answered, first)
                received = _received(stat, answered, size, digests, head, headers, _served(source, target))
                try:
                    proved = self.verifier.verify(step, stat, received)
                except Mismatch as error:
                    _raise_if_changed(stat, answered, error)
                    raise
            except (Changed, Mismatch, Unsupported) as error:
                journal.end(self.mirror_id, path)
                if last and isinstance(error, Mismatch):
                    if (refused := await self.quarantine.refused(error, size)) is not None:
                        await file.discard()
                        raise refused from error
                    await file.commit(size=size, sha256=digests["sha256"], to=self.place.quarantine(path))
                    raise await self._quarantined(path, error, digests, first.body if first else None) from error
                await file.discard()
                raise
            except SyncdError:
                if not is_resumable:  # no pass will resume it, and staging expires only after days
                    await file.discard()
                elif version is not None and total is not None:  # with a fresh link, in this pass already
                    self.begun[path] = Inflight(path, file.token, version, total)
                raise
            await self._commit(file, proved)
            return proved

    async def _commit(self, file: Staged, proved: VerifiedFile) -> None:
        entry = proved.entry
        try:
            await file.commit(size=entry.size, sha256=entry.sha256, if_absent=not proved.replaces)
        except Exists:
            if await self.leftovers.clear_path(entry):
                await file.discard()
            else:
                await file.commit(size=entry.size, sha256=entry.sha256)

    def _require_end(self, stat: Stat, answered: Stat, first: FirstResponse | None) -> None:
        """Raise Mismatch if the end of the file is unknown: no length, no digest, no chunked encoding."""
        if first is None or answered.size is not None or stat.size is not None or has_digest(stat):
            return
        if isinstance(first.body, DecodedBody):  # it proves its end
            return
        if "chunked" not in first.body.headers.get("transfer-encoding", ""):
            raise Mismatch(
                message(
                    "{path}: upstream announces neither a length nor a checksum, so completeness cannot be verified",
                    path=stat.path,
                )
            )

    async def _quarantined(self, path: str, error: Mismatch, digests: dict[str, str], body: Body | None) -> Quarantined:
        return await self.quarantine.write_reason(path, error, digests, body, self.tried.get(path, []))

    def _require_size(self, path: str, size: int | None) -> None:
        if size is not None and size > self.most:
            raise TooLarge(
                message(
                    "{path}: {size} bytes, more than source.limits.max_file ({most})",
                    path=path,
                    size=size,
                    most=self.most,
                )
            )

    def _on_received(self, path: str, *, is_endless: bool) -> Callable[[int], None]:
        received = 0

        def advanced(count: int) -> None:
            nonlocal received
            received += count
            if is_endless:
                self._require_size(path, received)
            self.listener(TransferAdvanced(self.place.mirror, path, count))

        return advanced


def _served(source: Transport, asked: str) -> str:
    """Return the URL that a file came from; with several sources, the one that sent most bytes."""
    return source.main_target(asked) if isinstance(source, FailoverTransport) else asked


def _received(
    stat: Stat,
    answered: Stat,
    size: int,
    digests: dict[str, str],
    head: bytes,
    headers: Mapping[str, str],
    url: str,
) -> ReceivedFile:
    """Return what arrived; `headers` are empty for a file whose first bytes an earlier pass has received."""
    is_newer = size != stat.size and overrides(stat, answered)
    return ReceivedFile(
        answered, size, digests, head, _kind(headers), url, coding_of(headers), headers.get("date", ""), is_newer
    )


def _raise_if_changed(stat: Stat, answered: Stat, error: Mismatch) -> None:
    """Raise Changed if the file is of a later version than the promised checksum."""
    if has_digest(stat) and changed_meanwhile(stat, answered):
        raise Changed(
            message("{path}: changed while being read, after it was listed: {cause}", path=stat.path, cause=error)
        ) from error


def _kind(headers: Mapping[str, str]) -> str:
    """Return the media type of a response, without parameters, or ""."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def error_name(error: SyncdError) -> str:
    """Return the class name of a failure in `syncd.core.errors`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == PermanentError.__module__)
