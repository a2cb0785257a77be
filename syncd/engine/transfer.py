"""Moves one file from a Transport to a Store and proves it: yields an Entry, or raises.

Rules:
1. Nothing is visible under its final name before its size and every promised digest matched and its bytes are durable.
2. A small file is whole in memory and put at once. A large one comes in ranges inside a window that slides along it
   (`syncd.engine.ranged_download`), is staged, and can be resumed by another process.
3. What does not match is fetched afresh once, from another place if there is one; if it still does not, its bytes go to
   the quarantine with the reason, and with what became of it at each place.
4. What is found lying under a name where nothing is known to be is never overwritten: it is adopted if it is the same,
   else put into the quarantine.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from manifests.digest import OURS, Hasher, digests_of
from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.catalogue import Inflight
from syncd.core import (
    Body,
    Busy,
    Changed,
    Damaged,
    Exists,
    Listener,
    Mismatch,
    NoSpace,
    NotFound,
    Offline,
    PermanentError,
    Staged,
    Step,
    Store,
    SyncdError,
    TransferAdvanced,
    TransferRestarted,
    TransientError,
    Transport,
    redact,
)
from syncd.engine.ranged_download import DownloadSpec, FirstResponse, download
from syncd.engine.verdict import ReceivedFile, decide_verdict, has_digest, hash_algorithms
from syncd.wrappers import PLACES, FailoverTransport

SMALL = 4 << 20  # bytes up to which a file is held in memory; also the first range of one whose size is unknown
INLINE = 128 << 10  # bytes up to which hashing costs less than handing it to a thread
REASON = ".reason.json"  # behind the name of what it tells of
MAX_NAME = 255  # bytes of a name in a folder, on all file systems that matter
FRESH_TRIES = 2  # downloads of a file that does not match, or changes on the way
RECKONED = 512 << 10  # bytes that a file of unknown size is reckoned with in the budget
# headers that are kept beside quarantined bytes; others may hold a session, and a stranger chooses what he echoes
RECORDED = frozenset(
    {"accept-ranges", "age", "content-disposition", "content-encoding", "content-length", "content-range",
     "content-type", "date", "digest", "etag", "last-modified", "repr-digest", "retry-after", "server", "via"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PassPaths:
    """Where a pass puts things. All paths are within the store."""

    mirror: str
    prefix: str
    pass_id: str

    def natural(self, path: str) -> str:
        """Return where a file lies for its readers."""
        return self.prefix + path

    def staged(self, path: str) -> str:
        """Return where a replacement waits for publish."""
        return f".syncd/staged/{self.mirror}/{self.pass_id}/{path}"

    def quarantine(self, path: str) -> str:
        """Return where bytes go that are not what was promised."""
        return f".syncd/quarantine/{self.mirror}/{self.pass_id}/{path}"

    def version(self, snapshot: str, path: str) -> str:
        """Return where the bytes of an earlier snapshot lie, once replaced."""
        return f".syncd/versions/{self.mirror}/{snapshot}/{path}"


class VerifiedFile(msgspec.Struct, frozen=True):
    """A file that is what was promised, durable at `place`; `replaces` says that it waits there for the swap."""

    entry: Entry
    origin: Origin
    place: str
    replaces: bool


OURS_TO_BEAR = (NoSpace, Offline, Busy, Exists, Damaged)
"""Failures that another source would not change."""


class Quarantined(Mismatch):
    """A Mismatch whose bytes are kept at `place`."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class NotSmall(SyncdError):
    """A file of unknown size turned out to be none of those that whoever asked moves."""


