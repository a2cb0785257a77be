"""Reads one stored file again, and records damage.

A file is damaged only if a second read confirms it and its Entry is unchanged: a file that a pass replaces meanwhile is
not damaged. If the two reads differ from each other, memory, cable or disk is suspect, and nothing is repaired.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from manifests.messages import message
from manifests.snapshot import Entry
from syncd.catalogue import DamagedFile
from syncd.core import Body, Busy, DamageFound, NoSpace, NotFound, PermanentError, Transport
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.engine import Finding, hash_stored
from syncd.session import Session

DIFFER = message("two reads of it differ: suspect memory, cable or disk")


class FixityCheck:
    """Compares stored files with their Entries."""

    def __init__(self, registry: MirrorRegistry, session: Callable[[], Session]) -> None:
        """`session` returns the Session of the configuration in force."""
        self.registry = registry
        self.session = session

    def entry(self, mirror_state: MirrorState, path: str) -> Entry | None:
        """Return the Entry of a path, or None."""
        assert mirror_state.row is not None
        held = self.registry.catalogue.holdings.entry(mirror_state.row.id, path)
        return held[0] if held is not None else None

    async def is_good(self, mirror_state: MirrorState, entry: Entry) -> bool:
        """Return True if the stored bytes of an Entry are right; else record the damage."""
        assert mirror_state.row is not None
        place = mirror_state.row.prefix + entry.path
        first = await self.inspect(place, entry)
        if first is None:
            return True
        again = await self.inspect(place, entry)
        if again is None:
            if first[0] == "digest":  # only the first read was wrong
                self._note_damage(mirror_state, entry, "unreadable", DIFFER)
            return False
        if first[0] == again[0] == "digest" and first[1] != again[1]:
            self._note_damage(mirror_state, entry, "unreadable", DIFFER)
        else:
            self._note_damage(mirror_state, entry, again[0], again[1])
        return False

    async def inspect(self, place: str, entry: Entry) -> tuple[Finding, str] | None:
        """Return the finding of one read and its reason, or None if the bytes match the Entry."""
        session = self.session()
        paced = cast("Transport", _PacedStore(session.store, session.config.scrub.rate))
        try:
            size, digests = await hash_stored(paced, place, ("xxh3-128",), session.hashing)
        except NotFound:
            return "missing", message("{size} bytes proved, nothing found", size=entry.size)
        except (Busy, NoSpace):
            raise
        except PermanentError as error:  # a link or a lost permission concerns this file alone
            return "unreadable", str(error).removeprefix(f"{place}: ")
        if size != entry.size:
            return "size", message("{size} bytes proved, {found} found", size=entry.size, found=size)
        if digests["xxh3-128"] != entry.xxh3:
            return "digest", message(
                "xxh3-128 {xxh3} proved, {found} found", xxh3=entry.xxh3, found=digests["xxh3-128"]
            )
        return None

    def _note_damage(self, mirror_state: MirrorState, entry: Entry, finding: str, reason: str) -> None:
        """Record damage, unless the file was replaced meanwhile or is about to be."""
        registry, row = self.registry, mirror_state.row
        assert row is not None
        if self.entry(mirror_state, entry.path) != entry:
            return
        if any(swap.path == entry.path for swap in registry.catalogue.journal.swaps(row.id)):
            return
        reason = message("{path}: {reason}", path=entry.path, reason=reason)
        known = {one.path: one for one in registry.catalogue.pass_history.damaged(row.id)}.get(entry.path)
        tried = known.tried if known is not None else None
        registry.catalogue.pass_history.add_damage(
            row.id, DamagedFile(entry.path, finding, reason, entry.sha256, registry.now(), tried)
        )
        if known is None:
            registry.on_event(DamageFound(mirror_state.name, entry.path, finding, reason))
        registry.refresh(mirror_state)


class _PacedStore:
    """A store whose reads are limited to `rate` bytes per second."""

    def __init__(self, store: Transport, rate: float) -> None:
        self._store = store
        self._rate = rate

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator["_PacedBody"]:
        async with self._store.open(path) as body:
            yield _PacedBody(body, self._rate)


class _PacedBody:
    def __init__(self, body: Body, rate: float) -> None:
        self._body = body
        self._rate = rate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        paid = loop.time()
        async for chunk in self._body:
            paid = max(paid, loop.time() - 0.1) + len(chunk) / self._rate
            yield chunk
            if (owed := paid - loop.time()) > 0:
                await asyncio.sleep(owed)
