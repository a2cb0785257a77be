"""Asks a bucket about one object without reading it.

Rules:
1. HEAD without a length, or that the server does not have, is asked again as a GET of one byte.
2. Of a source, the first answers to HEAD are compared with such a GET, also if HEAD says that there is no such object,
   or that access is denied. If they differ, the bucket is asked by GET from then on.
3. A store is asked by HEAD alone: its own requests have shown before what it does.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from manifests.stat import Stat
from syncd.core import Archived, Body, CredentialRefused, Denied, NotFound, PermanentError

CHECKED = 2  # answers to HEAD that GET must confirm


class ObjectReader(Protocol):
    """What a question needs of its transport."""

    async def head(self, path: str) -> Stat:
        """Ask with HEAD alone."""
        ...

    def first_byte(self, path: str) -> AbstractAsyncContextManager[Body]:
        """Open the first byte of an object."""
        ...


class HeadRequests:
    """The experience with a bucket's answers to HEAD."""

    __slots__ = ("_confirmed", "_is_lying", "_is_source")

    def __init__(self, *, is_source: bool) -> None:
        """`is_source`: answers are compared with GET until they are confirmed."""
        self._is_source = is_source
        self._is_lying = False
        self._confirmed = 0

    async def describe(self, reader: ObjectReader, path: str) -> Stat:
        """Return what the bucket says of one object. Raises as a read does."""
        said: Stat | None = None
        refusal: PermanentError | None = None
        if not self._is_lying:
            try:
                said = await reader.head(path)
            except CredentialRefused:
                raise
            except PermanentError as error:
                if self._is_trusted and isinstance(error, NotFound | Denied):
                    raise
                refusal = error
            if said is not None and self._is_trusted:
                return said
        try:
            found = await _by_get(reader, path)
        except Archived:
            if said is None:
                raise
            return said
        except PermanentError as error:
            if refusal is None or type(error) is not type(refusal):
                raise
            self._confirmed += 1
            raise refusal from error
        if said is None or (said.size, said.version) != (found.size, found.version):
            self._is_lying = True
            return found
        self._confirmed += 1
        return said  # an answer to HEAD has more checksums

    @property
    def _is_trusted(self) -> bool:
        return not self._is_source or self._confirmed >= CHECKED


async def _by_get(reader: ObjectReader, path: str) -> Stat:
    async with reader.first_byte(path) as body:
        if body.stop == 1:  # read to its end, the connection can be used again
            async for _ in body:
                pass
        return body.stat
