"""An origin that goes away in the middle of a pass: its queue is held, not spent file by file, and others go on."""

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest

from syncd.core.errors import Unreachable
from syncd.core.events import TransferFailed, TransferRetried
from syncd.wrappers import absence
from syncd.wrappers.absence import Absence
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.hostile import faults as f
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring, sums
from tests.servers.started import free_port

CHANCE = random.Random(14)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(absence, "FIRST", 0.02)
    monkeypatch.setattr(absence, "LONGEST", 0.05)


def files(count):
    return {f"d/{n:03}": CHANCE.randbytes(500) for n in range(count)}


class Waiting(HttpMirroring):
    """A mirror that hears of origins that are away."""

    def __init__(self, folder, server, **more):
        super().__init__(folder, server, **more)
        self.absences = []
        self.is_away, self.is_back = asyncio.Event(), asyncio.Event()

    def heard(self, origin, reason, seconds):
        self.absences.append((origin, reason, seconds))
        (self.is_away if seconds is None else self.is_back).set()

    def work(self, store, catalogue, stopping=None):
        context = super().work(store, catalogue, stopping)
        http = context.source.inner.inner
        governed = GovernedTransport(http, Governors(), self.server.url(), connections=4, on_absence=self.heard)

        def retried(path, error, attempt, wait):
            self.events.append(TransferRetried("scenes", path, str(error), attempt, wait))

        source = Retrying(governed, Policy(attempts=4, first=0.001, most=0.002), retried)
        return msgspec.structs.replace(context, source=source)


async def until_served(server, count):
    """Wait until a server has got so many requests."""
    while len(server.requests) < count:
        await asyncio.sleep(0.001)


async def test_the_queue_is_held_while_an_origin_is_away_and_goes_on_in_the_same_pass(tmp_path):
    tree = files(80)
    served = {**tree, "SHA256SUMS": sums(tree)}
    async with HostileServer(served, port=free_port()) as server:
        mirroring = Waiting(tmp_path, server, reader="checksums")
        running = asyncio.create_task(mirroring.run())
        await until_served(server, 20)
    await mirroring.is_away.wait()
    await asyncio.sleep(0.3)  # many attempts of each file's budget
    async with HostileServer(served, port=server.port):
        result = await running
        await mirroring.close()
    assert (result.fetched, result.failed, result.complete) == (81, 0, True)
    (origin, reason, _), (_, nothing, seconds) = mirroring.absences
    assert (origin, nothing) == (server.origin, "")
    assert "no connection" in reason
    assert seconds > 0.2
    retried = [event for event in mirroring.events if isinstance(event, TransferRetried)]
    assert len(retried) <= 20, "waiting costs no attempts"


async def test_an_origin_that_stays_away_is_waited_for_once_and_the_rest_of_its_files_fails_at_once(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(absence, "LONGEST_ABSENCE", 0.4)
    tree = files(80)
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}) as server:
        mirroring = Waiting(tmp_path, server, reader="checksums")
        running = asyncio.create_task(mirroring.run())
        await until_served(server, 20)
    async with asyncio.timeout(120):
        result = await running
    await mirroring.close()
    assert result.fetched + result.failed == 81
    assert result.failed >= 40
    assert len(mirroring.absences) == 2
    assert mirroring.absences[1][1:] > ("", 0.3)
    failed = [event for event in mirroring.events if isinstance(event, TransferFailed)]
    assert any("has not answered for" in event.reason for event in failed)


async def test_an_origin_that_never_answered_is_not_waited_for(tmp_path):
    async with HostileServer() as server:
        pass
    mirroring = Waiting(tmp_path, server, reader="checksums")
    async with asyncio.timeout(120):
        with pytest.raises(Unreachable, match="no connection"):
            await mirroring.run()
    await mirroring.close()
    assert mirroring.absences == []


