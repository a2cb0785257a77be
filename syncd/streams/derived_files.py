"""Keeps the files that a Reader derived from documents until the pass has stored them, in an append-only spool.

A `made:` url names such a file by its offset and size in the spool, the sha256 of its bytes, and its document.
`syncd.wrappers.derived_file_transport` reads these urls.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from manifests.messages import message
from manifests.reading import MAX_MADE, DerivedFile, DocumentError
from manifests.stat import Stat
from syncd.core import Body, Changed, Damaged, NoSpace, NotFound

SCHEME = "made:"
PIECE = 1 << 20  # bytes of a chunk
WAITING = 4 << 20  # bytes of derived files in memory after which they are written to disk

_URL = re.compile(r"made:([0-9]{1,18})\+([0-9]{1,18}):([0-9a-f]{64}):.*", re.DOTALL)


class Spool:
    """The derived files of one survey, concatenated; the file on disk exists after the first flush."""

    def __init__(self, path: Path) -> None:
        """Start empty: the first flush truncates the file that an earlier survey left at `path`."""
        self.path = path
        self.size = 0
        self._waiting: list[bytes] = []
        self._flushed = 0
        self._turn = asyncio.Lock()

    def add(self, made: DerivedFile, document: str) -> Stat:
        """Append a derived file and return its Stat; `document` is the url that it was derived from."""
        if len(made.body) > MAX_MADE:
            raise DocumentError(
                message(
                    "{document}: {path}: made of more than {max_made} bytes",
                    document=document,
                    path=made.path,
                    max_made=MAX_MADE,
                )
            )
        digest = hashlib.sha256(made.body).hexdigest()
        at, self.size = self.size, self.size + len(made.body)
        self._waiting.append(made.body)
        url = f"{SCHEME}{at}+{len(made.body)}:{digest}:{document.partition('?')[0]}"
        # no digest: upstream publishes none
        return Stat(made.path, len(made.body), version=f"{SCHEME}{digest}", urls=(url,))

    async def flush(self) -> None:
        """Write buffered bytes to disk. Raises NoSpace."""
        async with self._turn:
            waiting, self._waiting = b"".join(self._waiting), []
            if waiting or not self._flushed:
                await asyncio.to_thread(_append, self.path, waiting, anew=not self._flushed)
            self._flushed += len(waiting)

    async def drop(self) -> None:
        """Discard the bytes."""
        await asyncio.to_thread(self.path.unlink, missing_ok=True)


@asynccontextmanager
async def open_derived(
    spool: Path, url: str, start: int = 0, stop: int | None = None, version: str | None = None
) -> AsyncIterator[Body]:
    """Open a derived file by its url in the spool at `spool`. Raises NotFound, Changed, Damaged."""
    found = _URL.fullmatch(url)
    if found is None:
        raise NotFound(message("{url}: not the name of a made file", url=url))
    at, size, digest = int(found[1]), int(found[2]), found[3]
    if version not in (None, f'"{digest}"'):
        raise Changed(message("{url}: version {version} became {found}", url=url, version=version, found=digest))
    content = await asyncio.to_thread(_read, spool, at, size)
    if hashlib.sha256(content).hexdigest() != digest:
        raise Damaged(
            message("{url}: {spool} does not hold the bytes written to it: check the disk", url=url, spool=spool)
        )
    stop = size if stop is None else min(stop, size)
    yield _DerivedBody(Stat(url, size, version=f'"{digest}"'), content[start:stop], start, stop, url)


def _append(path: Path, content: bytes, *, anew: bool) -> None:
    try:
        with path.open("wb" if anew else "ab") as file:
            file.write(content)
    except OSError as error:
        raise NoSpace(
            message("{path}: files made from documents cannot be kept: {cause}", path=path, cause=error.strerror)
        ) from error


def _read(path: Path, at: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return os.pread(file.fileno(), size, at)
    except OSError as error:
        raise Damaged(message("{path}: cannot be read: {cause}", path=path, cause=error.strerror)) from error


class _DerivedBody:
    """A Body whose bytes are in memory."""

    def __init__(self, stat: Stat, content: bytes, start: int, stop: int, url: str) -> None:
        self.stat = stat
        self.start = start
        self.stop: int | None = stop
        self.headers: dict[str, str] = {}
        self.url = url
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), PIECE):
            yield self._content[at : at + PIECE]