class Leftovers(Protocol):
    """What earlier passes left behind; `syncd.catalogue.Holdings`."""

    def was_removed(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return what a removed file was, while its bytes are still there."""
        ...

    def forget_removed(self, mirror: int, path: str) -> None:
        """The bytes of a removed file are no longer in its place."""
        ...


class Journal(Protocol):
    """Where it is noted that a large file is under way; `syncd.catalogue.History`."""

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """A large file begins to be staged."""
        ...

    def end(self, mirror: int, path: str) -> None:
        """The staging is committed or dropped."""
        ...


def _reason_path(place: str) -> str:
    """Return where the reason lies for which the bytes at `place` are kept aside; a name has 255 bytes at the most."""
    folder, slash, name = place.rpartition("/")
    if len(name.encode()) + len(REASON) > MAX_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return f"{folder}{slash}{name}{REASON}"


def own_targets(stat: Stat) -> tuple[str, ...]:
    """Return where upstream says that a file can be had."""
    return stat.urls[:PLACES] or (stat.path,)


@dataclass(frozen=True, slots=True)
class Transfers:
    """What every transfer of one pass needs: from where, to where, what is known, whom to tell."""

    source: Transport
    store: Store
    place: PassPaths
    holdings: Leftovers
    journal: Journal
    mirror_id: int
    listener: Listener
    hashing: Executor
    now: Callable[[], float] = time.time
    strays: frozenset[str] = frozenset()
    begun: dict[str, Inflight] = field(default_factory=dict)
    window: int = 128 << 20
    ceiling: int = 64
    archive_removed: Callable[[Entry], Awaitable[None]] | None = None
    """Keeps the bytes of a removed file if a kept Snapshot names them; without it, they go into the quarantine."""
    only_small: bool = False
    """A file of unknown size that is not small raises NotSmall: who has no journal can stage nothing."""
    by: str = "upstream"
    targets: Callable[[Stat], tuple[str, ...]] = own_targets
    """Where a file can be had, in the order in which it is to be asked for."""
    tried: dict[str, list[str]] = field(default_factory=dict)
    """By path: what became of it where it was asked for before; only while it is under way."""

    def has_leftovers(self, path: str) -> bool:
        """Tell whether an earlier pass left something of this file: staged parts, or bytes it did not record."""
        return path in self.strays or path in self.begun

    def cost(self, stat: Stat) -> int:
        """Return the bytes of memory that this file may take."""
        return RECKONED if stat.size is None else min(stat.size, self.window)

    async def transfer(self, step: Step) -> VerifiedFile:
        """Return the proof of one fetched or replaced file. Raises Quarantined, PermanentError, TransientError."""
        stat = step.stat
        assert stat is not None
        if step.action == "fetch" and step.path in self.strays and (found := await self._adopt(stat)) is not None:
            return found
        targets = self.targets(stat)
        if len(targets) > 1:
            return await self._try_targets(step, stat, targets)
        attempt = 1
        while True:
            try:
                return await self._once(step, stat, targets[0], last=attempt >= FRESH_TRIES)
            except (Changed, Mismatch) as error:
                if attempt >= FRESH_TRIES:
                    raise
                self._restarted(step, error)
            attempt += 1

    async def _try_targets(self, step: Step, stat: Stat, targets: tuple[str, ...]) -> VerifiedFile:
        """Take a file from the first place that has it as it was promised; if none has, say what each of them did."""
        tried = self.tried.setdefault(step.path, [])
        wrong = ""  # where bytes came that are not what was promised
        try:
            for number, target in enumerate(targets, 1):
                try:
                    return await self._once(step, stat, target, targets[number:], last=number == len(targets))
                except OURS_TO_BEAR:
                    raise
                except (TransientError, PermanentError) as error:
                    if number == len(targets) and (isinstance(error, Mismatch) or not wrong):
                        raise
                    wrong = target if isinstance(error, Mismatch) else wrong
                    tried.append(str(error))
                    self._restarted(step, error)
            return await self._once(step, stat, wrong, last=True)
        finally:
            del self.tried[step.path]

    def _restarted(self, step: Step, error: SyncdError) -> None:
        self.listener(TransferRestarted(self.place.mirror, step.path, str(error), error_name(error)))

    async def _once(
        self, step: Step, stat: Stat, target: str, others: tuple[str, ...] = (), *, last: bool
    ) -> VerifiedFile:
        source = FailoverTransport(self.source, others) if others and has_digest(stat) else self.source
        if stat.size is not None and stat.size <= SMALL:
            async with source.open(target) as body:
                content = await self._gather(stat, body, stat.size)
            return await self._small(step, stat, _served(source, target), body, content, last=last)
        if (begun := self.begun.pop(step.path, None)) is not None:
            if stat.size in (None, begun.size) and (has_digest(stat) or step.path not in self.tried):
                return await self._large(source, step, stat, target, None, begun, last=last)
            self.journal.end(self.mirror_id, step.path)
        async with FirstResponse(source.open(target, stop=SMALL)) as first:
            total = first.body.stat.size
            if total is None or total > SMALL:
                if self.only_small:
                    raise NotSmall(f"{stat.path}: {total} bytes")
                return await self._large(source, step, stat, target, first, None, last=last)
            content = await self._gather(stat, first.body, total)
        return await self._small(step, stat, _served(source, target), first.body, content, last=last)

    # -- small files ----------------------------------------------------------------------------------------------

    async def _gather(self, stat: Stat, body: Body, size: int) -> bytes:
        """Return the whole body; never more than a little over `size` bytes of it."""
        if body.stat.size is not None and body.stat.size != size:
            raise Mismatch(f"{stat.path}: {size} bytes promised, upstream now announces {body.stat.size}")
        chunks: list[bytes] = []
        count = 0
        async for chunk in body:
            chunks.append(chunk)
            count += len(chunk)
            if count > size:
                raise Mismatch(f"{stat.path}: {size} bytes promised, more arrived")
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
        arrived = ReceivedFile(body.stat, len(content), digests, content[:1024], _kind(body), target)
        try:
            proved = self._entry(step, stat, arrived)
        except Mismatch as error:
            if last:
                await self.store.put(self.place.quarantine(step.path), content)
                raise await self._quarantined(step.path, error, digests, body) from error
            raise
        if proved.replaces:
            await self.store.put(proved.place, content)
            return proved
        try:
            await self.store.put(proved.place, content, if_absent=True)
        except Exists:
            if not await self._clear_path(proved.entry):
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
        path, history = step.path, self.journal
        answered = first.body.stat if first is not None else Stat(path, size=begun.size if begun is not None else None)
        total = answered.size if answered.size is not None else stat.size
        version = begun.version if begun is not None else answered.version
        if stat.size is not None and total != stat.size:
            raise Mismatch(f"{path}: {stat.size} bytes promised, upstream now announces {total}")
        order = DownloadSpec(
            target=target,
            total=total,
            version=version,
            names=hash_algorithms(stat.digests, answered.digests, path=stat.path),
            window=self.window,
            width=self.ceiling,
            parallel=version is not None or has_digest(stat),
        )
        place = (self.place.staged if step.action == "replace" else self.place.natural)(path)
        resume = begun.token if begun is not None else None
        async with self.store.stage(place, size=total, resume=resume) as file:
            # a version says nothing of another place: there, only a digest proves what is put together
            is_bound = has_digest(stat) or step.path not in self.tried
            is_resumable = False
            if version is not None and total is not None and file.token and is_bound:
                is_resumable = True
                history.begin(self.mirror_id, Inflight(path, file.token, version, total))
            try:
                size, digests, head = await download(
                    source, order, file, first, hashing=self.hashing, on_received=self._on_received(path)
                )
                kind = _kind(first.body) if first is not None else ""
                self._require_end(stat, answered, first)
                served = _served(source, target)
                proved = self._entry(step, stat, ReceivedFile(answered, size, digests, head, kind, served))
            except (Changed, Mismatch) as error:
                history.end(self.mirror_id, path)
                if last and isinstance(error, Mismatch):
                    await file.commit(size=size, sha256=digests["sha256"], to=self.place.quarantine(path))
                    raise await self._quarantined(path, error, digests, first.body if first else None) from error
                await file.discard()
                raise
            except SyncdError:
                if not is_resumable:  # nobody will ask for what is here: it would lie there for days
                    await file.discard()
                raise
            await self._commit(file, proved)
            return proved

    async def _commit(self, file: Staged, proved: VerifiedFile) -> None:
        entry = proved.entry
        try:
            await file.commit(size=entry.size, sha256=entry.sha256, if_absent=not proved.replaces)
        except Exists:
            if await self._clear_path(entry):
                await file.discard()
            else:
                await file.commit(size=entry.size, sha256=entry.sha256)

    def _require_end(self, stat: Stat, answered: Stat, first: FirstResponse | None) -> None:
        """Raise Mismatch if nothing says where the file ends: neither a length, nor a digest, nor chunks."""
        if first is None or answered.size is not None or stat.size is not None or has_digest(stat):
            return
        if "chunked" not in first.body.headers.get("transfer-encoding", ""):
            raise Mismatch(
                f"{stat.path}: upstream announces neither a length nor a digest, so it cannot be proved whole"
            )

    def _on_received(self, path: str) -> Callable[[int], None]:
        return lambda count: self.listener(TransferAdvanced(self.place.mirror, path, count))

    # -- proof ----------------------------------------------------------------------------------------------------

    def _entry(self, step: Step, stat: Stat, arrived: ReceivedFile) -> VerifiedFile:
        """Return the Entry of bytes that match every promise. Raises Mismatch."""
        digests = arrived.digests
        verdict = decide_verdict(stat, arrived)
        entry = Entry(step.path, arrived.size, digests["sha256"], digests["xxh3-128"])
        by = self.by if verdict == "verified" else ""
        origin = Origin(
            step.path,
            _unsigned_url(arrived.url),
            verdict,
            self.now(),
            stat.size,
            stat.modified,
            stat.version,
            stat.digests,
            by,
        )
        replaces = step.action == "replace"
        return VerifiedFile(entry, origin, (self.place.staged if replaces else self.place.natural)(step.path), replaces)

    async def _quarantined(self, path: str, error: Mismatch, digests: dict[str, str], body: Body | None) -> Quarantined:
        """Write the reason beside the quarantined bytes and return what is to be raised."""
        place = self.place.quarantine(path)
        before = self.tried.get(path, [])
        told = "; before that, ".join((str(error), *before))
        await self.store.put(
            _reason_path(place),
            msgspec.json.encode(
                {
                    "path": path,
                    "reason": told,
                    "tried": before,
                    "at": self.now(),
                    "arrived": digests,
                    "url": _redacted_url(body.url) if body is not None else "",
                    "headers": {name: redact(value) for name, value in body.headers.items() if name in RECORDED}
                    if body is not None
                    else {},
                }
            ),
        )
        return Quarantined(told, place)

    # -- what already lies there ----------------------------------------------------------------------------------

    async def _adopt(self, stat: Stat) -> VerifiedFile | None:
        """Return the proof of a file that lies in the store unrecorded, if a promised digest proves it."""
        if not stat.digests:
            return None
        try:
            size, digests = await self._read(self.place.natural(stat.path), hash_algorithms(stat.digests))
            arrived = ReceivedFile(Stat(stat.path), size, digests, b"", "", _target(stat))
            return self._entry(Step("fetch", stat.path, "", stat), stat, arrived)
        except (Mismatch, NotFound):
            return None

    async def _clear_path(self, entry: Entry) -> bool:
        """Deal with what lies where `entry` belongs; True if it is the same content and can stay."""
        place, holdings = self.place.natural(entry.path), self.holdings
        try:
            size, digests = await self._read(place, OURS)
        except NotFound:
            return False
        if (size, digests["sha256"]) == (entry.size, entry.sha256):
            return True
        removed = holdings.was_removed(self.mirror_id, entry.path)
        if removed is not None and removed[0].sha256 == digests["sha256"] and self.archive_removed is not None:
            await self.archive_removed(removed[0])
            holdings.forget_removed(self.mirror_id, entry.path)
            return False
        unknown = Mismatch(f"{entry.path}: a file that syncd does not know lay in its place")
        await self.store.copy(place, self.place.quarantine(entry.path))
        await self._quarantined(entry.path, unknown, digests, None)
        return False

    async def _read(self, place: str, names: tuple[str, ...]) -> tuple[int, dict[str, str]]:
        """Return size and digests of what lies in the store."""
        return await hash_stored(self.store, place, names, self.hashing)


async def hash_stored(
    store: Transport, place: str, names: tuple[str, ...], hashing: Executor
) -> tuple[int, dict[str, str]]:
    """Return size and digests of stored bytes, read through. Raises NotFound."""
    hasher, size = Hasher(names), 0
    loop = asyncio.get_running_loop()
    async with store.open(place) as body:
        async for chunk in body:
            size += len(chunk)
            if len(chunk) <= INLINE:
                hasher.update(chunk)
            else:
                await loop.run_in_executor(hashing, hasher.update, chunk)
    return size, hasher.hexdigests()


def _served(source: Transport, asked: str) -> str:
    """Return which place a file came from, the most of it where several took turns."""
    return source.main_target(asked) if isinstance(source, FailoverTransport) else asked


def _target(stat: Stat) -> str:
    """Return what to ask for; not where redirects lead, for such an address may hold a passing secret."""
    return stat.urls[0] if stat.urls else stat.path


def _unsigned_url(url: str) -> str:
    """Return what was asked for without a signature that a catalogue put into its link."""
    return redact(url) if "?" in url else url


def _redacted_url(url: str) -> str:
    """Return where bytes came from without the query: at the end of redirects it may be a signature."""
    return redact(url.partition("?")[0])


def _kind(body: Body) -> str:
    return body.headers.get("content-type", "").partition(";")[0].strip().lower()


def error_name(error: SyncdError) -> str:
    """Return the kind of a failure, from the closed set of `syncd.core.errors`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == PermanentError.__module__)
