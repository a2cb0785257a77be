"""Carries out the planned copies of held content: proved as downloads are, and given up where anything is odd.

Rules:
1. The copy's own bytes are hashed before it gets its name; upstream's size and checksums must match, all of them.
2. Ranges that are compared lie at places drawn from the pass's own number, which upstream does not know.
3. Held bytes that are gone or rotten are reported as damage, and the file is downloaded.
"""

import random
from collections.abc import AsyncIterator

import msgspec

from manifests.messages import message
from manifests.stat import Stat
from syncd.catalogue import Catalogue, DamagedFile, LocalCopy
from syncd.core import (
    LOCAL_FAILURES,
    DamageFound,
    NotFound,
    PermanentError,
    Step,
    SyncdError,
    TransientError,
    Transport,
)
from syncd.engine.stored_digests import hash_chunks, hash_stored
from syncd.engine.transfer import Transfers
from syncd.engine.verdict import ReceivedFile, hash_algorithms
from syncd.engine.verified_file import VerifiedFile

SAMPLES = 4  # ranges that are compared, one in each quarter of a file
SAMPLE = 4 << 10  # bytes of each


class LocalCopies(msgspec.Struct, frozen=True):
    """Copies held content for one pass; `transfers` verifies and stores its files."""

    transfers: Transfers
    catalogue: Catalogue

    async def copy(self, step: Step, held: LocalCopy) -> VerifiedFile | None:
        """Return the copied file, verified and durable; None if it must be downloaded.

        Raises what concerns the store as a whole, and TransientError.
        """
        stat, store = step.stat, self.transfers.store
        assert stat is not None
        if held.bytes > self.transfers.most:
            return None
        answered = await self._agreeing(stat, held) if held.sampled else Stat(step.path)
        if answered is None:
            return None
        names = hash_algorithms(stat.digests, path=step.path)
        try:
            async with store.stage(
                self.transfers.large.to.verifier.target_path(step), size=held.bytes, of=held.place
            ) as file:
                try:
                    size, digests, head = await hash_chunks(file.read(), names, self.transfers.hashing)
                    if (size, digests["sha256"]) != (held.bytes, held.sha256):
                        await file.discard()
                        await self._report_rotten(held)
                        return None
                    url = stat.urls[0] if stat.urls else stat.path
                    received = ReceivedFile(answered, size, digests, head, "", url)
                    proved = self.transfers.large.to.verifier.verify(step, stat, received)
                except PermanentError:
                    await file.discard()
                    raise
                await self.transfers.large.to.commit(file, proved)
        except LOCAL_FAILURES:
            raise
        except NotFound:
            await self._report_gone(held)
            return None
        except PermanentError:  # the download tells what is wrong
            return None
        return msgspec.structs.replace(proved, is_copy=True)

    async def _agreeing(self, stat: Stat, held: LocalCopy) -> Stat | None:
        """Return upstream's answer if it has the same bytes at each compared place, else None."""
        place = random.Random(f"{held.sha256} {self.transfers.place.pass_id}")  # noqa: S311  to be repeated
        target, answered = self.transfers.targets(stat)[0], None
        quarter = held.bytes // SAMPLES
        try:
            for number in range(SAMPLES):
                start = number * quarter + place.randrange(1, quarter - SAMPLE)
                theirs, answered = await _range(self.transfers.source, target, start)
                ours, _ = await _range(self.transfers.store, held.place, start)
                if theirs is None or theirs != ours or answered.size not in {None, held.bytes}:
                    return None
        except LOCAL_FAILURES:
            raise
        except (TransientError, PermanentError):  # the download tells what is wrong
            return None
        return answered

    async def _report_rotten(self, held: LocalCopy) -> None:
        """Report held bytes that differ from their record, if they do so twice."""
        try:
            _, digests = await hash_stored(self.transfers.store, held.place, ("sha256",), self.transfers.hashing)
        except SyncdError:
            return
        if digests["sha256"] != held.sha256:
            text = message("sha256 {sha256} proved, {found} found", sha256=held.sha256, found=digests["sha256"])
            self._report(held, "digest", text)

    async def _report_gone(self, held: LocalCopy) -> None:
        if held.kind == "entry":  # others are deleted when their time is over
            self._report(held, "missing", message("{size} bytes proved, nothing found", size=held.bytes))

    def _report(self, held: LocalCopy, finding: str, text: str) -> None:
        lender = self.catalogue.history.mirror(held.lender)
        if lender is None:
            return
        reason = message("{path}: {reason}", path=held.held_path, reason=text)
        if held.kind == "entry":
            entry = self.catalogue.holdings.entry(lender.id, held.held_path)
            if entry is None or entry[0].sha256 != held.sha256:  # replaced meanwhile
                return
            if any(one.path == held.held_path for one in self.catalogue.pass_history.damaged(lender.id)):
                return
            damage = DamagedFile(held.held_path, finding, reason, held.sha256, self.transfers.now())
            self.catalogue.pass_history.add_damage(lender.id, damage)
        self.transfers.listener(DamageFound(held.lender, held.held_path, finding, reason))


async def _range(transport: Transport, target: str, start: int) -> tuple[bytes | None, Stat]:
    """Return SAMPLE bytes from `start`, None if other ones are sent, and what the answer says of the file."""
    async with transport.open(target, start=start, stop=start + SAMPLE) as body:
        if body.start != start or "content-encoding" in body.headers:
            return None, body.stat
        return await _first_bytes(aiter(body)), body.stat


async def _first_bytes(chunks: AsyncIterator[bytes]) -> bytes:
    found = b""
    async for chunk in chunks:
        found += chunk
        if len(found) >= SAMPLE:
            break
    return found[:SAMPLE]
