"""The operations on objects: put, copy, join, remove; each is verified and can be repeated.

Rule 1: if a response is lost (a timeout, a 500, an error in a body of status 200), the object is looked up. It is
accepted if it has the expected ETag, or the sha256 that was sent with it; else the error is raised. Its size is no
evidence: it may be the object that was to be replaced.
Rule 2: an ETag is the MD5 of the bytes, or of the MD5s of the parts with `-N`; both are computed here and compared.
Rule 3: copies above `copy_limit` go by parts, on the server.
"""

import asyncio
import base64
import hashlib
import math
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, Exists, Interrupted, NotFound, PermanentError, SyncdError, TransientError
from transports.s3 import INLINE, NONE, Bucket, NoSuchUpload, Precondition, S3Transport, read_texts, stat_of

COPY_LIMIT = 5 << 30  # bytes that S3 copies in one request
COPY_PART = 512 << 20
MAX_PARTS = 10_000
IN_FLIGHT = 4  # parts of one file that are sent at once
ABORTING = 20.0  # seconds that the end of a failed upload may take

SHA256 = "x-amz-meta-sha256"
MD5S = Mapping[int, bytes]  # part number to digest


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished multipart upload to `path`."""

    path: str
    id: str


class Objects:
    """The objects of a bucket below a root; the transport reads them."""

    def __init__(self, reading: S3Transport, *, copy_limit: int, copy_part: int) -> None:
        self.reading = reading
        self.bucket: Bucket = reading.bucket
        self._copy_limit = copy_limit
        self._copy_part = copy_part

    async def put(self, path: str, body: bytes, *, headers: Mapping[str, str], must_be_new: bool = False) -> Stat:
        """Put one object. Raises Exists with `must_be_new` if there is an object of other bytes."""
        md5 = await digest(body)
        sent = {**headers, "If-None-Match": "*"} if must_be_new else headers
        try:
            answer, _ = await self.bucket.read("PUT", self._key(path), path, headers=sent, body=body, md5=md5)
        except Precondition as error:
            found = await self.reading.stat(path)
            if found.version != f'"{md5.hex()}"':
                raise Exists(
                    message("{path}: exists already, as version {version}", path=path, version=found.version)
                ) from error
            return found  # an earlier attempt, whose response was lost
        except TransientError:
            found_now = await self._find_sent(path, len(body), f'"{md5.hex()}"', headers.get(SHA256, ""))
            if found_now is None:
                raise
            return found_now
        etag = answer.get("etag", "").strip('"')
        if len(etag) == 32 and "-" not in etag and etag != md5.hex() and not _is_encrypted(answer):
            raise Damaged(
                message(
                    "{path}: the server stored bytes of MD5 {etag}, sent were {hex}",
                    path=path,
                    etag=etag,
                    hex=md5.hex(),
                )
            )
        return Stat(path, len(body), None, f'"{etag}"' if etag else None)

    async def remove(self, path: str) -> None:
        """Remove an object; a missing one is no error."""
        try:
            await self.bucket.read("DELETE", self._key(path), path)
        except NotFound as error:
            if type(error) is not NotFound:  # no such bucket
                raise

    async def begin(self, path: str, headers: Mapping[str, str] = NONE) -> Upload:
        """Begin a multipart upload of an object that will have the metadata `headers`."""
        _, document = await self.bucket.read("POST", self._key(path), path, query={"uploads": ""}, headers=headers)
        found = read_texts(document, ("UploadId",)).get("UploadId", "")
        if not found:
            raise PermanentError(
                message(
                    "{path}: the server began an upload but returned no id: {document!r}",
                    path=path,
                    document=document[:100],
                )
            )
        return Upload(path, found)

    async def put_part(self, upload: Upload, number: int, body: bytes) -> bytes:
        """Put one part and return its MD5."""
        md5 = await digest(body)
        query = {"partNumber": str(number), "uploadId": upload.id}
        answer, _ = await self.bucket.read("PUT", self._key(upload.path), upload.path, query=query, body=body, md5=md5)
        etag = answer.get("etag", "").strip('"')
        if len(etag) == 32 and etag != md5.hex() and not _is_encrypted(answer):
            raise Damaged(
                message(
                    "{path}: the server stored part {number} with MD5 {etag}, sent was {hex}",
                    path=upload.path,
                    number=number,
                    etag=etag,
                    hex=md5.hex(),
                )
            )
        return md5

    async def complete(self, upload: Upload, etags: Mapping[int, str], expected: str, size: int) -> Stat:
        """Join the parts at a path without an object, verify and return the object. `expected` is its bare ETag."""
        try:
            await self._join(upload, etags)
        except (TransientError, NoSuchUpload) as error:
            found = await self._find(upload.path)
            if found is None or found.size != size or not is_md5(found, expected):
                raise error from None
            return found  # it was joined; only the response was lost
        found = await self.reading.stat(upload.path)
        if found.size != size or not is_md5(found, expected):
            raise Damaged(
                message(
                    "{path}: joined as {size} bytes {version}, not {size2} bytes {expected}",
                    path=upload.path,
                    size=found.size,
                    version=found.version,
                    size2=size,
                    expected=expected,
                )
            )
        return found

    async def abort(self, upload: Upload) -> None:
        """Abort an upload; one that has ended is no error."""
        try:
            await self.bucket.read("DELETE", self._key(upload.path), upload.path, query={"uploadId": upload.id})
        except NoSuchUpload:
            return

    async def copy(self, path: str, to: str, *, headers: Mapping[str, str] | None = None, new: bool = False) -> Stat:
        """Copy on the server, whatever the size; `headers` replace the metadata. Raises NotFound, Exists for `new`."""
        source, sha256 = await self._describe(path)
        if new:
            await self.must_be_absent(to)
        if path == to:
            return source
        if (source.size or 0) > self._copy_limit:
            return await self._copy_by_parts(source, to, headers or sha256_headers(sha256))
        sent = {"x-amz-copy-source": self._source(path), **_bound(source)}
        if headers is not None:
            sent |= {"x-amz-metadata-directive": "REPLACE", **headers}
        try:
            _, document = await self.bucket.read("PUT", self._key(to), to, headers=sent)
        except TransientError:
            wanted = (headers or {}).get(SHA256, sha256)
            try:
                found, there = await self._describe(to)
            except NotFound:
                there, found = "", None
            if found is None or found.size != source.size:
                raise
            if (found.version is None or found.version != source.version) and (there != wanted or not wanted):
                raise
            return found  # the copy is there; only the response was lost
        etag = read_texts(document, ("ETag",)).get("ETag", "").strip('"')
        found = await self.reading.stat(to)
        if found.size != source.size or (etag and found.version != f'"{etag}"'):
            raise Damaged(
                message(
                    "{to}: copied from {path} as {size} bytes {version}, not {size2} {etag!r}",
                    to=to,
                    path=path,
                    size=found.size,
                    version=found.version,
                    size2=source.size,
                    etag=etag,
                )
            )
        return found

    async def must_be_absent(self, path: str) -> None:
        """Raise Exists if there is an object."""
        found = await self._find(path)
        if found is not None:
            raise Exists(message("{path}: exists already, as version {version}", path=path, version=found.version))

    async def _copy_by_parts(self, source: Stat, to: str, headers: Mapping[str, str]) -> Stat:
        size = source.size or 0
        before = await self._find(to)  # a damaged object that a repair replaces may have the same size, ETag and sha256
        upload = await self.begin(to, headers)
        try:
            etags = await self._copy_parts(source, upload)
            try:
                await self._join(upload, etags)
            except (TransientError, NoSuchUpload):
                found = await self._find_sent(to, size, _quoted_etag(etags), headers.get(SHA256, ""))
                if found is None or (before is not None and _is_same(found, before)):
                    raise
                return found  # it was joined; only the response was lost
        except BaseException as error:
            await self._drop(upload)
            if isinstance(error, NoSuchUpload):  # not NotFound: callers would take that for the source
                raise Interrupted(
                    message("{to}: the server lost the upload that {path} was copied to", to=to, path=source.path)
                ) from error
            raise
        found = await self.reading.stat(to)
        if found.size != size:
            raise Damaged(
                message(
                    "{to}: joined as {size} bytes {version}, not {size2} bytes",
                    to=to,
                    size=found.size,
                    version=found.version,
                    size2=size,
                )
            )
        return found

    async def _copy_parts(self, source: Stat, upload: Upload) -> dict[int, str]:
        """Copy a file into an upload and return the parts' ETags, by number."""
        size, to = source.size or 0, upload.path
        step = max(self._copy_part, math.ceil(size / MAX_PARTS))
        etags: dict[int, str] = {}
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int) -> None:
            start = (number - 1) * step
            last = min(start + step, size) - 1
            sent = {
                "x-amz-copy-source": self._source(source.path),
                "x-amz-copy-source-range": f"bytes={start}-{last}",
                **_bound(source),
            }
            query = {"partNumber": str(number), "uploadId": upload.id}
            async with slots:
                _, document = await self.bucket.read("PUT", self._key(to), to, query=query, headers=sent)
            etags[number] = read_texts(document, ("ETag",)).get("ETag", "").strip('"')

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, math.ceil(size / step) + 1):
                    group.create_task(one(number))
        except BaseExceptionGroup as failed:
            raise _first(failed) from failed
        return etags

    async def _join(self, upload: Upload, etags: Mapping[int, str]) -> None:
        """Request that the server joins the parts."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etags[number])}&quot;</ETag></Part>"
            for number in sorted(etags)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        await self.bucket.read("POST", self._key(upload.path), upload.path, query={"uploadId": upload.id}, body=body)

    async def _drop(self, upload: Upload) -> None:
        """Abort a failed upload if the server permits; a sweep aborts the others."""
        with suppress(SyncdError, TimeoutError):
            async with asyncio.timeout(ABORTING):
                await self.abort(upload)

    async def _find_sent(self, path: str, size: int, version: str, sha256: str) -> Stat | None:
        """Return the object at `path` if this process sent it, by its ETag, or by its sha256 if ETags are no MD5s.

        An older object of the same size may be at the path, so an ETag that is no MD5 is no evidence.
        """
        try:
            found, named = await self._describe(path)
        except NotFound:
            return None
        if found.size != size:
            return None
        return found if found.version == version or (sha256 and named == sha256) else None

    async def _describe(self, path: str) -> tuple[Stat, str]:
        """Return an object's Stat and the sha256 in its metadata, else "". Raises NotFound."""
        with closing(await self.bucket.send("HEAD", self._key(path), path)) as answer:
            size = answer.length
            if size is None:
                raise PermanentError(message("{path}: an object without a size", path=path))
            return stat_of(path, answer.headers, size), answer.headers.get(SHA256, "")

    async def _find(self, path: str) -> Stat | None:
        try:
            return await self.reading.stat(path)
        except NotFound:
            return None

    def _key(self, path: str) -> str:
        return self.reading.root + path

    def _source(self, path: str) -> str:
        return quote(f"/{self.bucket.name}/{self._key(path)}", safe="/-_.~")


