"""Determines what an S3 server verifies, before the first write, by trying.

A few requests on an object of a few bytes: with wrong checksums, which must be refused, one that creates, and one that
may only create. If the server verifies no checksum, each upload is read back before it counts. Before the first file
that is uploaded to its final path, an object is joined and compared (`joins_in_place`).
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import closing

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import CredentialRefused, Damaged, Denied, NotFound, PermanentError, Unsupported, first_of
from syncd.stores.s3.copies import Copies
from syncd.stores.s3.objects import Objects, checksum_header, sha256_headers
from syncd.stores.s3.traits import ServerChecks
from syncd.stores.s3.uploads import Uploads
from transports.http import RequestBody, length_of
from transports.s3 import NONE, BadDigest, Precondition, Unimplemented, sha256_of

PROBES = ".syncd/uploads/probe-"


class S3Capabilities:
    """The abilities of a server, determined once, and a put that replaces missing ones."""

    def __init__(self, objects: Objects, uploads: Uploads, copies: Copies) -> None:
        self._objects = objects
        self._uploads = uploads
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

    async def joins_in_place(self) -> bool:
        """Return True if an object joined of verified parts need not be read back before it is visible."""
        if not (await self.known()).verifies_parts:
            return False
        if self._traits.joins_in_place is None:
            async with self._finding:
                if self._traits.joins_in_place is None:
                    self._traits.joins_in_place = await self._try_join()
        return self._traits.joins_in_place

    async def _try_join(self) -> bool:
        body = b"syncd: what is the ETag of a joined object?\n"
        path = PROBES + secrets.token_hex(16)
        upload = await self._uploads.begin(path)
        try:
            joined = await self._uploads.complete(upload, {1: await self._uploads.put_part(upload, 1, body)}, len(body))
            if not joined.is_proved:
                await self._objects.read_back(path, len(body), hashlib.sha256(body).hexdigest())
                self._traits.has_own_joined_etags = True
        except (Damaged, PermanentError):  # it is tried no more: large files are looked at before they are visible
            await self._uploads.drop(upload)
            return False
        except BaseException:
            await self._uploads.drop(upload)
            raise
        finally:
            await self._objects.tidy(path)
        return True

    async def put(self, path: str, body: RequestBody, sha256: str, *, if_absent: bool) -> Stat:
        """Put one object, verified. Raises Exists, Damaged."""
        known = await self.known()
        if if_absent and not known.if_none_match:
            await self._objects.must_be_absent(path)
        headers = sha256_headers(sha256)
        if known.sha256:
            headers |= checksum_header(sha256)
        if known.sha256 or known.payload:
            is_new = if_absent and known.if_none_match
            try:
                return await self._objects.put(
                    path, body, headers=headers, sha256=sha256, needs_md5=False, must_be_new=is_new
                )
            except BadDigest as error:
                raise await self._wrong_bytes(path, body, sha256, error) from error
        if await sha256_of(body) != sha256:
            raise self._damaged(path, sha256)
        if known.md5:
            return await self._objects.put(
                path, body, headers=headers, sha256=sha256, must_be_new=if_absent and known.if_none_match
            )
        return await self._put_through_staging(path, body, sha256, headers)

    async def _wrong_bytes(self, path: str, body: RequestBody, sha256: str, error: BadDigest) -> Exception:
        """Return the error for bytes that the server refused: they are other bytes, or were damaged on the way."""
        return error if await sha256_of(body) == sha256 else self._damaged(path, sha256)

    @staticmethod
    def _damaged(path: str, sha256: str) -> Damaged:
        return Damaged(message("{path}: the bytes gathered are not those of sha256 {sha256}", path=path, sha256=sha256))

    async def _put_through_staging(self, path: str, body: RequestBody, sha256: str, headers: dict[str, str]) -> Stat:
        """Put under a staging key, read back, then copy: for a server that verifies nothing."""
        staging = f".syncd/uploads/{secrets.token_hex(16)}"
        await self._objects.put(staging, body, headers=headers)
        try:
            await self._objects.read_back(staging, length_of(body), sha256)
            return await self._copies.copy(staging, path)
        finally:
            await self._objects.tidy(staging)

    async def _probe(self) -> ServerChecks:
        path = PROBES + secrets.token_hex(16)
        body = b"syncd: is a wrong digest refused?\n"
        try:
            try:
                async with asyncio.TaskGroup() as group:  # each waits for an answer or two
                    md5 = group.create_task(self._verifies_md5(path, body))
                    sha256 = group.create_task(self._verifies_sha256(path, body))
                    payload = group.create_task(self._verifies_payload(path, body))
            except BaseExceptionGroup as failed:
                raise first_of(failed) from failed
            await self._objects.put(path, body, headers={})
            creates = await self._refuses_to_replace(path, b"other bytes\n")
            try:
                creates = creates and (await self._objects.reading.stat(path)).size == len(body)
            except NotFound:
                creates = False
            return ServerChecks(md5.result(), sha256.result(), creates, payload.result())
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

    async def _verifies_md5(self, path: str, body: bytes) -> bool:
        wrong = hashlib.md5(b"another", usedforsecurity=False).digest()
        return await self._refuses_digest(path, body, NONE, wrong)

    async def _verifies_sha256(self, path: str, body: bytes) -> bool:
        right = hashlib.md5(body, usedforsecurity=False).digest()
        wrong = checksum_header(hashlib.sha256(b"another").hexdigest())
        good = checksum_header(hashlib.sha256(body).hexdigest())
        if not await self._refuses_digest(path, body, wrong, right):
            return False
        return not await self._refuses_digest(path, body, good, right)

    async def _verifies_payload(self, path: str, body: bytes) -> bool:
        """Return True if a put of other bytes than those of the signed sha256 is refused, and one of them is not."""
        key, bucket = self._objects.key(path), self._objects.bucket
        for other, refused in ((b"another", True), (body, False)):
            sha256 = hashlib.sha256(other).hexdigest()
            try:
                async with bucket.slot():
                    answer = await bucket.send(
                        "PUT", key, path, body=body, sha256=sha256, needs_md5=False, renews=False
                    )
                    answer.close()
            except CredentialRefused:  # a rejected signature says nothing about the bytes
                return False
            except (BadDigest, Unsupported, Denied):
                if not refused:
                    return False
            else:
                if refused:
                    return False
        return True

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
        bucket = self._objects.bucket
        async with bucket.slot():
            with closing(await bucket.send("PUT", key, path, headers=headers, body=body, md5=md5)):
                return
