"""Moves small files: each is read whole into memory, verified, and put at once."""

import asyncio
from dataclasses import dataclass

from manifests.digest import digests_of
from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Exists, Mismatch, PermanentError, Step, TransferAdvanced, Transport
from syncd.engine.copied_files import LEAST, ServerCopy
from syncd.engine.destination import Destination
from syncd.engine.received_file import is_own_version, raise_if_changed, received_file, served_url
from syncd.engine.stored_digests import INLINE
from syncd.engine.verdict import hash_algorithms
from syncd.engine.verified_file import VerifiedFile

SMALL = 4 << 20  # bytes up to which a file is held in memory; also the first range of one whose size is unknown


@dataclass(frozen=True, slots=True)
class SmallFiles:
    """The small files of one pass."""

    to: Destination

    async def gather(self, stat: Stat, body: Body, size: int) -> bytes | None:
        """Return the whole body of `size` bytes; stop at the first chunk beyond them. Raises Mismatch.

        None: a body without a length has more bytes than the listing said, and more than a small file may have.
        """
        chunks: list[bytes] = []
        count = 0
        async for chunk in body:
            chunks.append(chunk)
            count += len(chunk)
            if count > size:
                if is_own_version(stat, body):
                    if count > SMALL:
                        return None
                    continue
                raise Mismatch(message("{path}: {size} bytes promised, more arrived", path=stat.path, size=size))
        self.to.listener(TransferAdvanced(self.to.place.mirror, stat.path, count))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def store(
        self, step: Step, stat: Stat, source: Transport, target: str, body: Body, content: bytes, *, last: bool
    ) -> VerifiedFile:
        """Verify and store the whole `content` of a file. Raises Mismatch, Changed, Quarantined."""
        names = hash_algorithms(stat.digests, body.stat.digests, path=stat.path)
        if len(content) <= INLINE:
            digests = digests_of(content, names)
        else:
            digests = await asyncio.get_running_loop().run_in_executor(self.to.hashing, digests_of, content, names)
        is_own = len(content) != stat.size and is_own_version(stat, body)
        url = served_url(source, target)
        received = received_file(
            stat, body.stat, len(content), digests, content[:1024], body.headers, url, is_own=is_own
        )
        try:
            proved = self.to.verifier.verify(step, stat, received)
        except Mismatch as error:
            raise_if_changed(stat, body.stat, error)
            if last:
                if (refused := await self.to.quarantine.refused(error, len(content))) is not None:
                    raise refused from error
                await self.to.store.put(self.to.place.quarantine(step.path), content)
                raise await self.to.quarantined(step.path, error, digests, body) from error
            raise
        if len(content) >= LEAST and (copy := await self.to.copied.copy_of(source, body, len(content))) is not None:
            await self._copy(copy, proved)
            return proved
        sha256 = proved.entry.sha256
        if proved.replaces:
            await self.to.store.put(proved.place, content, sha256=sha256)
            return proved
        try:
            await self.to.store.put(proved.place, content, if_absent=True, sha256=sha256)
        except Exists:
            if not await self.to.leftovers.clear_path(proved.entry):
                await self.to.store.put(proved.place, content, sha256=sha256)
        return proved

    async def _copy(self, copy: ServerCopy, proved: VerifiedFile) -> None:
        """Copy the verified bytes inside the server. Raises Changed if it does not."""
        async with self.to.store.stage(proved.place, size=proved.entry.size, resume=copy.resume) as file:
            try:
                await self.to.commit(file, proved)
            except PermanentError as error:
                raise self.to.copied.failure(copy, proved.entry.path, error) from error
        self.to.copied.worked(copy)
