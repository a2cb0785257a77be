"""A small stored file that gets another name: its bytes pass through memory, and share syncs with other files."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Sink

SMALL = 1 << 20  # bytes


class SmallCopy:
    """Satisfies `syncd.core.ports.Staged`; has all bytes from the beginning."""

    def __init__(self, path: str, content: bytes, put: Callable[..., Awaitable[Stat]]) -> None:
        """`put` is the store's."""
        self.token = ""
        self.present_ranges: tuple[tuple[int, int], ...] = ((0, len(content)),) if content else ()
        self._path = path
        self._content = content
        self._put = put

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes."""
        if self._content:
            yield self._content

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Write the file; `sha256` was computed of these very bytes."""
        del sha256
        if size != len(self._content):
            raise Damaged(
                message(
                    "{path}: {size} bytes were announced, {found} read",
                    path=self._path,
                    size=size,
                    found=len(self._content),
                )
            )
        return await self._put(self._path if to is None else to, self._content, if_absent=if_absent)

    async def discard(self) -> None:
        """Forget the bytes."""

    async def write(self, offset: int, chunk: bytes) -> NoReturn:
        """Raise: nothing is written into a copy."""
        raise AssertionError((offset, chunk))

    def sink(self, offset: int) -> Sink | None:
        """Return None."""
        del offset
        return None

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """Pass a part of the bytes on."""
        update(memoryview(self._content)[start:stop])
