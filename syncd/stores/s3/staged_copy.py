"""An object that gets another key: it is read and hashed, and then copied on the server if it is still that version."""

from collections.abc import AsyncIterator
from typing import NoReturn

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Sink
from syncd.stores.s3.copies import Copies
from syncd.stores.s3.objects import Objects, sha256_headers


class StagedCopy:
    """Satisfies `syncd.core.ports.Staged`; nothing is stored before its commit."""

    def __init__(self, objects: Objects, copies: Copies, source: Stat, path: str) -> None:
        """`source` is the object as it is now; the copy is bound to its version."""
        self.token = ""
        self.present_ranges: tuple[tuple[int, int], ...] = ((0, source.size or 0),) if source.size else ()
        self._objects = objects
        self._copies = copies
        self._source = source
        self._path = path

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes of this version."""
        async with self._objects.reading.open(self._source.path, version=self._source.version) as body:
            async for chunk in body:
                yield chunk

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Copy the version that was read. Raises Changed if the object is another one now."""
        if size != self._source.size:
            raise Damaged(
                message(
                    "{path}: {size} bytes were announced, {found} read",
                    path=self._path,
                    size=size,
                    found=self._source.size,
                )
            )
        return await self._copies.copy(
            self._source.path,
            self._path if to is None else to,
            headers=sha256_headers(sha256),
            new=if_absent,
            version=self._source.version,
        )

    async def discard(self) -> None:
        """Do nothing: nothing is stored."""

    async def stop(self) -> None:
        """Do nothing: nothing is being sent."""

    async def write(self, offset: int, chunk: bytes) -> NoReturn:
        """Raise: nothing is written into a copy."""
        raise AssertionError((offset, chunk))

    def sink(self, offset: int) -> Sink | None:
        """Return None."""
        del offset
        return None

    def read_back(self, start: int, stop: int, update: Sink) -> NoReturn:
        """Raise: nothing was written."""
        raise AssertionError((start, stop, update))
