"""Moves small files: each is read whole into memory, verified, and put at once."""

import asyncio
from dataclasses import dataclass

from manifests.digest import digests_of
from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Exists, Mismatch, Step, TransferAdvanced
from syncd.engine.destination import Destination
from syncd.engine.received_file import is_own_version, raise_if_changed, received_file
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
        self, step: Step, stat: Stat, target: str, body: Body, content: bytes, *, last: bool
    ) -> VerifiedFile:
        """Verify and store the whole `content` of a file. Raises Mismatch, Changed, Quarantined."""
        names = hash_algorithms(stat.digests, body.stat.digests, path=stat.path)
        if len(content) <= INLINE:
            digests = digests_of(content, names)
        else:
            digests = await asyncio.get_running_loop().run_in_executor(self.to.hashing, digests_of, content, names)
        is_own = len(content) != stat.size and is_own_version(stat, body)
        received = received_file(
            stat, body.stat, len(content), digests, content[:1024], body.headers, target, is_own=is_own
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
