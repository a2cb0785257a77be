"""One file that is being written into a bucket: a small one in one request, a large one in parts.

A file that may be resumed is joined under `.syncd/uploads/<name>`, so that it can be read back and verified before it
is copied, on the server, to its path. `token` is that name, the size of a part and the upload's id; the server lists
the parts. A file that is staged in place is uploaded to its path: the upload is completed there, and only there, by
`commit`. Nothing of it is visible before, and it cannot be resumed or read back.
A file that fits into memory (`in_memory` bytes) is gathered there until it is committed, by threads that read sockets
or by `write`; of a larger one, only the parts that are under way.
Rule 1: parts are sent in the background, at most `IN_FLIGHT` at once. The next write raises the error of a failed
part, and the write after that sends it again, so that the caller's retry has its pause.
Rule 2: the parts are joined after every byte was written, and the file is at its path only after its verification.
"""

import asyncio
import math
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged, NotFound, Sink, SyncdError, TooLarge
from syncd.stores import ranges
from syncd.stores.s3.abilities import S3Capabilities
from syncd.stores.s3.copies import Copies
from syncd.stores.s3.etags import md5_in
from syncd.stores.s3.mapped_memory import MappedMemory
from syncd.stores.s3.objects import Objects, sha256_headers
from syncd.stores.s3.part_buffers import BufferSink, PartBuffers
from syncd.stores.s3.uploads import IN_FLIGHT, SentPart, Upload, UploadedObject, Uploads
from transports.http import RequestBody, pieces_of
from transports.s3 import NoSuchUpload, Unimplemented

UPLOADS = ".syncd/uploads/"

_TOKEN = re.compile(r"([0-9a-f]{32})\.(\d{1,12})\.(.{1,1024})")


@dataclass(slots=True)
class PendingPart:
    """The bytes of a part that is not sent yet."""

    chunks: dict[int, bytes | memoryview] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, offset: int, chunk: bytes | memoryview) -> None:
        """Add bytes at an offset within the part."""
        self.chunks[offset] = chunk if len(chunk) >= len(self.chunks.get(offset, b"")) else self.chunks[offset]
        ranges.add(self.ranges, offset, offset + len(chunk))

    def body(self, size: int) -> RequestBody:
        """Return the buffers of a complete part; they are not copied."""
        offsets = sorted(self.chunks)
        if sum(len(self.chunks[offset]) for offset in offsets) == size:
            return [self.chunks[offset] for offset in offsets]
        whole = bytearray(size)  # some were written twice
        for offset in offsets:
            whole[offset : offset + len(self.chunks[offset])] = self.chunks[offset]
        return bytes(whole)


@dataclass(frozen=True, slots=True)
class StagingTools:
    """What a staged file works with."""

    objects: Objects
    uploads: Uploads
    copies: Copies
    abilities: S3Capabilities
    memory: MappedMemory


