"""A store in memory that several simulated processes share, which delays, fails and loses answers as it is told.

`Shelf` is the medium: its objects survive every process. `SimulatedStore` is one process's way to it, and keeps the
port's contract. Each operation takes effect at one moment between two waits, so a kill finds it done or not done; a
move on a bucket has two such moments. What is staged is written in pieces, of which a kill may lose the last one.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from manifests.stat import Stat, UnsafePath, check_path
from syncd.core import Busy, Changed, Damaged, Exists, Interrupted, NoSpace, NotFound, Offline, Unsafe, Unsupported
from syncd.engine.ranged_download import gaps
from tests.fakes import sha256
from tests.simulation.event_loop import EPOCH, Killed, current_process

PAGE = 3  # Stats in one page of a listing
PIECE = 256  # bytes of a chunk


@dataclass(frozen=True, slots=True)
class StoredObject:
    body: bytes
    serial: int
    modified: float
    sha256: str


@dataclass(slots=True)
class Staging:
    """What is staged: pieces by offset, the last of them at `latest`."""

    path: str
    size: int | None
    touched: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    latest: int = -1


@dataclass(slots=True)
class StoreTrouble:
    """What may go wrong with an operation: each a probability."""

    before: float = 0.0  # it fails, and nothing happened
    after: float = 0.0  # it happened, and the answer is lost
    full: float = 0.0  # there is no room
    slow: float = 0.0  # it takes half a minute
    delays: tuple[float, ...] = (0.0, 0.0, 0.001, 0.02)  # seconds on the way, one of them drawn each time
    torn: float = 0.0  # the last piece that was staged is lost, when another process resumes


class Shelf:
    """The objects of a store; `on_change` is told of each change before and after."""

    def __init__(self, *, is_bucket: bool) -> None:
        self.is_bucket = is_bucket
        self.objects: dict[str, StoredObject] = {}
        self.stagings: dict[str, Staging] = {}
        self.serial = 0
        self.clock = lambda: EPOCH + asyncio.get_running_loop().time()
        self.on_change: Callable[[str, str, StoredObject | None, StoredObject | None], None] = lambda *_: None
        self.lock_holder: object | None = None

    def set(self, what: str, path: str, body: bytes | None, like: StoredObject | None = None) -> None:
        """Make `body` the object at `path`, None removes it. `like` is the object whose bytes it shares."""
        old = self.objects.get(path)
        if body is None:
            if old is None:
                return
            new = None
            del self.objects[path]
        else:
            self.serial += 1
            new = StoredObject(body, self.serial, self.clock(), like.sha256 if like is not None else sha256(body))
            self.objects[path] = new
        self.on_change(what, path, old, new)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))


class SimulatedStore:
    """`syncd.core.ports.Store` on a Shelf, for one process."""

    piece = PIECE

    def __init__(self, shelf: Shelf, chance: random.Random, trouble: StoreTrouble) -> None:
        self.shelf, self.chance, self.trouble = shelf, chance, trouble
        self.open_tokens: set[str] = set()
        self.failed = 0  # operations that were made to fail
        self.guard = lambda _path: None

    def use_guard(self, guard) -> None:
        self.guard = guard

    # -- how an operation goes --

    async def _act(self, path: str, effect, *, writes: bool = False, shows: bool = False):
        """Let `effect` happen between two waits, or fail as the dice say."""
        check_alive()
        trouble, dice = self.trouble, self.chance.random()
        await asyncio.sleep(self._delay())
        check_alive()
        if dice < trouble.before:
            self.failed += 1
            raise Offline(f"{path}: the store does not answer")
        if writes and dice < trouble.before + trouble.full:
            self.failed += 1
            raise NoSpace(f"{path}: no space left in the store")
        if shows:  # visible from now on
            self.guard(path)
        result = effect()
        await asyncio.sleep(self._delay())
        check_alive()
        if dice > 1 - trouble.after:
            self.failed += 1
            raise Offline(f"{path}: the answer was lost")
        return result

    def _delay(self) -> float:
        if self.trouble.slow and self.chance.random() < self.trouble.slow:
            return 30.0
        return self.chance.choice(self.trouble.delays)

    # -- reading --

    def _found(self, path: str) -> StoredObject:
        if (found := self.shelf.objects.get(path)) is None:
            raise NotFound(f"{path}: no such object")
        return found

    @staticmethod
    def _stat_of(path: str, found: StoredObject) -> Stat:
        return Stat(path, len(found.body), found.modified, f'"{found.serial}"')

    async def list(self, prefix=""):
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix="", after=""):
        while True:

            def page(after=after) -> list[Stat]:
                keys = [key for key in self.shelf.keys(prefix) if key > after and not key.startswith(".syncd/tmp/")]
                return [self._stat_of(key, self.shelf.objects[key]) for key in keys[:PAGE]]

            stats = await self._act(prefix or "/", page)
            if not stats:
                return
            yield stats
            after = stats[-1].path

    async def stat(self, path):
        return await self._act(safe(path), lambda: self._stat_of(path, self._found(path)))

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        found = await self._act(safe(path), lambda: self._found(path))
        stat = self._stat_of(path, found)
        if version is not None and version != stat.version:
            raise Changed(f"{path}: is version {stat.version}, not {version}")
        size = len(found.body)
        if start > size or start == size > 0:
            raise Unsupported(f"{path}: has {size} bytes, none at {start}")
        end = size if stop is None else min(stop, size)
        yield SimulatedBody(stat, found.body[start:end], start, end, f"memory://{path}", self._break)

    async def _break(self) -> None:
        await asyncio.sleep(self._delay())
        check_alive()
        if self.chance.random() < self.trouble.before / 2:
            self.failed += 1
            raise Interrupted("the connection to the store was reset")

    # -- changing --

    async def put(self, path, body, *, if_absent=False, sha256=""):
        def effect() -> Stat:
            if if_absent and path in self.shelf.objects:
                raise Exists(f"{path}: there is an object already")
            self.shelf.set("put", path, bytes(body))
            return self._stat_of(path, self.shelf.objects[path])

        return await self._act(safe(path), effect, writes=True, shows=True)

    async def move(self, path, to):
        def copied() -> None:
            if path not in self.shelf.objects:
                self._found(to)  # done by an earlier call
                return
            source = self.shelf.objects[path]
            if path == to:
                return
            self.shelf.set(f"move {path} ->", to, source.body, source)
            if not self.shelf.is_bucket:
                self.shelf.set("move", path, None)

        safe(to)
        await self._act(safe(path), copied, writes=True, shows=True)
        if self.shelf.is_bucket and path != to:
            await self._act(path, lambda: self.shelf.set("move", path, None), shows=True)

    async def copy(self, path, to):
        def effect() -> None:
            source = self._found(path)
            self.shelf.set(f"copy {path} ->", to, source.body, source)

        safe(to)
        await self._act(safe(path), effect, writes=True, shows=True)

    async def delete(self, path):
        await self._act(safe(path), lambda: self.shelf.set("delete", path, None), shows=True)

    @asynccontextmanager
    async def stage(self, path, *, size, resume=None, is_record=False, in_place=False, of=None):
        token = await self._act(safe(path), lambda: self._begin(path, size, resume, of), writes=True)
        self.open_tokens.add(token)
        try:
            yield SimulatedStaged(self, path, token)
        finally:
            self.open_tokens.discard(token)

    def _begin(self, path: str, size: int | None, resume: str | None, of: str | None) -> str:
        original = self._found(of) if of is not None else None
        staging = self.shelf.stagings.get(resume or "")
        if resume is not None and staging is not None and staging.path == path:
            if staging.latest in staging.pieces and self.chance.random() < self.trouble.torn:
                del staging.pieces[staging.latest]
            return resume
        token = self.chance.randbytes(8).hex()
        pieces = {0: original.body} if original is not None else {}
        self.shelf.stagings[token] = Staging(path, size, self.shelf.clock(), pieces)
        return token

    async def identify(self, expected):
        def effect() -> str:
            found = self.shelf.objects.get(".syncd/store.json")
            if expected not in (None, found.body.decode() if found is not None else None):
                raise Offline(f"is not the expected store {expected}: .syncd/store.json is missing, or names another")
            if found is None:
                self.shelf.set("put", ".syncd/store.json", self.chance.randbytes(16).hex().encode())
            return self.shelf.objects[".syncd/store.json"].body.decode()

        return await self._act(".syncd/store.json", effect)

    async def free(self):
        return 1 << 40

    async def sweep(self, older_than):
        def effect() -> int:
            stale = [
                token
                for token, staging in self.shelf.stagings.items()
                if staging.touched < self.shelf.clock() - older_than and token not in self.open_tokens
            ]
            for token in stale:
                del self.shelf.stagings[token]
            return len(stale)

        return await self._act(".syncd/", effect)

    async def aclose(self):
        pass


class SimulatedFolder(SimulatedStore):
    """A store that can lock out other processes exactly, as a folder can."""

    async def lock(self):
        process = current_process()
        held = self.shelf.lock_holder
        if held is not None and held is not process and not getattr(held, "is_dead", True):
            raise Busy(".syncd/lock: another process holds it")
        self.shelf.lock_holder = process
        return HeldLock(self.shelf)


class HeldLock:
    """The lock of a folder until it is deleted."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.holder = shelf, shelf.lock_holder

    def __del__(self) -> None:
        if self.shelf.lock_holder is self.holder:
            self.shelf.lock_holder = None


