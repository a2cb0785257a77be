"""A worker process: downloads, verifies and stores small files for the pass that started it.

It has no state: the pass repeats unreported transfers, and finds stored files in the store. The worker exits when its
socket closes, for whatever reason.
"""

import asyncio
import gc
import os
import socket
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import uvloop

from manifests.messages import pack
from syncd.catalogue import Inflight
from syncd.core import Event, PermanentError, Secrets, Step, TransferAdvanced, TransferRestarted, TransientError
from syncd.engine import NotSmall, Quarantined, QuarantineRoom, Transfers, VerifiedFile, error_name, narrow_prefixes
from syncd.process import install
from syncd.sources import open_upstream, opener
from syncd.stores import FilesystemStore
from syncd.workers.messages import (
    FailedTransfer,
    Halt,
    OriginAbsence,
    Outcome,
    RetriedTransfer,
    Setup,
    Throttled,
    Traffic,
    TransferBatch,
    decode_order,
    receive,
    send,
)
from syncd.wrappers import Count, Governors, stopping

LATENCY = 0.004  # seconds that a result waits for others, to share a message with them
HASHERS = 2


class _NoJournal:
    """The journal of a worker: small files are never partly staged."""

    def begin(self, mirror: int, inflight: Inflight) -> NoReturn:
        raise AssertionError((mirror, inflight))

    def end(self, mirror: int, path: str) -> NoReturn:
        raise AssertionError((mirror, path))


class WorkerProcess:
    """One running worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._steps: deque[tuple[int, Step]] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._proved: list[tuple[int, VerifiedFile]] = []
        self._not_small: list[int] = []
        self._failed: list[FailedTransfer] = []
        self._retried: list[RetriedTransfer] = []
        self._received: dict[str, int] = {}
        self._reported: dict[str, Count] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._governors = Governors(refused=self._refused)
        self._secrets = Secrets()
        install(self._secrets)
        self._halted = asyncio.Event()

    async def run(self) -> None:
        """Work until the pass closes the socket."""
        first = await receive(self._reader)
        if first is None:
            return
        setup = decode_order(first)
        assert isinstance(setup, Setup)
        if (credential := setup.upstream.credential) is not None:
            self._secrets.learn_credential(credential.username, credential.secret, credential.token)
        for username, password in setup.upstream.network.secrets() if setup.upstream.network is not None else ():
            self._secrets.learn_credential(username, password)
        store = FilesystemStore(Path(setup.store), alone=True, group=setup.group)
        if setup.is_narrow:
            store.use_narrow(narrow_prefixes(setup.place.mirror, setup.place.prefix))
        source = open_upstream(setup.upstream, self._governors, on_retry=self._on_retry, on_absence=self._on_absence)
        hashing = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")
        transfers = Transfers(
            source=source,
            store=store,
            place=setup.place,
            journal=_NoJournal(),
            mirror_id=0,
            listener=self._on_event,
            hashing=hashing,
            by=setup.by,
            only_small=True,
            quarantine_room=QuarantineRoom(setup.quarantine),
        )
        stopping.set(self._halted)
        try:
            async with asyncio.TaskGroup() as group:
                lanes = [group.create_task(self._run_lane(transfers)) for _ in range(setup.ceiling)]
                await self._receive_batches()
                for lane in lanes:
                    lane.cancel()
        finally:
            await source.aclose()
            await store.aclose()
            hashing.shutdown(wait=False, cancel_futures=True)

    async def _receive_batches(self) -> None:
        while (body := await receive(self._reader)) is not None:
            order = decode_order(body)
            if isinstance(order, TransferBatch):
                self._steps.extend(order.steps)
                for _ in range(min(len(order.steps), len(self._idle))):
                    if not (idle := self._idle.pop()).done():
                        idle.set_result(None)
            elif isinstance(order, Halt):
                self._halted.set()
            elif isinstance(order, Throttled):
                self._governors.of(order.origin).refused(order.retry_after, by_hearsay=True)

    async def _run_lane(self, transfers: Transfers) -> None:
        while True:
            while not self._steps:
                self._idle.append(idle := asyncio.get_running_loop().create_future())
                await idle
            number, step = self._steps.popleft()
            try:
                proved = await transfers.transfer(step)
            except NotSmall:
                self._not_small.append(number)
            except (TransientError, PermanentError) as error:
                place = error.place if isinstance(error, Quarantined) else ""
                received = self._received.get(step.path, 0)
                self._failed.append(
                    FailedTransfer(number, error_name(error), str(error), place, received, pack(str(error)))
                )
            else:  # after the await, on a line of its own: a flush meanwhile replaces the list
                self._proved.append((number, proved))
            self._received.pop(step.path, None)
            if self._flushing is None:
                self._flushing = asyncio.get_running_loop().call_later(LATENCY, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        proved, self._proved = self._proved, []
        not_small, self._not_small = self._not_small, []
        failed, self._failed = self._failed, []
        again, self._retried = self._retried, []
        send(self._writer, Outcome(proved, not_small, failed, again, self._traffic()))

    def _traffic(self) -> dict[str, Traffic]:
        """Return the traffic of each origin since the last report."""
        found: dict[str, Traffic] = {}
        for governor in self._governors:
            now, told = governor.count, self._reported.setdefault(governor.origin, Count())
            if now.answered == told.answered and now.bytes == told.bytes and now.failed == told.failed:
                continue
            found[governor.origin] = Traffic(
                now.answered - told.answered,
                now.failed - told.failed,
                now.bytes - told.bytes,
                now.seconds - told.seconds,
                [new - old for new, old in zip(now.first_byte, told.first_byte, strict=True)],
            )
            told.answered, told.failed, told.bytes, told.seconds = now.answered, now.failed, now.bytes, now.seconds
            told.first_byte = list(now.first_byte)
        return found

    def _refused(self, origin: str, retry_after: float | None) -> None:
        send(self._writer, Throttled(origin, retry_after))

    def _on_retry(self, path: str, error: TransientError, attempt: int, wait: float) -> None:
        self._retried.append(
            RetriedTransfer(path, str(error), error_name(error), attempt, wait, message=pack(str(error)))
        )

    def _on_absence(self, origin: str, reason: str, seconds: float | None) -> None:
        send(self._writer, OriginAbsence(origin, reason, seconds, pack(reason)))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, TransferAdvanced):
            self._received[event.path] = self._received.get(event.path, 0) + event.received
        elif isinstance(event, TransferRestarted):
            received = self._received.pop(event.path, 0)
            self._retried.append(
                RetriedTransfer(event.path, event.reason, event.error, 0, None, received, pack(event.reason))
            )


async def _serve(own: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=own)
    try:
        await WorkerProcess(reader, writer).run()
    finally:
        writer.close()


def main(scheme: str, *descriptors: str) -> None:
    """Work on the first socket until it closes; a forked process works on each of the others.

    The modules that read urls of `scheme` are imported before the fork.
    """
    own, *others = [socket.socket(fileno=int(descriptor)) for descriptor in descriptors]
    opener(scheme)
    sys.setswitchinterval(0.0005)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    copies: list[int] = []
    while others:
        other = others.pop()
        copy = os.fork()
        if copy == 0:
            # every process keeps only its own socket: a second holder would keep it open
            own.close()
            own, copies = other, []
            for one in others:
                one.close()
            break
        copies.append(copy)
        other.close()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(own))
    for copy in copies:
        os.waitpid(copy, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