class StagedObject:
    """A staged file of `S3Store`; satisfies `syncd.core.ports.Staged`."""

    def __init__(
        self, tools: StagingTools, path: str, piece: int, *, in_memory: int = 0, in_place: bool = False
    ) -> None:
        """With `in_place`, a large file is uploaded to its path, if the server joins parts as it should."""
        self.token = ""
        self._in_memory = in_memory
        self._buffers: PartBuffers | None = None
        self._loop = asyncio.get_running_loop()
        self._is_stopped = False
        self._in_place = in_place
        self.present_ranges: tuple[tuple[int, int], ...] = ()
        self._objects = tools.objects
        self._uploads = tools.uploads
        self._copies = tools.copies
        self._abilities = tools.abilities
        self._memory = tools.memory
        self._path = path
        self._piece = piece  # the most bytes of a small file
        self._step = self._objects.traits.part_size(None, piece)  # the bytes of a part
        self._ranges: list[tuple[int, int]] = []
        self._parts: dict[int, PendingPart] = {}
        self._sent: dict[int, SentPart] = {}
        self._upload: Upload | None = None
        self._joined: UploadedObject | None = None
        self._placed: Stat | None = None
        self._flying: dict[int, asyncio.Task[None]] = {}
        self._ready: dict[int, RequestBody] = {}  # bodies being sent, or waiting for another attempt
        self._failed: dict[int, SyncdError] = {}
        self._lock = asyncio.Lock()

    @property
    def upload_path(self) -> str:
        """The path of the upload; "" if there is none."""
        return self._upload.path if self._upload is not None else ""

    async def begin(self, size: int | None) -> None:
        """Begin a file; one known to be large gets its upload and token at once."""
        if size is not None and size > self._piece:
            await self._abilities.known()  # before the first part: how it is sent depends on it
            traits = self._objects.traits
            self._step = traits.part_size(size, self._piece)
            await self._uploads.prove_parts(math.ceil(size / self._step))
            self._step = traits.part_size(size, self._piece)
            await self._begin_upload(is_named=True)
        if size is not None and size <= self._in_memory:
            self._buffers = PartBuffers(self._path, size, self._step, self._memory)
            self._ranges = self._buffers.ranges

    async def resume(self, token: str) -> bool:
        """Continue an upload. Return False if it has ended and left nothing."""
        known = _TOKEN.fullmatch(token)
        if known is None:
            return False
        await self._abilities.known()
        path, self._step = UPLOADS + known[1], int(known[2])
        self._upload = Upload(path, known[3])
        self.token = token
        try:
            found = await self._uploads.parts(self._upload)
        except NoSuchUpload:
            return await self._resume_joined(path)
        except Unimplemented:  # a server that does not list parts
            self._upload, self.token = None, ""
            return False
        for number, part in sorted(found.items()):
            if 0 < part.size <= self._step and part.etag:
                start = (number - 1) * self._step
                ranges.add(self._ranges, start, start + part.size)
                self._sent[number] = SentPart(part.etag, md5_in(part.etag))
        self.present_ranges = tuple(self._ranges)
        return True

    def sink(self, offset: int) -> Sink | None:
        """Return a sink into memory; None for a file that does not fit."""
        if self._buffers is None:
            return None
        return BufferSink(self._buffers, offset, self._note_complete)

    def read_back(self, start: int, stop: int, update: Sink) -> None:
        """Pass the bytes `[start, stop)`, which sinks have written, to `update`."""
        assert self._buffers is not None, "a file that does not fit into memory has no sinks"
        self._buffers.read(start, stop, update)

    async def write(self, offset: int, chunk: bytes) -> None:
        """Add bytes; wait while enough parts are being sent."""
        await self._raise_failed()
        if self._joined is not None:
            raise Damaged(message("{path}: was read back already; nothing may be written to it", path=self._path))
        if self._buffers is not None:
            for number in self._buffers.fill(offset, chunk):
                self._part_is_complete(number)
            return
        view = memoryview(chunk)
        at = offset
        while view:
            number, within = at // self._step + 1, at % self._step
            if number > self._objects.traits.most_parts:
                raise TooLarge(
                    message(
                        "{path}: more than {max_parts} bytes, and its size was not known: set `parts.least`",
                        path=self._path,
                        max_parts=self._objects.traits.most_parts * self._step,
                    )
                )
            taken = view[: self._step - within]
            part = self._parts.setdefault(number, PendingPart())
            part.add(within, chunk if len(taken) == len(chunk) else taken)
            ranges.add(self._ranges, at, at + len(taken))
            if part.ranges == [(0, self._step)] and (self._upload is not None or self._is_large()):
                await self._fly(number, self._step)
            at += len(taken)
            view = view[len(taken) :]

    async def read(self) -> AsyncIterator[bytes]:
        """Read the file back; a large one is joined first, under its staging key."""
        size = self._ranges[-1][1] if self._ranges else 0
        self._require_complete(size)
        if self._upload is None:
            for piece in pieces_of(self._small(size)):
                yield bytes(piece)
            return
        if self._in_place:
            raise AssertionError("a file that is staged in place is not read back: that would make it visible")
        joined = (await self._join(size)).stat
        async with self._objects.reading.open(joined.path, version=joined.version) as body:
            async for chunk in body:
                yield chunk

    async def commit(self, *, size: int, sha256: str, if_absent: bool = False, to: str | None = None) -> Stat:
        """Verify the bytes and make them visible at their path."""
        path = self._path if to is None else to
        self._require_complete(size)
        if self._upload is None:
            stored = await self._abilities.put(path, self._small(size), sha256, if_absent=if_absent)
            self._give_back()
            return stored
        if self._in_place:
            return await self._complete_in_place(path, size, sha256, if_absent=if_absent)
        if self._placed is None:
            joined = await self._join(size)
            if not joined.is_proved or not (await self._abilities.known()).verifies_parts:
                await self._objects.read_back(joined.stat.path, size, sha256)
                self._objects.traits.has_own_joined_etags |= not joined.is_proved
            headers = sha256_headers(sha256)
            self._placed = await self._copies.copy(joined.stat.path, path, headers=headers, new=if_absent)
        await self._objects.tidy(self._upload.path)
        self._upload = self._joined = None
        self.token = ""
        return self._placed

    async def discard(self) -> None:
        """Delete the parts, or the object joined of them."""
        await self.stop()
        upload, self._upload, self.token = self._upload, None, ""
        if upload is not None:
            await self._uploads.tidy(upload)
            if not self._in_place:
                await self._objects.tidy(upload.path)

    async def stop(self) -> None:
        """Stop the uploads of parts; those that have arrived stay for a resume."""
        self._is_stopped = True
        flying = list(self._flying.values())
        for task in flying:
            task.cancel()
        if flying:
            await asyncio.wait(flying)
        self._flying.clear()
        self._parts.clear()
        self._ready.clear()

    async def drop_unnamed(self) -> None:
        """Abort an upload that has no token: it cannot be resumed."""
        if not self.token and self._upload is not None:
            await self.discard()

    def _is_large(self) -> bool:
        return self._ranges[-1][1] > self._piece

    async def _begin_upload(self, *, is_named: bool) -> None:
        self._in_place = self._in_place and await self._abilities.joins_in_place()
        name = secrets.token_hex(16)
        self._upload = await self._uploads.begin(self._path if self._in_place else UPLOADS + name)
        if is_named and not self._in_place:
            self.token = f"{name}.{self._step}.{self._upload.id}"

    async def _complete_in_place(self, path: str, size: int, sha256: str, *, if_absent: bool) -> Stat:
        """Make a verified file visible where it was uploaded to."""
        if self._placed is None:
            if path != self._path:
                raise AssertionError("a file that is staged in place is committed there, or discarded")
            parts = await self._send_all(size)
            assert self._upload is not None
            self._placed = await self._uploads.complete_in_place(
                self._upload, parts, size, sha256, must_be_new=if_absent
            )
        self._upload = None
        self._give_back()
        return self._placed

    def _give_back(self) -> None:
        """Give the memory of a stored file to the next one."""
        self._ready.clear()
        buffers, self._buffers = self._buffers, None
        if buffers is not None:
            buffers.give_back()

    async def _fly(self, number: int, size: int) -> None:
        """Send a complete part as soon as fewer than IN_FLIGHT are being sent."""
        async with self._lock:
            if self._upload is None:
                await self._abilities.known()
                await self._begin_upload(is_named=False)
                for waiting, part in list(self._parts.items()):
                    if waiting != number and part.ranges == [(0, self._step)]:
                        self._ready[waiting] = self._parts.pop(waiting).body(self._step)
        part_body = self._parts.pop(number, None)
        if part_body is not None:
            self._ready[number] = part_body.body(size)
        for waiting in [waiting for waiting in self._ready if waiting not in self._flying]:
            while not self._may_fly():
                await asyncio.wait(self._flying.values(), return_when=asyncio.FIRST_COMPLETED)
            if waiting in self._ready and waiting not in self._flying and waiting not in self._failed:
                self._flying[waiting] = asyncio.create_task(self._send(waiting))  # owned by the block: stop() ends it

    async def _send(self, number: int) -> None:
        assert self._upload is not None
        try:
            self._sent[number] = await self._uploads.put_part(self._upload, number, self._ready[number])
            del self._ready[number]
        except SyncdError as error:
            self._failed[number] = error
        finally:
            self._flying.pop(number, None)
            if self._buffers is not None:
                self._send_waiting()

    def _note_complete(self, number: int) -> None:
        """Have a part sent that a thread has completed."""
        self._loop.call_soon_threadsafe(self._part_is_complete, number)

    def _part_is_complete(self, number: int) -> None:
        """Send a part that is complete in memory; a small file is sent by its commit."""
        if self._upload is not None and self._buffers is not None:
            self._ready[number] = [self._buffers.part(number)]
            self._send_waiting()

    def _send_waiting(self) -> None:
        """Send parts from memory as long as fewer than IN_FLIGHT are being sent; none after a failure."""
        for number in [number for number in self._ready if number not in self._flying]:
            if self._is_stopped or self._failed or not self._may_fly():
                return
            self._flying[number] = asyncio.create_task(self._send(number))  # owned by the block: stop() ends it

    def _may_fly(self) -> bool:
        return len(self._flying) < max(1, IN_FLIGHT * self._piece // self._step)

    async def _raise_failed(self) -> None:
        """Raise the error of a part, once; the next call sends the part again."""
        if self._failed:
            error = self._failed[min(self._failed)]
            self._failed.clear()
            raise error
        if self._ready.keys() - self._flying.keys():
            await self._fly(0, 0)

    async def _join(self, size: int) -> UploadedObject:
        """Send every part and join them under the staging key."""
        if self._joined is None:
            parts = await self._send_all(size)
            assert self._upload is not None
            self._joined = await self._uploads.complete(self._upload, parts, size)
            self._parts.clear()
        return self._joined

    async def _send_all(self, size: int) -> dict[int, SentPart]:
        """Send every part, and return them by number."""
        await self._raise_failed()
        last = math.ceil(size / self._step)
        for number in range(1, last + 1):
            length = min(self._step, size - (number - 1) * self._step)
            part = self._parts.get(number)
            if part is not None and part.ranges == [(0, length)]:
                await self._fly(number, length)
        while self._flying:
            await asyncio.wait(self._flying.values())
        await self._raise_failed()
        if self._failed or self._ready:
            return await self._send_all(size)
        missing = [number for number in range(1, last + 1) if number not in self._sent]
        if missing or self._upload is None:
            raise Damaged(message("{path}: parts {missing} never arrived", path=self._path, missing=missing[:5]))
        return {number: self._sent[number] for number in range(1, last + 1)}

    async def _resume_joined(self, path: str) -> bool:
        """Continue with an object that was joined before the interruption."""
        try:
            joined = await self._objects.reading.stat(path)
        except NotFound:
            self._upload, self.token = None, ""
            return False
        self._joined = UploadedObject(joined, is_proved=True)  # its bytes are read back, as those of all resumed files
        size = joined.size or 0
        ranges.add(self._ranges, 0, size)
        self.present_ranges = tuple(self._ranges)
        return True

    def _small(self, size: int) -> RequestBody:
        """Return the bytes of a file without an upload: its buffers, unless some were written twice."""
        if self._buffers is not None:
            return self._buffers.complete(size)
        found: list[bytes | memoryview] = []
        for number in sorted(self._parts):
            part = self._parts[number]
            found += [part.chunks[offset] for offset in sorted(part.chunks)]
        if sum(map(len, found)) == size:
            return found
        whole = bytearray(size)
        for number, part in self._parts.items():
            start = (number - 1) * self._step
            for offset in sorted(part.chunks):
                chunk = part.chunks[offset]
                whole[start + offset : start + offset + len(chunk)] = chunk
        return bytes(whole)

    def _require_complete(self, size: int) -> None:
        if not ranges.are_complete(self._ranges, size):
            start, stop = ranges.first_gap(self._ranges, size)
            raise Damaged(
                message(
                    "{path}: {size} bytes were announced, those of [{start}, {stop}) were not written",
                    path=self._path,
                    size=size,
                    start=start,
                    stop=stop,
                )
            )
