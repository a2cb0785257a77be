"""A foreign archive in memory that keeps the Transport's contract, and can be told to break it.

Not a mock: it answers any read, ranges and versions included, and records what was asked.
"""

import asyncio
import hashlib
from contextlib import asynccontextmanager

from manifests.reading.document import DocumentError
from manifests.stat import Stat
from syncd.core.errors import Changed, Interrupted, NotFound, Unsupported


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Archive:
    """`files` maps a path to bytes; `faults` maps a path to a list of callables taken one per open, `(chunk index, chunk) -> chunk` or raising."""

    def __init__(self, files=None, *, chunk=64 << 10, digests=(), versions=True, ranges=True):
        self.files = dict(files or {})
        self.chunk = chunk
        self.digests = digests
        self.versions = versions
        self.ranges = ranges
        self.faults = {}
        self.asked = []
        self.sent = 0
        self.listing_fails_after = None
        self.open_now = self.open_most = 0

    def version(self, path):
        return f'"{sha256(self.files[path])[:16]}"' if self.versions else None

    def claim(self, path, **other):
        content = self.files[path]
        digests = {name: hashlib.new(name, content).hexdigest() for name in self.digests}
        return Stat(path, len(content), None, self.version(path), digests, **other)

    async def list(self, prefix=""):
        for number, path in enumerate(sorted(self.files)):
            if self.listing_fails_after is not None and number >= self.listing_fails_after:
                raise Interrupted("listing: page 2: 500")
            yield self.claim(path)

    async def list_pages(self, prefix="", after=""):
        page = []
        async for stat in self.list(prefix):
            if stat.path > after:
                page.append(stat)
            if len(page) == 4:
                yield page
                page = []
        yield page

    async def stat(self, path):
        if path not in self.files:
            raise NotFound(f"{path}: 404")
        return Stat(path, len(self.files[path]), None, self.version(path))

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        self.asked.append((path, start, stop))
        if path not in self.files:
            raise NotFound(f"{path}: 404")
        if version is not None and self.versions and version != self.version(path):
            raise Changed(f"{path}: version {version} became {self.version(path)}")
        content = self.files[path]
        if not self.ranges and start:
            raise Unsupported(f"{path}: upstream ignores ranges")
        if not self.ranges:
            stop = None
        stop = len(content) if stop is None else min(stop, len(content))
        waiting = self.faults.get(path)
        fault = waiting.pop(0) if waiting else None
        body = _Body(self, Stat(path, len(content), None, self.version(path)), content[start:stop], start, stop, fault)
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            yield body
        finally:
            self.open_now -= 1

    async def aclose(self):
        pass

    def assert_spent(self):
        assert not any(self.faults.values()), f"faults never reached: {self.faults}"


class _Body:
    def __init__(self, archive, stat, content, start, stop, fault):
        self.archive, self.stat, self.content, self.start, self.stop, self.fault = (
            archive,
            stat,
            content,
            start,
            stop,
            fault,
        )
        self.headers, self.url = {}, f"memory://{stat.path}"

    async def __aiter__(self):
        for number, at in enumerate(range(0, len(self.content), self.archive.chunk)):
            chunk = self.content[at : at + self.archive.chunk]
            if self.fault is not None:
                chunk = self.fault(number, chunk)
            await asyncio.sleep(0)
            self.archive.sent += len(chunk)
            yield chunk


def flip(number, chunk):
    """Turn one bit over."""
    return bytes([chunk[0] ^ 1]) + chunk[1:] if number == 0 else chunk


def break_after(chunks):
    """Break off after some chunks."""

    def fault(number, chunk):
        if number >= chunks:
            raise Interrupted("the connection was reset")
        return chunk

    return fault


class Listing:
    """The reader of a native listing."""

    native = True

    def start(self):
        return ()

    def read(self, document):
        raise DocumentError("nothing to read")
