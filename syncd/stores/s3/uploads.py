"""Multipart uploads: begin, put a part, list the parts, join them, abort; each can be repeated.

Rule 1: an object is joined of the parts that the server named, by the ETags that it gave them.
Rule 2: an upload to a final path is completed after its bytes were verified, and only where the server verified each
part. If the answer is lost, the object counts if it was not there before and has the expected ETag, or the bytes.
Rule 3: the ETag of the joined object is compared where it is made of MD5s. If it says nothing (`UploadedObject`), the
caller reads the object back; once its bytes were right, the server's ETags of joined objects are its own.
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from xml.sax.saxutils import escape

from manifests.messages import message
from manifests.reading import xml_tree
from manifests.stat import Stat
from syncd.core import Changed, Damaged, Denied, PermanentError, SyncdError, TransientError, Unsupported
from syncd.stores.s3.etags import bare, is_encrypted, is_md5_of, is_same, joined_etag, md5_in
from syncd.stores.s3.objects import Objects
from transports.http import RequestBody
from transports.s3 import (
    NONE,
    BadArgument,
    NoSuchUpload,
    PartTooSmall,
    Precondition,
    Unimplemented,
    instant,
    md5_of,
    read_texts,
    refused_xml,
    sha256_of,
)

IN_FLIGHT = 4  # parts of one file that are sent at once
ABORTING = 20.0  # seconds that the end of a failed upload may take
MAX_PARTS_PAGE = 16 << 20  # bytes of a list of parts


class StartAgain(Changed):
    """The upload cannot be completed as it was begun: the file is sent again from its beginning."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished multipart upload to `path`."""

    path: str
    id: str


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that has arrived: its ETag, to be given back, and its MD5 if the ETag says it."""

    etag: str
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that the server lists; `etag` without quotes, `at` in seconds since the epoch."""

    size: int
    etag: str
    at: float


@dataclass(frozen=True, slots=True)
class UploadedObject:
    """An object joined of parts. `is_proved` is False if only its bytes can tell whether they are right."""

    stat: Stat
    is_proved: bool