def joined_etag(md5s: MD5S) -> str:
    """Return the ETag, without quotes, of an object joined from parts of these digests."""
    whole = hashlib.md5(usedforsecurity=False)
    for number in sorted(md5s):
        whole.update(md5s[number])
    return f"{whole.hexdigest()}-{len(md5s)}"


def is_md5(found: Stat, expected: str) -> bool:
    """Return True if an ETag is `expected`, or is no MD5 (encryption with keys of the server)."""
    etag = (found.version or "").strip('"')
    return etag == expected or not _looks_like_md5(etag.partition("-")[0])


async def digest(body: bytes) -> bytes:
    """Return a body's MD5, in a thread if it is long."""
    if len(body) <= INLINE:
        return _md5(body)
    return await asyncio.to_thread(_md5, body)


async def sha256_of(body: bytes) -> str:
    """Return a body's sha256 in hex, in a thread if it is long."""
    if len(body) <= INLINE:
        return hashlib.sha256(body).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()


def sha256_headers(sha256: str) -> dict[str, str]:
    """Return the metadata header with an object's own sha256."""
    return {SHA256: sha256} if sha256 else {}


def checksum_header(sha256: str) -> dict[str, str]:
    """Return the header with which S3 verifies and keeps the checksum."""
    return {"x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode()}


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _looks_like_md5(etag: str) -> bool:
    return len(etag) == 32 and all(letter in "0123456789abcdef" for letter in etag)


def _quoted_etag(etags: Mapping[int, str]) -> str:
    """Return the ETag of the object joined of these parts; "" if their ETags are no MD5s."""
    if not all(_looks_like_md5(etag) for etag in etags.values()):
        return ""
    return f'"{joined_etag({number: bytes.fromhex(etag) for number, etag in etags.items()})}"'


def _is_same(found: Stat, before: Stat) -> bool:
    return (found.version, found.modified) == (before.version, before.modified)


def _bound(source: Stat) -> dict[str, str]:
    return {} if source.version is None else {"x-amz-copy-source-if-match": source.version}


def _is_encrypted(answer: Mapping[str, str]) -> bool:
    return answer.get("x-amz-server-side-encryption", "AES256") != "AES256"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
