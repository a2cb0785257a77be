"""A store in a bucket, or in a prefix of one: the same layout as in a folder, on AWS S3, Ceph, Swift and others.

Rule 1: an object is complete or absent. A large one is joined under `.syncd/uploads/`, verified, then copied; or it is
uploaded to its path, and joined there once its bytes were verified (`in_place`).
Rule 2: the server verifies every body by its sha256 or its MD5; an upload that it does not verify is read back.
Rule 3: conditional writes are advice: some servers ignore them, or let two writers win.
Rule 4: listings leave out `.syncd/uploads/`.
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import (
    Body,
    ConfigError,
    Credential,
    Denied,
    Guard,
    NetworkPlan,
    NotFound,
    Page,
    Staged,
    Unsafe,
    Unsupported,
)
from syncd.stores.filesystem.dirfd_cache import check_safe
from syncd.stores.identity import SENTINEL, identify
from syncd.stores.s3.abilities import S3Capabilities
from syncd.stores.s3.byte_room import ByteRoom
from syncd.stores.s3.copies import COPY_LIMIT, COPY_PART, Copies
from syncd.stores.s3.mapped_memory import MappedMemory
from syncd.stores.s3.objects import Objects
from syncd.stores.s3.source_copies import COPY, CopiedObject, SourceCopies, read_token, written_token
from syncd.stores.s3.staged import UPLOADS, StagedObject, StagingTools
from syncd.stores.s3.staged_copy import StagedCopy
from syncd.stores.s3.traits import MOST_PARTS, S3Traits, ServerChecks
from syncd.stores.s3.uploads import IN_FLIGHT, Upload, Uploads, elements, is_last_page
from transports.s3 import (
    HEADER_TIMEOUT,
    Account,
    Addressing,
    Bucket,
    NoSuchBucket,
    NoSuchUpload,
    S3Transport,
    Unimplemented,
    instant,
    sha256_of,
    split_url,
)

PIECE = 16 << 20
WINDOW = 48 << 20  # bytes of a file that are received ahead of a missing one
ROOM = 128 << 20  # bytes of all files in memory, until the server has them
MAX_KEY = 1024  # bytes
MAX_UPLOADS_PAGE = 16 << 20  # bytes of a list of uploads

JOURNAL = ".syncd/journal/"
TIDIED = (".syncd/staged/", UPLOADS, ".syncd/tmp/")  # of syncd alone: what stays there does no harm
TIDIED_AFTER_MOVE = (*TIDIED, ".syncd/versions/", ".syncd/removed/", ".syncd/quarantine/")

UnfinishedUploads = list[tuple[Upload, float]]  # each with its start, in seconds since the epoch


class S3Store:
    """`syncd.core.ports.Store` on `s3://bucket/prefix/`; belongs to one event loop."""

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credential: Credential | None = None,
        verifies: ServerChecks | None = None,
        addressing: Addressing = "auto",
        most_parts: int = MOST_PARTS,
        least_part: int = 0,
        piece: int = PIECE,
        copy_limit: int = COPY_LIMIT,
        copy_part: int = COPY_PART,
        page: int = 1000,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str = "syncd",
        header_timeout: float = HEADER_TIMEOUT,
        clock: Callable[[], float] = time.time,
        network: NetworkPlan | None = None,
    ) -> None:
        try:
            name, root = split_url(url)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.url = f"s3://{name}/{root}"
        self.piece = piece
        self._clock = clock
        account = Account(
            endpoint=endpoint, region=region, profile=profile, credential=credential, addressing=addressing
        )
        self._bucket = Bucket(
            name,
            account,
            user_agent=user_agent,
            allow_private=None,
            ssl_context=ssl_context,
            header_timeout=header_timeout,
            network=network,
        )
        self._reading = S3Transport(self._bucket, root, page=page)
        self._objects = objects = Objects(
            self._reading, S3Traits(verifies, most_parts=most_parts, least_part=least_part)
        )
        self._uploads = uploads = Uploads(objects)
        self._copies = copies = Copies(objects, uploads, copy_limit=copy_limit, copy_part=copy_part, piece=piece)
        self._sources = SourceCopies(objects, uploads, copies, copy_limit=copy_limit)
        self._abilities = S3Capabilities(objects, uploads, copies)
        self._tools = StagingTools(objects, uploads, copies, self._abilities, MappedMemory())
        self.room = ByteRoom(ROOM)
        self.window = WINDOW
        self.most = WINDOW + IN_FLIGHT * piece
        self._alive: set[StagedObject] = set()  # of this process, and open

    @property
    def certificates(self) -> dict[str, float]:
        """Return the expiry of the certificate that each origin presented last, in seconds since the epoch."""
        return self._bucket.certificates

    def use_guard(self, guard: Guard) -> None:
        """Call `guard` before each request that changes something is sent, and before its last bytes."""
        self._bucket.guard = guard

    def held(self, size: int | None) -> int:
        """Return the bytes in memory that a file of `size` bytes takes; see `syncd.core.Buffering`."""
        return self.most if size is None else min(size, self.most)

    async def list(self, prefix: str = "") -> AsyncGenerator[Stat, None]:
        """Yield every object below `prefix`, sorted by path."""
        async with aclosing(self.list_pages(prefix)) as pages:
            async for page in pages:
                for stat in page:
                    yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncGenerator[Page, None]:
        """As `list`, in pages."""
        hides = UPLOADS.startswith(prefix)
        async with aclosing(self._reading.list_pages(prefix, after)) as pages:
            async for page in pages:
                seen = [stat for stat in page if not stat.path.startswith(UPLOADS)] if hides else page
                if seen:
                    yield seen

    async def stat(self, path: str) -> Stat:
        """Describe one object."""
        return await self._reading.stat(check_safe(path))

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`."""
        return self._reading.open(check_safe(path), start=start, stop=stop, version=version)

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one object, verified. With `if_absent`, an object of the same bytes counts as an earlier try."""
        return await self._abilities.put(self._fit(path), body, sha256 or await sha256_of(body), if_absent=if_absent)

    @asynccontextmanager
    async def stage(
        self,
        path: str,
        *,
        size: int | None,
        resume: str | None = None,
        is_record: bool = False,
        in_place: bool = False,
        of: str | None = None,
    ) -> AsyncIterator[Staged]:
        """Begin a file, or continue the one of the token `resume`; if nothing is left of it, begin with a new token.

        With `of`, nothing is stored before the commit, which copies that object on the server.
        """
        del is_record  # buckets do not report free space
        if of is not None:
            source, _ = await self._objects.describe(check_safe(of))
            yield StagedCopy(self._objects, self._copies, source, self._fit(path))
            return
        if resume is not None and resume.startswith(COPY):
            yield await self._copied(self._fit(path), *read_token(resume))
            return
        staged = StagedObject(self._tools, self._fit(path), self.piece)  # for a resume: it is not gathered in memory
        if resume is None or not await staged.resume(resume):
            staged = StagedObject(self._tools, path, self.piece, in_memory=self.most, in_place=in_place)
            await staged.begin(size)
        self._alive.add(staged)
        try:
            yield staged
        finally:
            await staged.stop()
            self._alive.discard(staged)
            if not self._alive:
                self._tools.memory.clear()
            await staged.drop_unnamed()

    async def _copied(self, path: str, url: str, version: str) -> CopiedObject:
        source = await self._sources.find(url, version)
        assert source is not None, "copyable_from has found it"
        return CopiedObject(self._sources, source, path)

    async def copyable_from(self, url: str, size: int) -> str:
        """Return a name for the bucket of a url at the same endpoint, else ""."""
        found = await self._sources.find(url, "")
        return "" if found is None else self._sources.place(found, size)

    async def may_copy(self, url: str, size: int) -> bool:
        """Return True if an object there can be copied in the version that was hashed, and no other."""
        return await self._sources.is_possible(url, size)

    def copy_token(self, url: str, version: str) -> str:
        """Return the `resume` of a file that is copied inside the server."""
        return written_token(url, version)

    async def move(self, path: str, to: str) -> None:
        """Copy, then delete. If `path` is absent and `to` exists, an earlier call has done it."""
        try:
            await self._copies.copy(check_safe(path), self._fit(to))
        except NoSuchBucket:
            raise
        except NotFound:
            await self._reading.stat(to)  # raises if there is no `to` either
            return
        if path != to:
            await self._drop(path, TIDIED_AFTER_MOVE)

    async def copy(self, path: str, to: str) -> None:
        """Copy on the server."""
        await self._copies.copy(check_safe(path), self._fit(to))

    async def delete(self, path: str) -> None:
        """Delete an object."""
        await self._drop(check_safe(path), TIDIED)

    async def _drop(self, path: str, tidied: tuple[str, ...]) -> None:
        """Delete an object. If the credentials may not, those below `tidied` stay, and a journal is emptied."""
        if path.startswith(JOURNAL):
            try:
                await self._objects.remove(path)
            except Denied as error:
                self._objects.traits.may_not_delete(str(error))
                await self.put(path, b"")  # no journal, for its readers
        elif path.startswith(tidied):
            await self._objects.tidy(path)
        else:
            await self._objects.remove(path)

    async def free(self) -> None:
        """Return None: buckets do not report free space."""
        return

    async def verifies(self) -> ServerChecks:
        """Return the checksums that the server verifies, as determined by trying."""
        return await self._abilities.known()

    async def identify(self, expected: str | None) -> str:
        """Return this store's id, given to an empty one on first use.

        Raises Offline if another was expected, or none is there; ConfigError for a prefix that holds other objects.
        """
        question = message("is it another bucket?")
        return await identify(self, self.url, expected, self._clock, absent=question, another=question)

    async def read_identity(self) -> bytes:
        """Return the content of SENTINEL. Raises NotFound."""
        try:
            async with self._reading.open(SENTINEL, stop=1 << 16) as body:
                return b"".join([chunk async for chunk in body])
        except NoSuchBucket as error:
            raise ConfigError(message("{url}: no such bucket: create it first", url=self.url)) from error

    async def foreign_path(self) -> str:
        """Return the path of an object that keeps the prefix from becoming a new store, "" if there is none."""
        async with aclosing(self.list()) as found:
            async for stat in found:
                return stat.path
        return ""

    async def sweep(self, older_than: float) -> int:
        """Delete uploads and staged objects that have not changed for `older_than` seconds; return their number."""
        swept = 0
        try:
            async with aclosing(self._sweep(self._clock() - older_than)) as found:
                async for _ in found:
                    swept += 1
        except (Denied, Unsupported) as error:
            self._objects.traits.may_not_delete(str(error))
        return swept

    async def _sweep(self, before: float) -> AsyncGenerator[str, None]:
        for upload, begun in await self._unfinished():
            if upload.path in self._in_use() or begun > before or await self._touched(upload) > before:
                continue
            await self._uploads.abort(upload)
            yield upload.path
        async with aclosing(self._reading.list(UPLOADS)) as found:
            async for stat in found:
                if stat.path not in self._in_use() and (stat.modified or 0.0) <= before:
                    await self._objects.remove(stat.path)
                    yield stat.path

    def _in_use(self) -> set[str]:
        return {staged.upload_path for staged in self._alive}

    async def signed_link(
        self, path: str, *, method: str, seconds: int, query: Mapping[str, str], endpoint: str = ""
    ) -> str:
        """Return a link by which others read one object from the bucket."""
        return await self._bucket.signed_link(method, self._objects.key(path), seconds, query, endpoint)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._bucket.aclose()

    async def _unfinished(self) -> UnfinishedUploads:
        """Return the unfinished uploads with their start: staged files, and copies by parts to any path."""
        found: UnfinishedUploads = []
        root = self._reading.root
        query = {"uploads": "", "prefix": root, "max-uploads": "1000"}
        while True:
            try:
                _, document = await self._bucket.read("GET", "", self.url, query=query, limit=MAX_UPLOADS_PAGE)
            except Unimplemented:  # a server that lists none
                return found
            top, uploads = elements(document, "Upload", self.url)
            for upload in uploads:
                key = upload.get("Key", "")
                path = key.removeprefix(root)
                is_another_stores = UPLOADS in path and not path.startswith(UPLOADS)  # that is below this one
                if key.startswith(root) and not is_another_stores:
                    begun = instant(upload["Initiated"].strip())
                    found.append((Upload(path, upload["UploadId"]), begun))
            marker = {"key-marker": top.get("NextKeyMarker", ""), "upload-id-marker": top.get("NextUploadIdMarker", "")}
            if is_last_page(top) or not marker["key-marker"] or marker.items() <= query.items():
                return found
            query |= marker

    async def _touched(self, upload: Upload) -> float:
        """Return the time of the newest part of an upload; 0 if it has none, or is over."""
        try:
            return max((part.at for part in (await self._uploads.parts(upload)).values()), default=0.0)
        except NoSuchUpload:
            return 0.0

    def _fit(self, path: str) -> str:
        """Return `path` if it is valid and, with the prefix, short enough. Raises Unsafe."""
        length = len((self._reading.root + check_safe(path)).encode())
        if length > MAX_KEY:
            raise Unsafe(
                message(
                    "{path!r}: has {length} bytes with its prefix, S3 takes {max_key}",
                    path=path[:80],
                    length=length,
                    max_key=MAX_KEY,
                )
            )
        return path
