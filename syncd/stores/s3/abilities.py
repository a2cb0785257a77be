"""Determines what an S3 server verifies, before the first write, by trying.

A few requests on an object of a few bytes: one with a wrong MD5, which must be refused, one that creates, and one that
may only create. If the server verifies no checksum, each upload is read back before it counts.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import closing

from manifests.stat import Stat
from syncd.core import NotFound, Unsupported
from syncd.stores.s3.copies import Copies
from syncd.stores.s3.objects import Objects, checksum_header, sha256_headers
from syncd.stores.s3.traits import ServerChecks
from transports.s3 import NONE, BadDigest, Precondition, Unimplemented

PROBES = ".syncd/uploads/probe-"


class S3Capabilities:
    """The abilities of a server, determined once, and a put that replaces missing ones."""

    def __init__(self, objects: Objects, copies: Copies) -> None:
        self._objects = objects
        self._copies = copies
        self._traits = objects.traits
        self._finding = asyncio.Lock()

    async def known(self) -> ServerChecks:
        """Return the checksums and conditions that the server verifies."""
        if self._traits.checks is None:
            async with self._finding:
                if self._traits.checks is None:
                    self._traits.checks = await self._probe()
        return self._traits.checks

    async def put(self, path: str, body: bytes, sha256: str, *, if_absent: bool) -> Stat:
        """Put one object, verified. Raises Exists, Damaged."""
        known = await self.known()
        if if_absent and not known.if_none_match:
            await self._objects.must_be_absent(path)
        headers = sha256_headers(sha256)
        if known.sha256:
            headers |= checksum_header(sha256)
        if known.md5 or known.sha256:
            return await self._objects.put(path, body, headers=headers, must_be_new=if_absent and known.if_none_match)
        return await self._put_through_staging(path, body, sha256, headers)

    async def _put_through_staging(self, path: str, body: bytes, sha256: str, headers: dict[str, str]) -> Stat:
        """Put under a staging key, read back, then copy: for a server that verifies nothing."""
        staging = f".syncd/uploads/{secrets.token_hex(16)}"
        await self._objects.put(staging, body, headers=headers)
        try:
            await self._objects.read_back(staging, len(body), sha256)
            return await self._copies.copy(staging, path)
        finally:
            await self._objects.tidy(staging)

    async def _probe(self) -> ServerChecks:
        path = PROBES + secrets.token_hex(16)
        body = b"syncd: is a wrong digest refused?\n"
        right = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            md5 = await self._refuses_digest(path, body, NONE, hashlib.md5(b"another", usedforsecurity=False).digest())
            wrong = checksum_header(hashlib.sha256(b"another").hexdigest())
            good = checksum_header(hashlib.sha256(body).hexdigest())
            sha256 = await self._refuses_digest(path, body, wrong, right) and not await self._refuses_digest(
                path, body, good, right
            )
            await self._objects.put(path, body, headers={})
            creates = await self._refuses_to_replace(path, b"other bytes\n")
            try:
                creates = creates and (await self._objects.reading.stat(path)).size == len(body)
            except NotFound:
                creates = False
            return ServerChecks(md5, sha256, creates)
        finally:
            await self._objects.tidy(path)

    async def _refuses_digest(self, path: str, body: bytes, headers: Mapping[str, str], md5: bytes) -> bool:
        """Return True if a put with these checksums is refused; a server may also lack the means to compare them."""
        try:
            await self._send(path, body, headers, md5)
        except Unimplemented:
            if not headers:  # it does not know Content-MD5, which is sent no more
                self._objects.bucket.sends_md5 = False
                return False
            return True
        except (BadDigest, Unsupported):  # Unsupported: 400 of some servers
            return True
        return False

    async def _refuses_to_replace(self, path: str, body: bytes) -> bool:
        """Return True if a create-only put is refused because there is an object; a server may not know conditions."""
        try:
            await self._send(path, body, {"If-None-Match": "*"}, None)
        except Precondition:
            return True
        except Unsupported:  # 501 NotImplemented, 400 InvalidArgument
            return False
        return False

    async def _send(self, path: str, body: bytes, headers: Mapping[str, str], md5: bytes | None) -> None:
        key = self._objects.key(path)
        with closing(await self._objects.bucket.send("PUT", key, path, headers=headers, body=body, md5=md5)):
            return