class SimulatedStaged:
    """One file on its way into a Shelf."""

    def __init__(self, store: SimulatedStore, path: str, token: str) -> None:
        self.store, self.path, self.token = store, path, token
        self.staging = store.shelf.stagings[token]
        self.present_ranges = tuple(_joined(self.staging.pieces))

    async def write(self, offset, chunk):
        def effect() -> None:
            self.staging.pieces[offset] = bytes(chunk)
            self.staging.latest = offset
            self.staging.touched = self.store.shelf.clock()

        await self.store._act(self.path, effect, writes=True)

    def sink(self, offset):
        return None

    def read_back(self, start, stop, update):
        update(memoryview(self._content())[start:stop])

    async def read(self):
        content = self._content()
        for at in range(0, len(content), PIECE):
            await self.store._break()
            yield content[at : at + PIECE]

    async def commit(self, *, size, sha256, if_absent=False, to=None):
        path, shelf = to or self.path, self.store.shelf

        def effect() -> Stat:
            if self.token not in shelf.stagings:  # an earlier call whose answer was lost
                found = self.store._found(path)
                if found.sha256 == sha256:
                    return self.store._stat_of(path, found)
                raise Damaged(f"{path}: what was staged is gone")
            content = self._content()
            present = _joined(self.staging.pieces)
            if missing := [*gaps(present, 0, self.staging.size or size)]:
                start, stop = missing[0]
                raise Damaged(f"{path}: [{start}, {stop}) was never written")
            if len(content) != size or digest(content) != sha256:
                raise Damaged(f"{path}: what is staged is not what was proved")
            if if_absent and path in shelf.objects:
                raise Exists(f"{path}: there is an object already")
            shelf.set("commit", path, content)
            shelf.stagings.pop(self.token, None)
            return self.store._stat_of(path, shelf.objects[path])

        return await self.store._act(path, effect, writes=True, shows=True)

    async def discard(self):
        await self.store._act(self.path, lambda: self.store.shelf.stagings.pop(self.token, None))

    def _content(self) -> bytes:
        content = bytearray()
        for offset in sorted(self.staging.pieces):
            chunk = self.staging.pieces[offset]
            if offset > len(content):
                content += bytes(offset - len(content))
            content[offset : offset + len(chunk)] = chunk
        return bytes(content)


