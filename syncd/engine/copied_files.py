"""Copies files inside the server that has both the source and the store: read and hashed here, not sent back.

Rules:
1. A file is copied in the version whose bytes were hashed (`syncd.core.CopiesFromSource`). Whether the server does that
   is tried once for each place of the source; what it refuses goes through this process for the rest of the pass.
2. A file whose copy fails is read again (Changed), and then sent. If no copy from its place has succeeded in this pass,
   none is tried any more.
"""

import asyncio
from dataclasses import dataclass

from manifests.messages import message
from syncd.core import (
    Body,
    Busy,
    Changed,
    CopiesFromSource,
    Exists,
    NoSpace,
    PermanentError,
    Store,
    Transport,
    capability,
)
from syncd.streams import DecodedBody
from syncd.wrappers import FailoverTransport

LEAST = 256 << 10  # bytes; to send a smaller file costs less than to copy it


@dataclass(frozen=True, slots=True)
class ServerCopy:
    """A copy inside the server: `resume` is for `Store.stage`."""

    place: str
    url: str
    resume: str


class CopiedFiles:
    """The places of one pass from which files are copied inside the server."""

    def __init__(self, store: Store) -> None:
        self._server = capability(store, CopiesFromSource)
        self._places: dict[str, bool] = {}
        self._worked: set[str] = set()
        self._failed: set[str] = set()
        self._trying = asyncio.Lock()

    async def copy_of(self, source: Transport, body: Body, size: int | None) -> ServerCopy | None:
        """Return how the file of a response is copied, None if it is sent."""
        server, version = self._server, body.stat.version
        if server is None or size is None or size < LEAST or version is None or not version.startswith('"'):
            return None
        if isinstance(source, FailoverTransport) or isinstance(body, DecodedBody) or "://" not in body.url:
            return None  # of several sources, or not as it is stored
        place = await server.copyable_from(body.url, size)
        if not place or body.url in self._failed:
            return None
        if place not in self._places:
            async with self._trying:
                if place not in self._places:
                    self._places[place] = await server.may_copy(body.url, size)
        return ServerCopy(place, body.url, server.copy_token(body.url, version)) if self._places[place] else None

    def worked(self, copy: ServerCopy) -> None:
        """Note that a file was copied."""
        self._worked.add(copy.place)

    def failure(self, copy: ServerCopy, path: str, error: PermanentError) -> PermanentError:
        """Return the error of a copy that failed: Changed, unless the failure is not of the copy."""
        if isinstance(error, Exists | NoSpace | Busy):
            return error
        self._failed.add(copy.url)
        if copy.place not in self._worked:
            self._places[copy.place] = False
        if isinstance(error, Changed):
            return error
        return Changed(message("{path}: was not copied inside the server: {cause}", path=path, cause=error))