async def test_a_single_file_that_fails_is_no_absent_origin(tmp_path):
    tree = files(10)
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}) as server:
        server.fault("d/003", f.Status(500), times=None)
        mirroring = Waiting(tmp_path, server, reader="checksums")
        result = await mirroring.run()
        await mirroring.close()
    assert (result.failed, mirroring.absences) == (1, [])


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_the_queue_is_held_while_a_proxy_says_of_every_file_that_its_server_is_away(tmp_path, status):
    tree = files(120)
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}) as server:
        mirroring = Waiting(tmp_path, server, reader="checksums")
        running = asyncio.create_task(mirroring.run())
        await until_served(server, 20)
        server.fault(None, f.Status(status), times=None)
        await mirroring.is_away.wait()
        before = len(server.requests)
        await asyncio.sleep(0.3)
        assert len(server.requests) - before < 40, "one request at a time asks whether it is back"
        server.forgive()
        result = await running
        await mirroring.close()
    assert (result.fetched, result.failed, result.complete) == (121, 0, True)
    assert [seconds is None for _, _, seconds in mirroring.absences] == [True, False]


async def test_files_that_a_proxy_cannot_have_are_not_waited_for_while_others_arrive(tmp_path):
    tree = files(60)
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}) as server:
        for n in range(0, 60, 6):
            server.fault(f"d/{n:03}", f.Status(502), times=None)
        mirroring = Waiting(tmp_path, server, reader="checksums")
        result = await mirroring.run()
        await mirroring.close()
    assert (result.fetched, result.failed, mirroring.absences) == (51, 10, [])


@pytest.mark.parametrize("how", ["away", "Retry-After"])
async def test_a_pass_that_is_asked_to_stop_waits_for_no_origin_and_its_files_have_not_failed(tmp_path, how):
    tree = files(80)
    stopping = asyncio.Event()
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}, port=free_port()) as server:
        mirroring = Waiting(tmp_path, server, reader="checksums")
        running = asyncio.create_task(mirroring.run(stopping=stopping))
        await until_served(server, 20)
        if how == "Retry-After":
            server.fault(None, f.Status(429, {"Retry-After": "600"}), times=None)
            asked = len(server.requests)
            await until_served(server, asked + 1)
            stopping.set()
            result = await asyncio.wait_for(running, 120)
    if how == "away":
        await mirroring.is_away.wait()
        stopping.set()
        result = await asyncio.wait_for(running, 120)
    assert result.failed == 0
    assert 0 < result.fetched < 81
    assert not result.complete
    async with HostileServer({**tree, "SHA256SUMS": sums(tree)}, port=server.port):
        assert (await mirroring.run()).complete
    await mirroring.close()


async def test_other_origins_go_on_meanwhile():
    async with HostileServer({"x": b"there"}) as other:
        async with HostileServer({"x": b"here"}, port=free_port()) as server:
            governors = Governors()
            port = server.port
            from transports.http.transport import HttpTransport

            http = HttpTransport(server.url(), user_agent="t", allow_private=frozenset({server.origin, other.origin}))
            source = Retrying(
                GovernedTransport(http, governors, server.url()), Policy(attempts=4, first=0.001, most=0.002)
            )

            async def read(path):
                async with source.open(path) as body:
                    return b"".join([chunk async for chunk in body])

            assert await read("x") == b"here"
        held = [asyncio.create_task(read("x")) for _ in range(5)]
        while not governors.of(server.origin).absence.is_away:
            await asyncio.sleep(0.005)
        assert await read(other.url("x")) == b"there"
        assert not any(task.done() for task in held)
        async with HostileServer({"x": b"here"}, port=port):
            assert await asyncio.gather(*held) == [b"here"] * 5
        await http.aclose()


async def test_one_request_at_a_time_tries_while_an_origin_is_away():
    now = 0.0
    away = Absence("https://h", lambda: now)
    for _ in range(absence.SILENT - 1):
        assert not away.lost(is_known=True)
    assert away.lost(is_known=True)
    waiting = [asyncio.create_task(away.wait()) for _ in range(10)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    now = 1.0
    await asyncio.wait(waiting, timeout=120, return_when=asyncio.FIRST_COMPLETED)
    assert sum(task.done() for task in waiting) == 1, "the others wait for its result"
    assert away.lost(is_known=True)
    now = 2.0
    away.answered()
    await asyncio.gather(*waiting)
    assert not away.is_away
    for _ in range(5):
        assert not away.lost(is_known=False)
    with suppress(Unreachable):
        await away.wait()
