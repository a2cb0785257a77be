"""Fails the n-th request of a small pass on an S3 store, for every n: `python -m tests.campaign.s3_requests [--sample N]`.

The store is a real S3 server behind a proxy. Each pass changes the copy from one of two states into the other, so the
next point begins where the last one ended. A point is tried without retries, when the engine meets the failure, and
with them, when the same request is sent twice.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from manifests.snapshot import Pointer
from syncd.core import SyncdError
from syncd.stores.lease import Lease, ProcessIdentity
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_store import RetryingStore
from tests.campaign import small_pass
from tests.campaign.small_pass import AFTER, BEFORE, EVER
from tests.fakes import sha256
from tests.servers.fixtures import PART, S3Server, make_bucket
from tests.servers.s3_proxy import Proxy, error
from tests.servers.swift import Swift
from tests.simulation.upstream import SimulatedUpstream

FAULTS: dict[str, dict[str, Any]] = {
    "500": {"reply": error(500, "InternalError")},
    "500, although the server acted": {"reply": error(500, "InternalError"), "after": True},
    "a reset before the server acted": {"reply": None},
    "a reset after the server acted": {"reply": None, "after": True},
    "a slow answer": {"delay": 0.3, "passes": True},
    "a lost answer": {"reply": None, "after": True, "answers": False},
}
PATIENT, LOST = 20.0, 3.0  # seconds after which an answer is given up: usually, and where one is lost
LARGE = "large"  # a file of more than one part
STATES = ({**BEFORE, LARGE: bytes(PART + 99)}, {**AFTER, LARGE: b"\1" + bytes(PART + 98)})
KNOWN = {**EVER, LARGE: {state[LARGE] for state in STATES}}
PREFIX = "m/"


class Request(msgspec.Struct, frozen=True):
    """The n-th request of a pass, and what happens to it."""

    fault: str
    number: int
    is_retried: bool

    def __str__(self) -> str:
        return f"request {self.number}: {self.fault}{', then retried' if self.is_retried else ''}"


class Tried(msgspec.Struct, frozen=True):
    """What became of a point: "" is well, otherwise what was wrong."""

    request: Request
    wrong: str
    was_reached: bool


class S3Search:
    """Passes on one prefix of a real server, behind a proxy that fails requests."""

    def __init__(self, server: S3Server, proxy: Proxy, folder: Path) -> None:
        self.server, self.proxy, self.folder = server, proxy, folder
        self.url, self.state = server.url(), 1
        self.copies: dict[int, str] = {}

    async def points(self) -> list[Request]:
        """Return each request of a pass with each fault; the first passes show how many there are."""
        count = 0
        for state in (0, 1, 0, 1):
            seen = len(self.proxy.seen)
            if not await self._sync(state):
                raise AssertionError("a pass without any fault did not complete")
            count = len(self.proxy.seen) - seen
            self.copies[state] = await self._copy()
        return [
            Request(fault, number, is_retried)
            for fault in FAULTS
            for number in range(1, count + 1)
            for is_retried in (False, True)
        ]

    async def try_out(self, point: Request) -> Tried:
        """Fail one request, and look at what is left and at the next pass."""
        state = self.state = 1 - self.state
        count = iter(range(1, 100_000))
        self.proxy.fail(lambda *_: next(count) == point.number, **{"reply": None, **FAULTS[point.fault]})
        bug = ""
        try:
            is_lost = FAULTS[point.fault].get("answers") is False
            await self._sync(state, attempts=4 if point.is_retried else 1, timeout=LOST if is_lost else PATIENT)
        except* SyncdError:
            pass
        except* Exception as errors:  # noqa: BLE001  it is reported
            bug = f"a bug: {errors.exceptions[0]!r}"
        was_reached = not any(fault.times for fault in self.proxy.faults)
        self.proxy.faults.clear()
        wrong = bug or await self._unproved()
        if not wrong and not await self._sync(state):
            wrong = "the next pass did not complete"
        if not wrong and (found := await self._copy()) != self.copies[state]:
            wrong = f"the next pass ended with another copy: {found}"
        return Tried(point, wrong, was_reached)

    async def _sync(self, state: int, attempts: int = 4, timeout: float = PATIENT) -> bool:
        adapter = self.server.at(self.proxy.url).store(self.url, header_timeout=timeout)
        store = RetryingStore(adapter, Policy(attempts=attempts, first=0.001, most=0.01))
        upstream = small_pass.upstream_of(STATES[state])
        lease = Lease(adapter, "small pass", sleep=_short, place=ProcessIdentity("here", str(time.time_ns()), 1))
        # a lease whose request failed is free at once: it is that of a process which has ended
        lease._is_free = lambda *_, **__: True
        try:
            return await small_pass.sync(
                store, self.folder / "state", upstream, clock=time.time, lease=lease, transport=_QuickUpstream
            )
        finally:
            await adapter.aclose()

    async def _contents(self) -> dict[str, bytes]:
        store = self.server.store(self.url)
        found: dict[str, bytes] = {}
        try:
            async for stat in store.list(PREFIX):
                async with store.open(stat.path) as body:
                    found[stat.path.removeprefix(PREFIX)] = b"".join([chunk async for chunk in body])
        finally:
            await store.aclose()
        return found

    async def _unproved(self) -> str:
        wrong = [path for path, body in (await self._contents()).items() if body not in KNOWN.get(path, ())]
        return f"visible, and never proved: {wrong}" if wrong else ""

    async def _copy(self) -> str:
        """Return what tells two copies apart: the snapshot, and the files under their names."""
        contents = await self._contents()
        lines = [f"{path} {sha256(contents[path])}" for path in sorted(contents)]
        return "\n".join([await self._snapshot(), *lines])

    async def _snapshot(self) -> str:
        store = self.server.store(self.url)
        try:
            async with store.open(".syncd/mirrors/m.json") as body:
                pointer = b"".join([chunk async for chunk in body])
        finally:
            await store.aclose()
        return msgspec.json.decode(pointer, type=Pointer).snapshot


class _QuickUpstream(SimulatedUpstream):
    piece = 1 << 20

    async def _wait(self) -> None:
        await asyncio.sleep(0)


async def _short(seconds: float) -> None:
    """Wait as a lease does, but not until a write has settled: nobody else writes."""
    await asyncio.sleep(seconds if seconds > 5 else 0)


async def search(server: S3Server, folder: Path, choose=lambda points: points) -> AsyncIterator[Tried]:
    """Yield the outcome of each chosen point."""
    folder.mkdir(parents=True, exist_ok=True)
    async with Proxy(server.endpoint) as proxy:
        found = S3Search(server, proxy, folder)
        for point in choose(await found.points()):
            yield await found.try_out(point)


def sample(points: list[Request], count: int) -> list[Request]:
    """Return about `count` points, spread evenly over faults and requests."""
    return points[:: max(1, len(points) // count)] if count else points


async def _search_all(given: argparse.Namespace, folder: Path) -> tuple[int, int, int]:
    swift = Swift(folder / "swift")
    try:
        server = S3Server(swift.endpoint, swift.access_key, swift.secret_key)
        await make_bucket(server)
        tried = reached = wrong = 0
        end = None if given.count is None else given.offset + given.count

        def choose(points: list[Request]) -> list[Request]:
            return sample(points[given.offset : end], given.sample)

        async for outcome in search(server, folder / "search", choose):
            tried += 1
            reached += outcome.was_reached
            if outcome.wrong:
                wrong += 1
                print(f"{outcome.request}: {outcome.wrong}", flush=True)
    finally:
        swift.close()
    return tried, reached, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.s3_requests", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="try about so many points; 0: all")
    parser.add_argument("--offset", type=int, default=0, help="begin with this point")
    parser.add_argument("--count", type=int, help="end after so many points")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncd-requests-") as folder:
        tried, reached, wrong = asyncio.run(_search_all(given, Path(folder)))
    print(f"{tried} requests tried, {reached} made to fail, {wrong} wrong")
    return 1 if wrong or (tried and not reached) else 0


if __name__ == "__main__":
    sys.exit(main())
