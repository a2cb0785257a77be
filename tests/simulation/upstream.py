"""A foreign archive in memory that lives on, and lies and breaks off as it is told."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from manifests.stat import Stat
from syncd.core import Changed, Interrupted, NotFound, Refused, Unreachable, Unsupported
from tests.fakes import sha256
from tests.simulation.event_loop import EPOCH
from tests.simulation.memory_store import PIECE, SimulatedBody, check_alive

SECRET = "s3cr3t-signature"
PAGE = 2  # Stats in one page of a listing


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    body: bytes
    modified: float
    sha256: str


@dataclass(slots=True)
class NetworkTrouble:
    """What may go wrong between us and upstream: each a probability, of a request or of a chunk."""

    refused: float = 0.0
    broken: float = 0.0  # a body breaks off
    flipped: float = 0.0  # a body has a wrong bit
    slow: float = 0.0
    changing: float = 0.0  # a large file changes, and keeps its size, while it is read
    listing: str = ""  # "" as it is, "empty", "short" (the second half is missing), "broken" (it breaks off)


@dataclass(slots=True)
class Upstream:
    """What upstream has; `history` is all that it ever had, by path."""

    has_digests: bool
    files: dict[str, UpstreamFile] = field(default_factory=dict)
    history: dict[str, set[str]] = field(default_factory=dict)
    listings: list[frozenset[str]] = field(default_factory=list)
    """The listings that were told to their end, by their paths."""
    saw: set[str] = field(default_factory=set)
    failed: int = 0

    def set(self, path: str, body: bytes, now: float) -> None:
        file = UpstreamFile(body, now, sha256(body))
        self.files[path] = file
        self.history.setdefault(path, set()).add(file.sha256)

    def claim(self, path: str) -> Stat:
        file = self.files[path]
        return Stat(
            path,
            len(file.body),
            file.modified,
            f'"{file.sha256[:12]}"',
            {"sha256": file.sha256} if self.has_digests else {},
            (f"https://upstream.example/{path}?X-Amz-Signature={SECRET}",),
        )


class SimulatedUpstream:
    """`syncd.core.ports.Transport` of one process to an Upstream."""

    piece = PIECE

    def __init__(self, upstream: Upstream, chance: random.Random, trouble: NetworkTrouble) -> None:
        self.upstream, self.chance, self.trouble = upstream, chance, trouble

    async def _wait(self) -> None:
        check_alive()
        slow = self.trouble.slow and self.chance.random() < self.trouble.slow
        await asyncio.sleep(20.0 if slow else self.chance.choice((0.0, 0.003, 0.05)))
        check_alive()

    def _strikes(self, chance: float) -> bool:
        if chance and self.chance.random() < chance:
            self.upstream.failed += 1
            return True
        return False

    async def _ask(self, path: str) -> None:
        await self._wait()
        if self._strikes(self.trouble.refused):
            raise self.chance.choice((Refused, Unreachable))(f"{path}: upstream is not to be reached")

    async def list(self, prefix=""):
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix="", after=""):
        await self._ask("/")
        paths = sorted(path for path in self.upstream.files if path > after)
        if self.trouble.listing == "empty":
            paths = []
        elif self.trouble.listing == "short":
            paths = paths[: len(paths) // 2]
        told = []
        last = self.chance.randrange(PAGE, len(paths) + 1) if len(paths) > PAGE else len(paths)
        for at in range(0, len(paths), PAGE):
            if self.trouble.listing == "broken" and at >= min(last, len(paths) - PAGE):
                self.upstream.failed += 1
                raise Interrupted("listing: page 2: the connection was reset")
            page = [self.upstream.claim(path) for path in paths[at : at + PAGE] if path in self.upstream.files]
            told += [stat.path for stat in page]
            yield page
            await self._wait()
        self.upstream.listings.append(frozenset(told))

    async def stat(self, path):
        path = _path_of(path)
        await self._ask(path)
        if path not in self.upstream.files:
            raise NotFound(f"{path}: 404")
        return self.upstream.claim(path)

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        path = _path_of(path)
        await self._ask(path)
        if (file := self.upstream.files.get(path)) is None:
            raise NotFound(f"{path}: 404")
        if start and self._strikes(self.trouble.changing):
            self.upstream.set(path, self.chance.randbytes(len(file.body)), EPOCH + asyncio.get_running_loop().time())
            file = self.upstream.files[path]
        claim = self.upstream.claim(path)
        if version is not None and version != claim.version:
            raise Changed(f"{path}: version {version} became {claim.version}")
        size = len(file.body)
        if start > size or start == size > 0:
            raise Unsupported(f"{path}: has {size} bytes, none at {start}")
        end = size if stop is None else min(stop, size)
        content = file.body[start:end]
        if content and self.upstream.has_digests and self._strikes(self.trouble.flipped):
            content = bytes([content[0] ^ 1]) + content[1:]
        stat = Stat(path, size, file.modified, claim.version)
        yield SimulatedBody(stat, content, start, end, claim.urls[0], self._chunk, self.piece)

    async def _chunk(self) -> None:
        await self._wait()
        if self._strikes(self.trouble.broken):
            raise Interrupted("the connection was reset")

    async def aclose(self):
        pass


def _path_of(target: str) -> str:
    return target.removeprefix("https://upstream.example/").partition("?")[0]
