"""Copies kept bytes to where they wait for their swap, and proves the copies.

Rule: small files cost a thread more to begin with than to hash, so a store that can (`ports.Summing`) hashes many in
one call. A copy that differs is read again by itself, which names the fault.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from manifests.messages import message
from syncd.catalogue import Swap
from syncd.core import Damaged, NotFound, Store, Summing, capability, in_lanes
from syncd.engine.stored_digests import hash_stored

COPIES = 8  # files copied, or read by themselves, at once
HASHED = 32  # files hashed in one call of a thread


@dataclass(frozen=True, slots=True)
class KeptCopies:
    """The copies of kept bytes for one rollback."""

    store: Store
    hashing: Executor

    async def stage(self, copies: Sequence[tuple[Swap, str]]) -> None:
        """Copy from each source to where its swap expects the bytes, and prove them there. Raises Damaged."""
        await in_lanes(COPIES, copies, self._copy)
        summing = capability(self.store, Summing)
        if summing is None:
            await in_lanes(COPIES, copies, self._prove)
            return
        over = threading.Event()
        parts = [copies[at : at + HASHED] for at in range(0, len(copies), HASHED)]
        try:
            await in_lanes(COPIES, parts, partial(self._prove_part, summing, over.is_set))
        finally:
            over.set()

    async def _copy(self, copy: tuple[Swap, str]) -> None:
        swap, source = copy
        try:
            await self.store.copy(source, swap.staged)
        except NotFound as error:
            raise Damaged(
                message("{path}: its kept bytes are missing: {cause}", path=swap.entry.path, cause=error)
            ) from error

    async def _prove_part(
        self, store: Summing, is_over: Callable[[], bool], copies: Sequence[tuple[Swap, str]]
    ) -> None:
        places = [swap.staged for swap, _ in copies]
        sums = await asyncio.get_running_loop().run_in_executor(self.hashing, store.sums, places, is_over)
        for copy, found in zip(copies, sums, strict=True):
            if found != copy[0].entry.sha256:
                await self._prove(copy)  # which names the fault

    async def _prove(self, copy: tuple[Swap, str]) -> None:
        swap, entry = copy[0], copy[0].entry
        size, digests = await hash_stored(self.store, swap.staged, ("sha256",), self.hashing)
        if (size, digests["sha256"]) != (entry.size, entry.sha256):
            raise Damaged(
                message(
                    "{path}: its kept bytes are damaged: sha256 {sha256} proved, {found} found",
                    path=entry.path,
                    sha256=entry.sha256,
                    found=digests["sha256"],
                )
            )
