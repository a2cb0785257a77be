"""Copies inside the store: by one request, by parts, or through this process; each is verified and can be repeated.

Rule 1: copies above `copy_limit` go by parts, on the server.
Rule 2: a server without one way of copying is asked for the next plainer one, and last for the bytes: they are read,
hashed and sent again. What worked is remembered.
Rule 3: a lost response is judged by the object: by its ETag, or by the sha256 in its metadata.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Changed, Damaged, Denied, Interrupted, TooLarge, TransientError, Unsupported, first_of
from syncd.stores.s3.etags import is_same, joined_etag, md5_in
from syncd.stores.s3.objects import SHA256, Objects, sha256_headers
from syncd.stores.s3.uploads import IN_FLIGHT, SentPart, Upload, Uploads
from transports.s3 import NoSuchUpload, Precondition, Unimplemented, read_texts

COPY_LIMIT = 5 << 30  # bytes that S3 copies in one request
COPY_PART = 512 << 20


class Copies:
    """Copies the objects of a store. `piece` is the most bytes of one put."""

    def __init__(self, objects: Objects, uploads: Uploads, *, copy_limit: int, copy_part: int, piece: int) -> None:
        self._objects = objects
        self._uploads = uploads
        self._bucket = objects.bucket
        self._traits = objects.traits
        self._copy_limit = copy_limit
        self._copy_part = copy_part
        self._piece = piece

    async def copy(
        self,
        path: str,
        to: str,
        *,
        headers: Mapping[str, str] | None = None,
        new: bool = False,
        version: str | None = None,
    ) -> Stat:
        """Copy, whatever the size; `headers` replace the metadata.

        Raises NotFound, Exists for `new`, Changed if the object is of another `version`.
        """
        source, sha256 = await self._objects.describe(path)
        if version is not None and source.version != version:
            raise Changed(
                message("{path}: is version {found}, not {wanted}", path=path, found=source.version, wanted=version)
            )
        if new:
            await self._objects.must_be_absent(to)
        if path == to:
            return source
        kept = headers or sha256_headers(sha256)
        while True:
            try:
                if not self._traits.copies:
                    return await self._copy_through_us(source, to, kept, sha256)
                if (source.size or 0) <= self._copy_limit:
                    return await self._copy_at_once(source, to, headers, sha256)
                if self._traits.copies_parts:
                    return await self._copy_by_parts(source, to, kept)
                return await self._copy_through_us(source, to, kept, sha256)
            except Precondition:
                # some compare an ETag with its quotes, others without: the source was described a moment ago
                if not self._traits.copies_conditionally or (await self._objects.describe(path))[0] != source:
                    raise
                self._traits.copies_conditionally = False

    async def _copy_at_once(self, source: Stat, to: str, headers: Mapping[str, str] | None, sha256: str) -> Stat:
        sent = {"x-amz-copy-source": self._source(source.path), **self._bound(source)}
        if headers is not None:
            sent |= {"x-amz-metadata-directive": "REPLACE", **headers}
        wanted = (headers or {}).get(SHA256, sha256)
        try:
            _, document = await self._bucket.read("PUT", self._objects.key(to), to, headers=sent)
        except (TooLarge, Unsupported, Denied) as error:
            return await self._copy_otherwise(error, source, to, headers, sha256)
        except TransientError:
            found = await self._objects.find_sent(to, source.size or 0, source.version or "", wanted)
            if found is None:
                raise
            return found  # the copy is there; only the response was lost
        etag = read_texts(document, ("ETag",)).get("ETag", "").strip('"')
        found = await self._objects.reading.stat(to)
        if found.size != source.size:
            raise Damaged(
                message(
                    "{to}: copied from {path} as {size} bytes {version}, not {wanted} {etag!r}",
                    to=to,
                    path=source.path,
                    size=found.size,
                    version=found.version,
                    wanted=source.size,
                    etag=etag,
                )
            )
        if etag and not is_same(found.version, etag) and not is_same(found.version, source.version):
            sha256 = sha256 or (await self._objects.hash_stored(source.path))[1]
            await self._objects.read_back(to, source.size or 0, sha256)
        return found

    async def _copy_otherwise(
        self, error: Exception, source: Stat, to: str, headers: Mapping[str, str] | None, sha256: str
    ) -> Stat:
        """Copy in another way, after the server refused to copy in one request."""
        kept = headers or sha256_headers(sha256)
        if not isinstance(error, Unimplemented | Denied) and (source.size or 0) > self._copy_part:
            self._copy_limit = self._copy_part
            return await self._copy_by_parts(source, to, kept)
        if isinstance(error, Unimplemented) and self._traits.copies_conditionally:
            self._traits.copies_conditionally = False
            return await self._copy_at_once(source, to, headers, sha256)
        found = await self._copy_through_us(source, to, kept, sha256)
        self._traits.copies = isinstance(error, TooLarge) or type(error) is Unsupported  # this object's fault, maybe
        return found

    async def _copy_by_parts(self, source: Stat, to: str, headers: Mapping[str, str]) -> Stat:
        before = await self._objects.find(to)  # a damaged one that a repair replaces may have the same ETag and sha256
        upload = await self._uploads.begin(to, headers)
        try:
            sent = {"x-amz-copy-source": self._source(source.path), **self._bound(source)}
            etags = await self.copy_parts(upload, source.size or 0, sent)
            parts = {number: SentPart(etag, md5_in(etag)) for number, etag in etags.items()}
            return await self.finish(upload, parts, source, headers, before)
        except NoSuchUpload as error:  # not NotFound: callers would take that for the source
            await self._uploads.drop(upload)
            raise Interrupted(
                message("{to}: the server lost the upload that {path} was copied to", to=to, path=source.path)
            ) from error
        except Unimplemented:
            await self._uploads.drop(upload)
        except BaseException:
            await self._uploads.drop(upload)
            raise
        if self._traits.copies_conditionally:
            self._traits.copies_conditionally = False
            return await self._copy_by_parts(source, to, headers)
        self._traits.copies_parts = False
        return await self._copy_through_us(source, to, headers, headers.get(SHA256, ""))

    async def finish(
        self,
        upload: Upload,
        parts: Mapping[int, SentPart],
        source: Stat,
        headers: Mapping[str, str],
        before: Stat | None,
    ) -> Stat:
        """Join the parts at the path of the upload, which may hold an older object."""
        to, size = upload.path, source.size or 0
        try:
            await self._uploads.join(upload, {number: part.etag for number, part in parts.items()})
        except (TransientError, NoSuchUpload):
            expected = joined_etag({number: part.md5 for number, part in parts.items()})
            found = await self._objects.find_sent(to, size, expected, headers.get(SHA256, ""))
            if found is None or (before is not None and _is_unchanged(found, before)):
                raise
            return found  # it was joined; only the response was lost
        found = await self._objects.reading.stat(to)
        if found.size != size:
            raise Damaged(
                message(
                    "{to}: joined as {size} bytes {version}, not {wanted} bytes",
                    to=to,
                    size=found.size,
                    version=found.version,
                    wanted=size,
                )
            )
        return found

    async def copy_parts(self, upload: Upload, size: int, headers: Mapping[str, str]) -> dict[int, str]:
        """Copy the object that `headers` name into an upload and return the parts' ETags, by number."""
        to = upload.path
        step = self._traits.part_size(size, self._copy_part)
        etags: dict[int, str] = {}
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int) -> None:
            start = (number - 1) * step
            last = min(start + step, size) - 1
            sent = {**headers, "x-amz-copy-source-range": f"bytes={start}-{last}"}
            query = {"partNumber": str(number), "uploadId": upload.id}
            async with slots:
                _, document = await self._bucket.read("PUT", self._objects.key(to), to, query=query, headers=sent)
            etags[number] = read_texts(document, ("ETag",)).get("ETag", "").strip('"')

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, math.ceil(size / step) + 1):
                    group.create_task(one(number))
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        return etags

    async def _copy_through_us(self, source: Stat, to: str, headers: Mapping[str, str], sha256: str) -> Stat:
        """Read the object, hash it, and send it again; a wrong one is not sent to its end. Raises Damaged."""
        size = source.size or 0
        if size <= self._piece:
            body = b"".join([part async for part in self._pieces(source, sha256)])
            return await self._checked(await self._objects.put(to, body, headers=headers), headers)
        before = await self._objects.find(to)
        upload = await self._uploads.begin(to, headers)
        parts: dict[int, SentPart] = {}
        try:
            async for body in self._pieces(source, sha256):
                parts[len(parts) + 1] = await self._uploads.put_part(upload, len(parts) + 1, body)
            return await self._checked(await self.finish(upload, parts, source, headers, before), headers)
        except BaseException:
            await self._uploads.drop(upload)
            raise

    async def _checked(self, found: Stat, headers: Mapping[str, str]) -> Stat:
        """Read an object back if the server verified none of its bytes; a wrong one does not stay. Raises Damaged."""
        sha256 = headers.get(SHA256, "")
        if sha256 and self._traits.checks is not None and not self._traits.checks.verifies_parts:
            try:
                await self._objects.read_back(found.path, found.size or 0, sha256)
            except Damaged:
                await self._objects.remove(found.path)
                raise
        return found

    async def _pieces(self, source: Stat, sha256: str) -> AsyncIterator[bytes]:
        """Yield the object in pieces of one part. Raises Damaged at its end if it has other bytes than its sha256."""
        seen, held, size = hashlib.sha256(), bytearray(), source.size or 0
        step = self._traits.part_size(size, self._piece)
        async with self._objects.reading.open(source.path, version=source.version) as body:
            async for chunk in body:
                await asyncio.to_thread(seen.update, chunk)
                held += chunk
                while len(held) > step:
                    yield bytes(held[:step])
                    del held[:step]
        if sha256 and seen.hexdigest() != sha256:
            raise Damaged(
                message(
                    "{path}: stored as {length} bytes {found}, not {size} bytes {sha256}",
                    path=source.path,
                    length=size,
                    found=seen.hexdigest(),
                    size=size,
                    sha256=sha256,
                )
            )
        yield bytes(held)

    def _bound(self, source: Stat) -> dict[str, str]:
        if source.version is None or not self._traits.copies_conditionally:
            return {}
        return {"x-amz-copy-source-if-match": source.version}

    def _source(self, path: str) -> str:
        return quote(f"/{self._bucket.name}/{self._objects.key(path)}", safe="/-_.~")


def _is_unchanged(found: Stat, before: Stat) -> bool:
    return (found.version, found.modified) == (before.version, before.modified)