class SimulatedBody:
    """Bytes on their way, a chunk at a time; `on_chunk` waits and may raise before each."""

    def __init__(self, stat, content, start, stop, url, on_chunk, piece=PIECE) -> None:
        self.stat, self.start, self.stop, self.url = stat, start, stop, url
        self.headers: dict[str, str] = {}
        self._content, self._on_chunk, self._piece = content, on_chunk, piece

    async def __aiter__(self):
        for at in range(0, len(self._content), self._piece):
            await self._on_chunk()
            yield self._content[at : at + self._piece]


def _joined(pieces: dict[int, bytes]) -> list[tuple[int, int]]:
    """Return the ranges that pieces cover, sorted and disjoint."""
    ranges: list[tuple[int, int]] = []
    for offset in sorted(pieces):
        stop = offset + len(pieces[offset])
        if ranges and offset <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], stop))
        elif pieces[offset]:
            ranges.append((offset, stop))
    return ranges


def check_alive() -> None:
    """A process that was killed does nothing more, whatever its `finally` would."""
    process = current_process()
    if process is not None and process.is_dead:
        raise Killed


def safe(path: str) -> str:
    """Return a path that stays in the store. Raises Unsafe."""
    try:
        return check_path(path.removeprefix(".syncd/") or path) and path
    except UnsafePath as error:
        raise Unsafe(str(error)) from error


digest = sha256
