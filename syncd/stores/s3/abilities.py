"""Determines what an S3 server verifies, before the first write, by trying.

Three requests on an object of a few bytes: one with a wrong MD5, which must be refused, one that creates, and one that
may only create. If the server verifies no checksum, each upload is read back before it counts.
"""

import asyncio
import hashlib
import secrets
from contextlib import closing

import msgspec

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Unsupported
from syncd.stores.s3.objects import Objects, checksum_header, is_md5, sha256_headers
from transports.s3 import INLINE, BadDigest, Precondition

PROBES = ".syncd/uploads/probe-"


class ServerChecks(msgspec.Struct, frozen=True):
    """`md5`, `sha256`: a wrong digest is refused. `if_none_match`: a create-only put refuses to replace."""

    md5: bool
    sha256: bool
    if_none_match: bool


class S3Capabilities:
    """The abilities of a server, determined once, and a put that replaces missing ones."""

    def __init__(self, objects: Objects, given: ServerChecks | None = None) -> None:
        self._objects = objects
        self._known = given
        self._finding = asyncio.Lock()

    async def known(self) -> ServerChecks:
        """Return the checksums and conditions that the server verifies."""
        if self._known is None:
            async with self._finding:
                if self._known is None:
                    self._known = await self._probe()
        return self._known

    async def put(self, path: str, body: bytes, sha256: str, *, if_absent: bool) -> Stat:
        """Put one object, verified. Raises Exists, Damaged."""
        known = await self.known()
        if if_absent and not known.if_none_match:
            await self._objects.must_be_absent(path)
        headers = sha256_headers(sha256)
        if known.sha256:
            headers |= checksum_header(sha256)
        if known.md5:
            return await self._objects.put(path, body, headers=headers, must_be_new=if_absent and known.if_none_match)
        return await self._put_through_staging(path, body, sha256, headers)

    async def read_back(self, path: str, size: int, sha256: str) -> None:
        """Read the stored object. Raises Damaged if it differs."""
        seen, length = hashlib.sha256(), 0
        async with self._objects.reading.open(path) as body:
            async for chunk in body:
                length += len(chunk)
                if len(chunk) > INLINE:
                    await asyncio.to_thread(seen.update, chunk)
                else:
                    seen.update(chunk)
        if length != size or seen.hexdigest() != sha256:
            raise Damaged(
                message(
                    "{path}: stored as {length} bytes {hexdigest}, not {size} bytes {sha256}",
                    path=path,
                    length=length,
                    hexdigest=seen.hexdigest(),
                    size=size,
                    sha256=sha256,
                )
            )

    async def _put_through_staging(self, path: str, body: bytes, sha256: str, headers: dict[str, str]) -> Stat:
        """Put under a staging key, read back, then copy: for a server that verifies nothing."""
        staging = f".syncd/uploads/{secrets.token_hex(16)}"
        await self._objects.put(staging, body, headers=headers)
        try:
            await self.read_back(staging, len(body), sha256)
            return await self._objects.copy(staging, path)
        finally:
            await self._objects.remove(staging)

    async def _probe(self) -> ServerChecks:
        path = PROBES + secrets.token_hex(16)
        body = b"syncd: is a wrong digest refused?\n"
        right = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            md5 = await self._is_refused(path, body, {}, hashlib.md5(b"another", usedforsecurity=False).digest())
            wrong = checksum_header(hashlib.sha256(b"another").hexdigest())
            good = checksum_header(hashlib.sha256(body).hexdigest())
            sha256 = await self._is_refused(path, body, wrong, right) and not await self._is_refused(
                path, body, good, right
            )
            await self._objects.put(path, body, headers={})
            again = await self._is_refused(path, b"other bytes\n", {"If-None-Match": "*"}, None)
            stat = await self._objects.reading.stat(path)
            return ServerChecks(md5, sha256, again and is_md5(stat, right.hex()))
        finally:
            await self._objects.remove(path)

    async def _is_refused(self, path: str, body: bytes, headers: dict[str, str], md5: bytes | None) -> bool:
        """Return True if a put with a wrong checksum or condition is refused."""
        key = self._objects.reading.root + path
        try:
            with closing(await self._objects.bucket.send("PUT", key, path, headers=headers, body=body, md5=md5)):
                return False
        except (BadDigest, Precondition, Unsupported):  # Unsupported: 400 and 501 of some servers
            return True