class Uploads:
    """The multipart uploads of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._bucket = objects.bucket
        self._traits = objects.traits

    async def begin(self, path: str, headers: Mapping[str, str] = NONE) -> Upload:
        """Begin a multipart upload of an object that will have the metadata `headers`."""
        key = self._objects.key(path)
        _, document = await self._bucket.read("POST", key, path, query={"uploads": ""}, headers=headers)
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

    async def put_part(self, upload: Upload, number: int, body: RequestBody) -> SentPart:
        """Put one part. An ETag that is not its MD5 is the server's own; the joined object will be proved."""
        checks = self._traits.checks
        if checks is not None and checks.payload:
            sha256, md5 = await sha256_of(body), None
        else:
            sha256, md5 = "", await md5_of(body)
        query = {"partNumber": str(number), "uploadId": upload.id}
        key = self._objects.key(upload.path)
        try:
            answer, _ = await self._bucket.read(
                "PUT", key, upload.path, query=query, body=body, md5=md5, sha256=sha256, needs_md5=md5 is not None
            )
        except BadArgument as error:
            if number == 1:
                raise
            self._traits.learn_most_parts(number, str(error).partition(upload.path)[2])
            raise StartAgain(
                message(
                    "{path}: the server takes {most} parts of a file, not {number}: it is sent again in larger ones "
                    "(set `parts.most` of the store to {most} to avoid that)",
                    path=upload.path,
                    most=self._traits.most_parts,
                    number=number,
                )
            ) from error
        etag = bare(answer.get("etag")) or (md5 or await md5_of(body)).hex()
        if is_encrypted(answer):
            self._traits.has_own_etags = self._traits.has_own_joined_etags = True
        if md5 is None:
            return SentPart(etag, md5_in(etag))
        return SentPart(etag, md5 if is_md5_of(etag, md5) else None)

    async def prove_parts(self, count: int) -> None:
        """Find out whether a file may have so many parts, before the first one is sent."""
        if count <= self._traits.proved_parts:
            return
        upload = await self.begin(f".syncd/uploads/probe-{secrets.token_hex(16)}")
        try:
            await self.put_part(upload, count, b"x")
            self._traits.proved_parts = count
        except StartAgain:
            pass  # and the limit is known now
        finally:
            await self.drop(upload)

    async def complete(self, upload: Upload, parts: Mapping[int, SentPart], size: int) -> UploadedObject:
        """Join the parts at a path that no object was at before, and compare the object."""
        try:
            await self._join_all(upload, parts, size)
        except (TransientError, NoSuchUpload) as error:
            found = await self._objects.find(upload.path)
            if found is None or found.size != size:
                raise error from None  # else it was joined; only the response was lost
        else:
            found = await self._objects.reading.stat(upload.path)
        _require_size(found, size)
        return UploadedObject(found, self._is_proved(found, joined_etag({n: part.md5 for n, part in parts.items()})))

    async def complete_in_place(
        self, upload: Upload, parts: Mapping[int, SentPart], size: int, sha256: str, *, must_be_new: bool
    ) -> Stat:
        """Join verified parts at their final path, where an older object may be. Raises Exists with `must_be_new`."""
        path, before = upload.path, None
        if must_be_new:
            await self._objects.must_be_absent(path)
        else:
            before = await self._objects.find(path)
        expected = joined_etag({number: part.md5 for number, part in parts.items()})
        try:
            await self._join_all(upload, parts, size, must_be_new=must_be_new)
        except Precondition:
            await self._objects.must_be_absent(path)
            raise
        except (TransientError, NoSuchUpload) as error:
            found = await self._find_joined(path, size, before, expected, sha256)
            if found is None and isinstance(error, NoSuchUpload):
                raise StartAgain(str(error)) from error
            if found is None:
                raise error from None
            return found  # it was joined; only the response was lost
        try:
            found = await self._objects.reading.stat(path)
            _require_size(found, size)
            if not self._is_proved(found, expected):
                await self._objects.read_back(path, size, sha256)
                self._traits.has_own_joined_etags = True
        except Damaged:  # a server that joins wrongly, although it did not when it was tried
            self._traits.joins_in_place = False
            await self._objects.remove(path)
            raise
        return found

    async def _find_joined(self, path: str, size: int, before: Stat | None, etag: str, sha256: str) -> Stat | None:
        """Return the object that an upload was joined to, or None if it was not joined."""
        found = await self._objects.find(path)
        if found is None or found.size != size:
            return None
        if before is not None and (found.version, found.modified) == (before.version, before.modified):
            return None
        if not is_same(found.version, etag):
            try:
                await self._objects.read_back(path, size, sha256)
            except Damaged:
                return None
        return found

    async def _join_all(
        self, upload: Upload, parts: Mapping[int, SentPart], size: int, *, must_be_new: bool = False
    ) -> None:
        """Join the parts. Raises StartAgain if they are too small for the server."""
        is_conditional = must_be_new and self._traits.joins_conditionally and self._traits.creates_conditionally
        etags = {number: part.etag for number, part in parts.items()}
        try:
            await self.join(upload, etags, {"If-None-Match": "*"} if is_conditional else NONE)
        except PartTooSmall as error:
            step = size if len(parts) == 1 else -(-size // len(parts))
            self._traits.learn_least_part(step, error.least)
            raise StartAgain(str(error)) from error
        except Unimplemented:
            if not is_conditional:
                raise
            self._traits.joins_conditionally = False
            await self._join_all(upload, parts, size)

    def _is_proved(self, found: Stat, expected: str) -> bool:
        if is_same(found.version, expected) or self._traits.has_own_joined_etags:
            return True
        return md5_in(bare(found.version).partition("-")[0]) is None

    async def join(self, upload: Upload, etags: Mapping[int, str], headers: Mapping[str, str] = NONE) -> None:
        """Request that the server joins the parts."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etags[number])}&quot;</ETag></Part>"
            for number in sorted(etags)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        key = self._objects.key(upload.path)
        await self._bucket.read("POST", key, upload.path, query={"uploadId": upload.id}, headers=headers, body=body)

    async def abort(self, upload: Upload) -> None:
        """Abort an upload; one that has ended is no error."""
        try:
            key = self._objects.key(upload.path)
            await self._bucket.read("DELETE", key, upload.path, query={"uploadId": upload.id})
        except NoSuchUpload:
            return

    async def tidy(self, upload: Upload) -> None:
        """Abort an upload that is no longer needed, as `Objects.tidy`."""
        try:
            await self.abort(upload)
        except (Denied, Unsupported) as error:
            self._traits.may_not_delete(str(error))

    async def drop(self, upload: Upload) -> None:
        """Abort a failed upload if the server permits; a sweep aborts the others."""
        with suppress(SyncdError, TimeoutError):
            async with asyncio.timeout(ABORTING):
                await self.abort(upload)

    async def parts(self, upload: Upload) -> dict[int, UploadedPart]:
        """Return the parts that have arrived, by number. Raises NoSuchUpload."""
        found: dict[int, UploadedPart] = {}
        query = {"uploadId": upload.id, "max-parts": "1000"}
        key = self._objects.key(upload.path)
        while True:
            _, document = await self._bucket.read("GET", key, upload.path, query=query, limit=MAX_PARTS_PAGE)
            top, parts = elements(document, "Part", upload.path)
            for part in parts:
                at = instant(part["LastModified"].strip()) if "LastModified" in part else 0.0
                found[int(part["PartNumber"])] = UploadedPart(int(part["Size"]), bare(part["ETag"]), at)
            marker = top.get("NextPartNumberMarker", "")
            if is_last_page(top) or not marker or marker == query.get("part-number-marker"):
                return found
            query["part-number-marker"] = marker


def _require_size(found: Stat, size: int) -> None:
    if found.size != size:
        raise Damaged(
            message(
                "{to}: joined as {size} bytes {version}, not {wanted} bytes",
                to=found.path,
                size=found.size,
                version=found.version,
                wanted=size,
            )
        )


def is_last_page(top: Mapping[str, str]) -> bool:
    """Return True if a list ends with this page: whatever `IsTruncated` says but false, in any spelling, goes on."""
    return top.get("IsTruncated", "").strip().lower() in {"", "false"}


def elements(document: bytes, name: str, path: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the texts of the top element's children, and those of the children of each `name` among them."""
    with refused_xml(message("{path}: a response that", path=path)):
        root = xml_tree(document, MAX_PARTS_PAGE)
    return root.texts(), [part.texts() for part in root.all(name)]
