"""Records why bytes are in the quarantine, in a JSON file beside them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from manifests.messages import message, plain
from syncd.core import Body, Mismatch, Store, redact
from syncd.engine.pass_paths import PassPaths

REASON = ".reason.json"  # suffix of the file that records the reason
ENDLESS = 1 << 62  # bytes: no limit
MAX_NAME = 255  # bytes of a file name that common file systems allow
# response headers that are recorded; others may hold session secrets, or text that upstream chose
RECORDED = frozenset(
    {"accept-ranges", "age", "content-disposition", "content-encoding", "content-length", "content-range",
     "content-type", "date", "digest", "etag", "last-modified", "repr-digest", "retry-after", "server", "via"}
)  # fmt: skip


class Quarantined(Mismatch):
    """A Mismatch whose bytes are in the quarantine at `place`."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class QuarantineRoom:
    """The bytes that a pass may still add to the quarantine; the limit is determined when the first copy needs it."""

    def __init__(self, limit: int | Callable[[], Awaitable[int]] = ENDLESS) -> None:
        """Take at most `limit` bytes, or as many as it returns."""
        self._limit = limit
        self._left = limit if isinstance(limit, int) else None
        self._measuring = asyncio.Lock()

    async def take(self, size: int) -> bool:
        """Take room for a copy; return False if there is none."""
        left = await self._measured()
        if size > left:
            return False
        self._left = left - size
        return True

    async def lend(self, count: int) -> int:
        """Take an equal part for each of `count` workers, and keep one; return the size of a part."""
        left = await self._measured()
        part = left // (count + 1)
        self._left = left - part * count
        return part

    async def _measured(self) -> int:
        async with self._measuring:
            if self._left is None:
                assert not isinstance(self._limit, int)
                self._left = await self._limit()
            return self._left


@dataclass(frozen=True, slots=True)
class PassQuarantine:
    """The quarantine of one pass."""

    store: Store
    paths: PassPaths
    now: Callable[[], float]
    room: QuarantineRoom

    async def refused(self, error: Mismatch, size: int) -> Mismatch | None:
        """Take room for the bytes of a file; return the error to raise if there is none, without keeping them."""
        if await self.room.take(size):
            return None
        return Mismatch(message("{cause}; its bytes are not kept: the quarantine is full", cause=error))

    async def write_reason(
        self, path: str, error: Mismatch, digests: Mapping[str, str], body: Body | None, earlier: Sequence[str] = ()
    ) -> Quarantined:
        """Write the reason beside the quarantined bytes of a file, and return the error to raise.

        `earlier` are the failures at other sources before this one, `body` the response that the bytes came in.
        """
        place = self.paths.quarantine(path)
        reason = str(error)
        for cause in earlier:
            reason = message("{reason}; before that, {cause}", reason=reason, cause=cause)
        headers = body.headers.items() if body is not None else ()
        record = {
            "path": path,
            "reason": reason,
            "tried": earlier,
            "at": self.now(),
            "arrived": digests,
            "url": _redacted_url(body.url) if body is not None else "",
            "headers": {name: redact(value) for name, value in headers if name in RECORDED},
        }
        await self.store.put(reason_path(place), msgspec.json.encode(record, enc_hook=plain))
        return Quarantined(reason, place)


def reason_path(place: str) -> str:
    """Return the path of the reason for the bytes at `place`; a name that would be too long is hashed."""
    folder, slash, name = place.rpartition("/")
    if len(name.encode()) + len(REASON) > MAX_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return f"{folder}{slash}{name}{REASON}"


def _redacted_url(url: str) -> str:
    """Return the URL of a response without its query: after redirects the query may be a signature."""
    return redact(url.partition("?")[0])
