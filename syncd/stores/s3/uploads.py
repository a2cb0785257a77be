"""Multipart uploads: begin, put a part, list the parts, join them, abort; each can be repeated.

Rule 1: an object is joined of the parts that the server named, by the ETags that it gave them.
Rule 2: the ETag of the joined object is compared where it is made of MD5s. If it says nothing (`UploadedObject`), the
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
from syncd.stores.s3.objects import Objects, digest
from transports.s3 import NONE, BadArgument, NoSuchUpload, PartTooSmall, instant, read_texts, refused_xml

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

    async def put_part(self, upload: Upload, number: int, body: bytes) -> SentPart:
        """Put one part. An ETag that is not its MD5 is the server's own; the joined object will be proved."""
        md5 = await digest(body)
        query = {"partNumber": str(number), "uploadId": upload.id}
        key = self._objects.key(upload.path)
        try:
            answer, _ = await self._bucket.read("PUT", key, upload.path, query=query, body=body, md5=md5)
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
        etag = bare(answer.get("etag")) or md5.hex()
        if is_encrypted(answer):
            self._traits.has_own_etags = self._traits.has_own_joined_etags = True
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
            await self.join(upload, {number: part.etag for number, part in parts.items()})
        except PartTooSmall as error:
            step = size if len(parts) == 1 else -(-size // len(parts))
            self._traits.learn_least_part(step, error.least)
            raise StartAgain(str(error)) from error
        except (TransientError, NoSuchUpload) as error:
            found = await self._objects.find(upload.path)
            if found is None or found.size != size:
                raise error from None  # else it was joined; only the response was lost
        else:
            found = await self._objects.reading.stat(upload.path)
        if found.size != size:
            raise Damaged(
                message(
                    "{to}: joined as {size} bytes {version}, not {wanted} bytes",
                    to=upload.path,
                    size=found.size,
                    version=found.version,
                    wanted=size,
                )
            )
        return UploadedObject(found, self._is_proved(found, joined_etag({n: part.md5 for n, part in parts.items()})))

    def _is_proved(self, found: Stat, expected: str) -> bool:
        if is_same(found.version, expected) or self._traits.has_own_joined_etags:
            return True
        return md5_in(bare(found.version).partition("-")[0]) is None

    async def join(self, upload: Upload, etags: Mapping[int, str]) -> None:
        """Request that the server joins the parts."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etags[number])}&quot;</ETag></Part>"
            for number in sorted(etags)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        key = self._objects.key(upload.path)
        await self._bucket.read("POST", key, upload.path, query={"uploadId": upload.id}, body=body)

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


def is_last_page(top: Mapping[str, str]) -> bool:
    """Return True if a list ends with this page: whatever `IsTruncated` says but false, in any spelling, goes on."""
    return top.get("IsTruncated", "").strip().lower() in {"", "false"}


def elements(document: bytes, name: str, path: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the texts of the top element's children, and those of the children of each `name` among them."""
    with refused_xml(message("{path}: a response that", path=path)):
        root = xml_tree(document, MAX_PARTS_PAGE)
    return root.texts(), [part.texts() for part in root.all(name)]
