"""Copies from another bucket of the same server: the bytes were read and hashed here, and are not sent back.

Rule 1: a copy is pinned to the ETag of the bytes that were hashed. A server that ignores the pin, or refuses to let the
store's credentials read the source, is found out before the first copy, by asking for a version that does not exist.
Rule 2: copies above `copy_limit` go by parts, each of them pinned.
Rule 3: a copy with another size, another sha256 in its metadata or another MD5 than its source is removed.
"""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Changed, Damaged, Denied, NotFound, Sink, TooLarge, TransientError, Unsupported
from syncd.stores.s3.copies import Copies
from syncd.stores.s3.etags import is_same, md5_in
from syncd.stores.s3.objects import Objects, sha256_headers
from syncd.stores.s3.staged import UPLOADS
from syncd.stores.s3.uploads import SentPart, Upload, Uploads
from transports.s3 import Precondition

COPY = "copy:"  # begins the `resume` of a copy
PINS = ("x-amz-copy-source-if-match", "x-amz-copy-if-match")  # of S3, and of Ceph RGW, which ignores that of S3
NO_VERSION = '"00000000000000000000000000000000"'  # an ETag that no object has


@dataclass(frozen=True, slots=True)
class SourceObject:
    """An object of another bucket, in one version."""

    url: str
    bucket: str
    key: str
    version: str

    def headers(self, pin: str) -> dict[str, str]:
        """Return the headers that name it; `pin` is the one for the version."""
        return {"x-amz-copy-source": quote(f"/{self.bucket}/{self.key}", safe="/-_.~"), pin: self.version}


class SourceCopies:
    """Copies objects of other buckets into the store."""

    def __init__(self, objects: Objects, uploads: Uploads, copies: Copies, *, copy_limit: int) -> None:
        self._objects = objects
        self._uploads = uploads
        self._copies = copies
        self._bucket = objects.bucket
        self._limit = copy_limit
        self._pins: dict[str, str] = {}  # the header that a place keeps

    async def find(self, url: str, version: str) -> SourceObject | None:
        """Return the object at a url, None if it is at another server."""
        found = await self._bucket.object_at(url)
        return None if found is None else SourceObject(url, *found, version)

    async def is_possible(self, url: str, size: int) -> bool:
        """Return True if the server knows and keeps the pin, and the store's credentials may read the source."""
        source = await self.find(url, NO_VERSION)
        if source is None or not self._objects.traits.copies:
            return False
        for pin in PINS:
            try:
                await self._copy_no_version(source.headers(pin), size)
            except Precondition:
                self._pins[self.place(source, size)] = pin
                return True
            except (Denied, NotFound, Unsupported, TooLarge):
                return False
        return False

    def place(self, source: SourceObject, size: int) -> str:
        """Return a name for the objects that are copied in the same way."""
        return f"{source.bucket} by parts" if size > self._limit else source.bucket

    async def _copy_no_version(self, headers: dict[str, str], size: int) -> None:
        """Ask for a copy that a server must refuse; remove what it makes if it does not."""
        path = UPLOADS + secrets.token_hex(16)
        if size > self._limit:
            upload = await self._uploads.begin(path)
            try:
                await self._copies.copy_parts(upload, 1, headers)
            finally:
                await self._uploads.drop(upload)
        else:
            await self._bucket.read("PUT", self._objects.key(path), path, headers={**headers, **_REPLACED})
            await self._objects.tidy(path)

    async def copy(self, source: SourceObject, to: str, *, size: int, sha256: str, new: bool) -> Stat:
        """Copy the bytes that were hashed. Raises Changed, Exists for `new`, Damaged, Denied, Unsupported."""
        if new:
            await self._objects.must_be_absent(to)
        pinned = source.headers(self._pins[self.place(source, size)])
        try:
            if size > self._limit:
                found = await self._by_parts(source, pinned, to, size, sha256)
            else:
                found = await self._at_once(source, pinned, to, size, sha256)
        except (Precondition, NotFound) as error:
            raise Changed(
                message("{to}: {url} changed before it was copied inside the server", to=to, url=source.url)
            ) from error
        there, named = await self._objects.describe(to)
        if there.size != size or named not in ("", sha256):
            await self._objects.remove(to)
            raise Damaged(
                message(
                    "{to}: copied from {path} as {size} bytes {version}, not {wanted} {etag!r}",
                    to=to, path=source.url, size=there.size, version=there.version, wanted=size, etag=source.version,
                )
            )  # fmt: skip
        if md5_in(source.version) and md5_in(there.version) and not is_same(there.version, source.version):
            try:  # one of them is no MD5: the bytes decide
                await self._objects.read_back(to, size, sha256)
            except Damaged:
                await self._objects.remove(to)
                raise
        return found

    async def _at_once(self, source: SourceObject, pinned: dict[str, str], to: str, size: int, sha256: str) -> Stat:
        headers = {**pinned, **_REPLACED, **sha256_headers(sha256)}
        try:
            await self._bucket.read("PUT", self._objects.key(to), to, headers=headers)
        except TransientError:
            found = await self._objects.find_sent(to, size, source.version, sha256)
            if found is None:
                raise
            return found  # the copy is there; only the response was lost
        return Stat(to, size)

    async def _by_parts(self, source: SourceObject, pinned: dict[str, str], to: str, size: int, sha256: str) -> Stat:
        before = await self._objects.find(to)
        headers = sha256_headers(sha256)
        upload: Upload = await self._uploads.begin(to, headers)
        is_joined = False
        try:
            etags = await self._copies.copy_parts(upload, size, pinned)
            parts = {number: SentPart(etag, md5_in(etag)) for number, etag in etags.items()}
            described = Stat(source.url, size, None, source.version)
            found = await self._copies.finish(upload, parts, described, headers, before)
            is_joined = True
            return found
        finally:
            if not is_joined:
                await self._uploads.drop(upload)


_REPLACED = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}
"""Neither the metadata nor the tags of the source come along; its tags need a right of their own."""


class CopiedObject:
    """A file whose bytes stay in the server; satisfies `syncd.core.ports.Staged`. It cannot be resumed."""

    token = ""
    present_ranges: tuple[tuple[int, int], ...] = ()

    def __init__(self, copies: SourceCopies, source: SourceObject, path: str) -> None:
        self._copies = copies
        self._source = source
        self._path = path

    async def write(self, offset: int, chunk: bytes) -> None:
        """Drop the bytes: they were hashed."""

    def sink(self, offset: int) -> Sink | None:  # noqa: ARG002  the port names it
        """Return None: bytes ahead of the hash must wait in memory."""
        return None

    def read_back(self, start: int, stop: int, update: Sink) -> None:  # noqa: ARG002  the port names them
        """Raise: nothing was written through a sink."""
        raise AssertionError("a copy has no sinks")

    def read(self) -> AsyncIterator[bytes]:
        """Raise: nothing is resumed."""
        raise AssertionError("a copy is not read back")

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Copy the object that was hashed to its path."""
        path = self._path if to is None else to
        return await self._copies.copy(self._source, path, size=size, sha256=sha256, new=if_absent)

    async def discard(self) -> None:
        """Do nothing: there is nothing to delete."""


def written_token(url: str, version: str) -> str:
    """Return the token of a copy."""
    return COPY + json.dumps([url, version])


def read_token(token: str) -> tuple[str, str]:
    """Return url and version of the token of a copy."""
    url, version = json.loads(token.removeprefix(COPY))
    return str(url), str(version)
