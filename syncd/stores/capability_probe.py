"""Checks what a store supports before it receives data, and reports it in words for stewards.

The probe works under `.syncd/probe/`, with objects of a few bytes and one upload of two parts, and removes them.
A check is either required, or syncd works without it, more slowly.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from syncd.core import Changed, Exists, NotFound, Store, SyncdError, capability
from syncd.stores.filesystem.store import FilesystemStore

if TYPE_CHECKING:
    from syncd.stores.s3.traits import ServerChecks

FOLDER = ".syncd/probe/"
NAMES = ("plain", "with space", "ü%20+&'", "x" * 200)


class Check(msgspec.Struct, frozen=True):
    """The result of one check: `good`, the observation `seen`, and whether it is required (`needed`)."""

    name: str
    good: bool
    needed: bool
    seen: str


class Capabilities(msgspec.Struct, frozen=True):
    """The results of all checks of one store."""

    store: str
    checks: tuple[Check, ...]

    @property
    def good_enough(self) -> bool:
        """True if every required check is good."""
        return all(check.good for check in self.checks if check.needed)

    def lines(self) -> Sequence[tuple[str, str, str]]:
        """Return a mark, the name and the observation of each check."""
        return [(_mark(check), check.name, check.seen) for check in self.checks]


async def probe(store: Store) -> Capabilities:
    """Check the store. A SyncdError makes a check bad; any other exception is a bug."""
    tried = _Probe(store)
    try:
        await tried.run()
    finally:
        await tried.clean()
    return Capabilities(tried.kind, tuple(tried.checks))


@runtime_checkable
class Verifying(Protocol):
    """Capability of a Store: say which checksums its server verifies."""

    async def verifies(self) -> "ServerChecks":
        """Return the checksums and conditions that the server verifies, determined by trying."""
        ...


class _Probe:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = capability(store, FilesystemStore)
        self.verifying = capability(store, Verifying)
        self.checks: list[Check] = []
        self.kind = "folder" if self.folder is not None else "bucket"
        self.root = f"{FOLDER}{secrets.token_hex(8)}/"

    async def run(self) -> None:
        await self.check("writes and reads", self.writes, needed=True)
        if not self.checks[-1].good:
            return
        await self.check("keeps every name", self.names, needed=True)
        await self.check("lists sorted by name", self.lists, needed=False)
        await self.check("reads ranges of one version", self.ranges, needed=True)
        await self.check("takes files in parts", self.parts, needed=True)
        await self.check("copies and moves by itself", self.copies, needed=True)
        await self.check("creates without replacing", self.creates, needed=False)
        if self.folder is not None:
            await self.check("has hard links", self.hard_links, needed=False)
            await self.check("tells upper from lower case", self.case, needed=False)
            await self.check("names of 255 bytes", self.long_names, needed=False)
            await self.check("room left", self.room, needed=True)
        else:
            await self.check("refuses a wrong MD5", self.md5, needed=False)
            await self.check("refuses a wrong sha256", self.sha256, needed=False)

    async def check(self, name: str, act: Callable[[], Awaitable[tuple[bool, str]]], *, needed: bool) -> None:
        try:
            good, seen = await act()
        except SyncdError as error:
            good, seen = False, str(error)
        self.checks.append(Check(name, good, needed, seen))

    async def clean(self) -> None:
        with contextlib.suppress(SyncdError):  # a few bytes may remain under .syncd/probe/
            paths = [stat.path async for stat in self.store.list(self.root)]
            for path in paths:
                await self.store.delete(path)

    async def writes(self) -> tuple[bool, str]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.store.put(self.root + "a", b"syncd was here\n")
        took = loop.time() - began
        good = await self.read("a") == b"syncd was here\n"
        return (
            good,
            f"a small file is safe after {took * 1000:.0f} ms" if good else "the bytes differ from those written",
        )

    async def names(self) -> tuple[bool, str]:
        for name in NAMES:
            await self.store.put(f"{self.root}names/{name}", name.encode())
        found = [stat.path.rpartition("/")[2] async for stat in self.store.list(self.root + "names/")]
        lost = sorted(set(NAMES) - set(found))
        return not lost, "spaces, accents, percent signs, 200 bytes" if not lost else f"lost {lost!r}"

    async def lists(self) -> tuple[bool, str]:
        for name in ("s/b", "s/a-b", "s/a/b", "s/a0", "s/B", "s/é"):
            await self.store.put(self.root + name, b"")
        found = [stat.path async for stat in self.store.list(self.root + "s/")]
        good = found == sorted(found) and len(found) == 6
        return good, "in the order of bytes" if good else f"{found!r}: surveys need more time"

    async def ranges(self) -> tuple[bool, str]:
        old = await self.store.put(self.root + "r", b"0123456789")
        if await self.read("r", start=3, stop=6, version=old.version) != b"345":
            return False, "the range differs from the request"
        await self.store.put(self.root + "r", b"abcdefghij")
        try:
            await self.read("r", start=3, stop=6, version=old.version)
        except Changed:
            return True, "a replaced file is noticed"
        return False, "a file replaced between two reads goes unnoticed"

    async def parts(self) -> tuple[bool, str]:
        body = secrets.token_bytes(1 << 16) * (self.store.piece // (1 << 16)) + b"and a little more"
        sha256 = hashlib.sha256(body).hexdigest()
        cut = self.store.piece
        async with self.store.stage(self.root + "p", size=len(body)) as staged:
            await staged.write(cut, body[cut:])
            await staged.write(0, body[:cut])
            await staged.commit(size=len(body), sha256=sha256)
        good = hashlib.sha256(await self.read("p")).hexdigest() == sha256
        return good, "out of order, joined whole" if good else "joined wrongly"

    async def copies(self) -> tuple[bool, str]:
        await self.store.put(self.root + "c1", b"copied")
        await self.store.copy(self.root + "c1", self.root + "c2")
        await self.store.move(self.root + "c2", self.root + "c3")
        try:
            await self.store.stat(self.root + "c2")
        except NotFound:
            return await self.read("c3") == b"copied", "the server copies without a transfer"
        return False, "a moved file is still at its old path"

    async def creates(self) -> tuple[bool, str]:
        if self.verifying is not None and not (await self.verifying.verifies()).if_none_match:
            return False, "If-None-Match is ignored: syncd looks first, and relies on its lease"
        await self.store.put(self.root + "new", b"one")
        try:
            await self.store.put(self.root + "new", b"two", if_absent=True)
        except Exists:
            return True, "a second writer is refused"
        return False, "a second writer replaces the first: syncd relies on its lease"

    async def md5(self) -> tuple[bool, str]:
        assert self.verifying is not None
        good = (await self.verifying.verifies()).md5
        return (
            good,
            "each part is verified as it arrives" if good else "writes are read back: twice the traffic",
        )

    async def sha256(self) -> tuple[bool, str]:
        assert self.verifying is not None
        good = (await self.verifying.verifies()).sha256
        return good, "verified and kept by the server" if good else "ignored: syncd relies on MD5 and its own sha256"

    async def hard_links(self) -> tuple[bool, str]:
        def try_it(folder: Path) -> tuple[bool, str]:
            (folder / "l1").write_bytes(b"")
            try:
                os.link(folder / "l1", folder / "l2")
            except OSError as error:
                return False, f"{error.strerror}: kept versions are copied, and need space"
            return True, "kept versions need no space"

        return await self.in_folder(try_it)

    async def case(self) -> tuple[bool, str]:
        await self.store.put(self.root + "case", b"lower")
        await self.store.put(self.root + "CASE", b"upper")
        good = await self.read("case") == b"lower"
        return good, "yes" if good else "no: files whose names differ only in case are refused"

    async def long_names(self) -> tuple[bool, str]:
        await self.store.put(self.root + "n" * 255, b"")
        return True, "yes"

    async def room(self) -> tuple[bool, str]:
        free = await self.store.free()
        return free is None or free > 0, "not known" if free is None else f"{free / 1e9:.1f} GB"

    async def read(self, name: str, *, start: int = 0, stop: int | None = None, version: str | None = None) -> bytes:
        async with self.store.open(self.root + name, start=start, stop=stop, version=version) as body:
            return b"".join([chunk async for chunk in body])

    async def in_folder(self, act: Callable[[Path], tuple[bool, str]]) -> tuple[bool, str]:
        assert self.folder is not None
        return await asyncio.to_thread(act, Path(self.folder.root) / self.root)


def _mark(check: Check) -> str:
    if check.good:
        return "ok"
    return "MISSING" if check.needed else "without"
