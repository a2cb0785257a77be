"""The operations on whole objects: put, remove, describe, read back; each is verified and can be repeated.

Rule 1: if a response is lost (a timeout, a 500, an error in a body of status 200), the object is looked up. It is
accepted if it has the expected ETag, or the sha256 that was sent with it; else the error is raised. Its size is no
evidence: it may be the object that was to be replaced.
Rule 2: the server verifies each body: by the sha256 that is signed if it compares that, or keeps it as a checksum; else
by an MD5, which costs more than all else. Where it verified no MD5, an ETag proves nothing, and nothing is missing.
Rule 3: an ETag that is neither the MD5 of the bytes nor announced to be another (`etags`) is explained by reading the
bytes back, once: if they are right, the server's ETags are its own from then on.
"""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from contextlib import closing

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Denied, Exists, NotFound, PermanentError, TransientError, Unsupported
from syncd.stores.s3.etags import bare, is_encrypted, is_md5_of, is_same, md5_in
from syncd.stores.s3.traits import S3Traits
from transports.http import RequestBody, length_of
from transports.s3 import (
    INLINE,
    Bucket,
    Precondition,
    S3Transport,
    Unimplemented,
    md5_of,
    sha256_of,
    stat_of,
)

SHA256 = "x-amz-meta-sha256"


class Objects:
    """The objects of a bucket below a root; the transport reads them."""

    def __init__(self, reading: S3Transport, traits: S3Traits) -> None:
        self.reading = reading
        self.bucket: Bucket = reading.bucket
        self.traits = traits

    async def put(
        self,
        path: str,
        body: RequestBody,
        *,
        headers: Mapping[str, str],
        sha256: str = "",
        needs_md5: bool = True,
        must_be_new: bool = False,
    ) -> Stat:
        """Put one object. Raises Exists with `must_be_new` if there is an object of other bytes.

        `sha256` is that of the body if it is known; without `needs_md5` the server verifies it.
        """
        if must_be_new and not self.traits.creates_conditionally:
            await self.must_be_absent(path)
            must_be_new = False
        sent = {**headers, "If-None-Match": "*"} if must_be_new else headers
        md5 = await md5_of(body) if needs_md5 and body else None
        size = length_of(body)
        try:
            answer, _ = await self.bucket.read(
                "PUT", self.key(path), path, headers=sent, body=body, md5=md5, sha256=sha256, needs_md5=needs_md5
            )
        except Precondition as error:
            found, named = await self.describe(path)
            is_ours = found.size == size and named == headers.get(SHA256)
            if not is_ours and not is_md5_of(found.version, md5 or await md5_of(body)):
                raise Exists(
                    message("{path}: exists already, as version {version}", path=path, version=found.version)
                ) from error
            return found  # an earlier attempt, whose response was lost
        except Unimplemented:
            if not must_be_new:
                raise
            self.traits.creates_conditionally = False
            return await self.put(path, body, headers=headers, sha256=sha256, needs_md5=needs_md5, must_be_new=True)
        except TransientError:
            etag = (md5 or await md5_of(body)).hex()
            found_now = await self.find_sent(path, size, etag, headers.get(SHA256, ""))
            if found_now is None:
                raise
            return found_now
        etag = bare(answer.get("etag"))
        if etag and md5 is not None and not is_md5_of(etag, md5):
            await self._explain(path, body, etag, answer)
        return Stat(path, size, None, f'"{etag}"' if etag else None)

    async def remove(self, path: str) -> None:
        """Remove an object; a missing one is no error."""
        try:
            await self.bucket.read("DELETE", self.key(path), path)
        except NotFound as error:
            if type(error) is not NotFound:  # no such bucket
                raise

    async def tidy(self, path: str) -> None:
        """Remove an object that is no longer needed. If the credentials may not delete, it stays, and a log says so."""
        try:
            await self.remove(path)
        except (Denied, Unsupported) as error:
            self.traits.may_not_delete(str(error))

    async def must_be_absent(self, path: str) -> None:
        """Raise Exists if there is an object."""
        found = await self.find(path)
        if found is not None:
            raise Exists(message("{path}: exists already, as version {version}", path=path, version=found.version))

    async def hash_stored(self, path: str) -> tuple[int, str]:
        """Read the stored object; return its length and its sha256."""
        seen, length = hashlib.sha256(), 0
        async with self.reading.open(path) as body:
            async for chunk in body:
                length += len(chunk)
                if len(chunk) > INLINE:
                    await asyncio.to_thread(seen.update, chunk)
                else:
                    seen.update(chunk)
        return length, seen.hexdigest()

    async def read_back(self, path: str, size: int, sha256: str) -> None:
        """Read the stored object. Raises Damaged if it differs."""
        length, found = await self.hash_stored(path)
        if length != size or found != sha256:
            raise Damaged(
                message(
                    "{path}: stored as {length} bytes {found}, not {size} bytes {sha256}",
                    path=path,
                    length=length,
                    found=found,
                    size=size,
                    sha256=sha256,
                )
            )

    async def find_sent(self, path: str, size: int, etag: str, sha256: str) -> Stat | None:
        """Return the object at `path` if this process sent it, by its ETag, or by its sha256 if ETags are no MD5s.

        An older object of the same size may be at the path, so an ETag that is no MD5 is no evidence.
        """
        try:
            found, named = await self.describe(path)
        except NotFound:
            return None
        if found.size != size:
            return None
        return found if is_same(found.version, etag) or (sha256 and named == sha256) else None

    async def describe(self, path: str) -> tuple[Stat, str]:
        """Return an object's Stat and the sha256 in its metadata, else "". Raises NotFound."""
        try:
            async with self.bucket.slot():
                with closing(await self.bucket.send("HEAD", self.key(path), path)) as answer:
                    size = answer.length
                    if size is None:
                        raise PermanentError(message("{path}: an object without a size", path=path))
                    return stat_of(path, answer.headers, size), answer.headers.get(SHA256, "")
        except Unsupported:  # a server that does not answer HEAD
            async with self.reading.open(path, stop=1) as body:
                return body.stat, body.headers.get(SHA256, "")

    async def find(self, path: str) -> Stat | None:
        """Describe an object; None if there is none."""
        try:
            return await self.reading.stat(path)
        except NotFound:
            return None

    def key(self, path: str) -> str:
        """Return the key of a path."""
        return self.reading.root + path

    async def _explain(self, path: str, body: RequestBody, etag: str, answer: Mapping[str, str]) -> None:
        """Find out why an ETag is not the MD5 of the bytes that were sent. Raises Damaged."""
        if self.traits.has_own_etags or md5_in(etag) is None:
            return
        if is_encrypted(answer):
            self.traits.has_own_joined_etags = True
        else:
            await self.read_back(path, length_of(body), await sha256_of(body))
        self.traits.has_own_etags = True


def sha256_headers(sha256: str) -> dict[str, str]:
    """Return the metadata header with an object's own sha256."""
    return {SHA256: sha256} if sha256 else {}


def checksum_header(sha256: str) -> dict[str, str]:
    """Return the header with which S3 verifies and keeps the checksum."""
    return {"x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode()}
