"""Small files moved by worker processes: the same truths as in one process, and a worker that dies costs nothing."""

import asyncio
import hashlib
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from manifests.stat import Stat
from syncd.core.errors import Mismatch, NotFound
from syncd.core.events import TransferRetried, TransferStarted
from syncd.core.ports import Credential
from syncd.core.steps import Step
from syncd.daemon.pass_shares import ExclusivePool
from syncd.engine.mirror_pass import Pass
from syncd.engine.pass_paths import PassPaths
from syncd.engine.quarantine import Quarantined, QuarantineRoom
from syncd.engine.small_files import SMALL
from syncd.engine.worker_port import GUESSED, LARGE, ActiveTransfer, WorkerLost
from syncd.metrics.counting import Counting
from syncd.sources.open_source import Upstream
from syncd.stores.filesystem.store import FilesystemStore
from syncd.workers.pool import ProcessPool, ProcessWorkers
from syncd.wrappers.fair_share import FairShares
from syncd.wrappers.governors import Governors
from tests.hostile import faults as f
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring, sums

FILES = {f"d{number % 7}/{number:03}.dat": bytes([number]) * (number * 37) for number in range(120)}


def pool(server, folder, heard, count=2, governors=None):
    upstream = Upstream(url=server.url(), allow_private=frozenset({server.origin}), user_agent="syncd-tests")
    return ProcessPool(count, upstream, str(folder), governors or Governors(), heard.append)


class Asker:
    """Hands steps to workers, and waits for what they say of each."""

    def __init__(self, room=None):
        self.waiting = {}
        self.workers = None
        self.room = room or QuarantineRoom()

    @asynccontextmanager
    async def running(self, pool, by="upstream"):
        async with pool.running(PassPaths("m", "m/", "p"), by, self.told, pool.concurrency, self.room) as self.workers:
            yield self
            await self.workers.join()

    def told(self, moving, outcome):
        done = self.waiting.pop(moving.step.path)
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)

    async def transfer(self, step):
        self.waiting[step.path] = done = asyncio.get_running_loop().create_future()
        self.workers.submit(ActiveTransfer(step, 0, 0.0))
        return await done

    @property
    def process(self):
        return self.workers.group.process


def fetch(path, size=None, **digests):
    return Step("fetch", path, "new upstream", Stat(path, len(FILES[path]) if size is None else size, digests=digests))


async def test_every_file_arrives_proved_under_its_name(tmp_path):
    async with HostileServer(FILES) as server:
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            proved = await asyncio.gather(*(workers.transfer(fetch(path)) for path in FILES))
        assert {one.entry.path: one.entry.size for one in proved} == {path: len(body) for path, body in FILES.items()}
        assert {path: (tmp_path / "m" / path).read_bytes() for path in FILES} == FILES
        assert workers.process.returncode == 0


async def test_what_fails_in_a_worker_fails_as_it_would_here(tmp_path):
    heard = []
    async with HostileServer(FILES) as server:
        server.fault("d1/001.dat", f.Status(404))
        server.fault("d3/003.dat", f.Status(503, {"Retry-After": "0"}))
        governors = Governors()
        (tmp_path / "m/d5").mkdir(parents=True)
        (tmp_path / "m/d5/005.dat").write_bytes(b"a stranger's")
        async with Asker().running(pool(server, tmp_path, heard, governors=governors)) as workers:
            with pytest.raises(NotFound, match=r"^d1/001.dat: "):
                await workers.transfer(fetch("d1/001.dat"))
            with pytest.raises(Quarantined, match=r"sha256 0{64} promised") as caught:
                await workers.transfer(fetch("d2/002.dat", sha256="0" * 64))
            digest = hashlib.sha256(FILES["d4/004.dat"]).hexdigest()
            with pytest.raises(Mismatch, match="9 bytes promised"):
                await workers.transfer(fetch("d4/004.dat", size=9, sha256=digest))
            await workers.transfer(fetch("d5/005.dat"))
            assert (await workers.transfer(fetch("d3/003.dat"))).entry.size == len(FILES["d3/003.dat"])
        assert (tmp_path / caught.value.place).read_bytes() == FILES["d2/002.dat"]
        assert (tmp_path / "m/d5/005.dat").read_bytes() == FILES["d5/005.dat"]
        assert (tmp_path / ".syncd/quarantine/m/p/d5/005.dat").read_bytes() == b"a stranger's"
        assert [event.path for event in heard if isinstance(event, TransferRetried)] == ["d3/003.dat"]
        assert governors.of(server.origin).count.refused == 1
        server.assert_spent()


def unsized(path):
    return Step("fetch", path, "new upstream", Stat(path))


async def test_bytes_that_came_to_a_worker_in_vain_are_told_of_as_those_that_came_to_us(tmp_path):
    counting = Counting()
    async with HostileServer(FILES) as server:
        workers = ProcessPool(2, pool(server, tmp_path, []).upstream, str(tmp_path), Governors(), counting.listener)
        async with Asker().running(workers) as asker:
            with pytest.raises(Quarantined):
                await asker.transfer(fetch("d2/002.dat", sha256="0" * 64))
            server.fault("d3/003.dat", f.Rewrite(body=b"x" * len(FILES["d3/003.dat"])))
            await asker.transfer(fetch("d3/003.dat", sha256=hashlib.sha256(FILES["d3/003.dat"]).hexdigest()))
    count = counting.of("m")
    assert count.received == 2 * 74 + 111
    assert count.wasted == {**count.wasted, "mismatch": 74 + 111}
    assert count.moving == {"d2/002.dat": 74, "d3/003.dat": 0}  # the pass has still to say that they ended


async def test_a_file_of_unknown_size_is_moved_if_it_is_small_and_left_to_the_pass_if_not(tmp_path):
    large = bytes(SMALL + 1)
    async with HostileServer({**FILES, "large": large}) as server:
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            assert (await workers.transfer(unsized("d5/005.dat"))).entry.size == len(FILES["d5/005.dat"])
            with pytest.raises(WorkerLost, match="not small"):
                await workers.transfer(unsized("large"))
        assert sorted(path.name for path in (tmp_path / "m").rglob("*") if path.is_file()) == ["005.dat"]


async def test_files_of_unknown_size_are_for_workers_as_long_as_most_of_them_are_small(tmp_path):
    async with HostileServer({**FILES, "large": bytes(SMALL + 1)}) as server:
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            for _ in range(GUESSED):
                assert workers.workers.accepts(unsized("large"))
                with pytest.raises(WorkerLost):
                    await workers.transfer(unsized("large"))
            assert not workers.workers.accepts(unsized("large"))
            assert workers.workers.accepts(fetch("d5/005.dat"))
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            for path in FILES:
                await workers.transfer(unsized(path))
            assert await asyncio.gather(*(workers.transfer(fetch(path)) for path in FILES))
            with pytest.raises(NotFound):
                await workers.transfer(unsized("gone"))  # was none of the large ones
            for _ in range(GUESSED + len(FILES) // LARGE):
                with pytest.raises(WorkerLost):
                    await workers.transfer(unsized("large"))
            assert not workers.workers.accepts(unsized("large"))


@pytest.mark.promise("P3")
@pytest.mark.fault(40)
async def test_a_worker_that_is_killed_costs_time_and_never_truth(tmp_path):
    async with HostileServer(FILES) as server:
        server.fault("d6/006.dat", f.Hang())
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            waiting = asyncio.create_task(workers.transfer(fetch("d6/006.dat")))
            while not server.requests:
                await asyncio.sleep(0)
            assert workers.workers.all[0].waiting
            os.kill(workers.process.pid, signal.SIGKILL)  # the first of them, and the parent of the other
            with pytest.raises(WorkerLost):
                await waiting
            # the other one goes on, and takes what the first would have had
            assert (await workers.transfer(fetch("d5/005.dat"))).entry.size == len(FILES["d5/005.dat"])
            assert workers.workers.accepts(fetch("d4/004.dat"))


async def test_a_pass_does_itself_what_its_workers_leave_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    hand = ProcessWorkers.submit

    def hand_and_kill(self, moving):
        hand(self, moving)
        os.killpg(self.group.process.pid, signal.SIGKILL)

    monkeypatch.setattr("syncd.workers.pool.ProcessWorkers.submit", hand_and_kill)
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        async with mirroring.open() as (store, catalogue):
            work = structs.replace(mirroring.work(store, catalogue), pool=pool(server, store.root, []))
            result = await Pass(work).run()
            assert (result.complete, result.fetched) == (True, len(FILES) + 1)
            assert work.budget.files == work.budget.bytes == 0
        await mirroring.close()


async def test_workers_wait_for_no_origin_when_the_pass_is_asked_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    stopping = asyncio.Event()
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        server.fault(None, f.Status(429, {"Retry-After": "600"}), times=None, when=lambda r: r.path.startswith("d"))
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        async with mirroring.open() as (store, catalogue):
            work = structs.replace(mirroring.work(store, catalogue, stopping), pool=pool(server, store.root, []))
            running = asyncio.create_task(Pass(work).run())
            while not any(request.path.startswith("d") for request in server.requests):
                await asyncio.sleep(0.01)
            stopping.set()
            result = await asyncio.wait_for(running, 120)
        await mirroring.close()
    assert (result.complete, result.failed) == (False, 0)


async def test_workers_quarantine_no_more_than_their_parts_of_the_room_of_the_pass(tmp_path):
    async with HostileServer(FILES) as server:
        room = QuarantineRoom(30_000)
        async with Asker(room).running(pool(server, tmp_path, [])) as workers:
            bad = [
                workers.transfer(fetch(path, len(body), sha256="00" * 32))
                for path, body in FILES.items()
                if len(body) > 900
            ]
            reasons = [str(failed) for failed in await asyncio.gather(*bad, return_exceptions=True)]
        copies = [copy for copy in tmp_path.glob(".syncd/quarantine/**/*.dat") if copy.is_file()]
        assert 0 < sum(copy.stat().st_size for copy in copies) <= 20_000, "two parts of three"
        assert sum("the quarantine is full" in reason for reason in reasons) == len(reasons) - len(copies)
        assert await room.take(10_000)
        assert not await room.take(1)


@pytest.mark.parametrize("reader", ["autoindex", "checksums"])  # with sizes, and without
async def test_a_pass_with_workers_makes_the_snapshot_that_a_pass_without_them_makes(tmp_path, monkeypatch, reader):
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    ids = {}
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        for count in (0, 2):
            mirroring = HttpMirroring(tmp_path / str(count), server, reader=reader)
            async with mirroring.open() as (store, catalogue):
                assert isinstance(store, FilesystemStore)
                workers = pool(server, store.root, [], count) if count else None
                result = await Pass(structs.replace(mirroring.work(store, catalogue), pool=workers)).run()
                assert result.complete
                assert result.fetched == len(FILES) + 1
                ids[count] = result.snapshot
            await mirroring.close()
    assert ids[0] == ids[2]


@pytest.mark.parametrize("limits", [{"connections": 3}, {"rate": 1e9}])
async def test_limits_of_a_manifest_are_kept_by_one_process(tmp_path, monkeypatch, limits):
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    monkeypatch.setattr("syncd.engine.mirror_pass.LIKELY", 10)
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        governors = Governors()
        governors.of(server.origin, **limits)
        monkeypatch.setattr("syncd.workers.pool._start", lambda *_: pytest.fail("worker processes began"))
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        async with mirroring.open() as (store, catalogue):
            workers = pool(server, store.root, [], governors=governors)
            assert (await Pass(structs.replace(mirroring.work(store, catalogue), pool=workers)).run()).complete
        await mirroring.close()


async def test_a_first_survey_that_finds_many_files_prepares_workers_and_a_later_one_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    monkeypatch.setattr("syncd.engine.mirror_pass.LIKELY", 10)
    prepared = []

    def prepare(self):
        prepared.append(self)

    monkeypatch.setattr("syncd.workers.pool.ProcessPool.prepare", prepare)
    monkeypatch.setattr("syncd.workers.pool.ProcessPool.running", no_workers)
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        async with mirroring.open() as (store, catalogue):
            work = structs.replace(mirroring.work(store, catalogue), pool=pool(server, store.root, []))
            assert (await Pass(work).run()).complete
            assert prepared
            prepared.clear()
            assert (await Pass(work).run()).complete
            assert not prepared
        await mirroring.close()


async def test_workers_that_the_plan_has_no_use_for_end_before_anything_moves(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.mirror_pass.LIKELY", 10)
    seen = []
    aclose = ProcessPool.aclose

    async def told(self):
        started = self._started
        await aclose(self)
        seen.append("ended" if (await started).process.returncode is not None else "lives")

    monkeypatch.setattr("syncd.workers.pool.ProcessPool.aclose", told)
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        async with mirroring.open() as (store, catalogue):
            work = structs.replace(
                mirroring.work(store, catalogue),
                pool=pool(server, store.root, []),
                listener=lambda event: seen.append("moves") if isinstance(event, TransferStarted) else None,
            )
            assert (await Pass(work).run()).complete
        await mirroring.close()
    assert seen[:2] == ["ended", "moves"]


async def test_workers_that_another_pass_took_meanwhile_end_at_once(tmp_path):
    async with HostileServer(FILES) as server:
        idle = pool(server, tmp_path, [])
        rota: Any = SimpleNamespace(workers_taken=False, connections=FairShares(1 << 40, 256))
        turn = ExclusivePool(idle, rota, server.origin)
        turn.prepare()
        crew = await idle._started
        rota.workers_taken = True
        async with turn.running(PassPaths("m", "m/", "p"), "x", print, turn.concurrency, QuarantineRoom()) as workers:
            assert crew.process.returncode is not None
            assert not workers.accepts(fetch("d5/005.dat"))
        assert rota.workers_taken
        assert rota.connections.files == 0


async def test_workers_hold_what_they_need_of_the_connections_that_all_passes_share(tmp_path):
    async with HostileServer(FILES) as server:
        server.fault(None, f.Drip(step=1000, every=0.02), times=None)  # slow enough that more connections would help
        rota: Any = SimpleNamespace(workers_taken=False, connections=FairShares(1 << 40, 16))
        turn = ExclusivePool(pool(server, tmp_path, []), rota, server.origin)
        async with Asker().running(turn) as workers:
            assert rota.connections.files == 12  # three quarters, as for any lone share: whoever comes finds room
            await asyncio.gather(*(workers.transfer(fetch(path)) for path in FILES))
            assert 2 <= server.connections <= 12
        assert rota.connections.files == 0


async def test_where_others_hold_the_connections_a_pass_does_without_workers(tmp_path):
    async with HostileServer(FILES) as server:
        rota: Any = SimpleNamespace(workers_taken=False, connections=FairShares(1 << 40, 4))
        turn = ExclusivePool(pool(server, tmp_path, []), rota, server.origin)
        with rota.connections.share("https://elsewhere") as others:
            for _ in range(3):
                await others.acquire(0)
            async with turn.running(
                PassPaths("m", "m/", "p"), "x", print, turn.concurrency, QuarantineRoom()
            ) as workers:
                assert not workers.accepts(fetch("d5/005.dat"))
                assert rota.connections.files == 3


@asynccontextmanager
async def no_workers(*_):
    yield None


async def test_a_worker_is_told_its_secrets_over_its_own_socket_and_ends_with_it(tmp_path):
    async with HostileServer(FILES) as server:
        secret = Upstream(
            url=server.url(),
            allow_private=frozenset({server.origin}),
            credential=Credential("me", server.origin, "bearer", "hush-hush"),
        )
        async with Asker().running(ProcessPool(2, secret, str(tmp_path), Governors(), print)) as workers:
            await workers.transfer(fetch("d5/005.dat"))
            assert server.requests[-1].headers["authorization"] == "Bearer hush-hush"
            for pid in family(workers.process.pid):
                told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
                assert b"hush" not in told
            for one in workers.workers.all:
                one.writer.close()
            await asyncio.to_thread(workers.process.wait, 10)
            assert workers.process.returncode == 0


def family(pid):
    """Return a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


async def test_each_worker_ends_with_its_own_socket_and_the_first_waits_for_the_other(tmp_path):
    async with HostileServer(FILES) as server:
        async with Asker().running(pool(server, tmp_path, [])) as workers:
            await asyncio.gather(*(workers.transfer(fetch(path)) for path in FILES))
            first, second = family(workers.process.pid)
            workers.workers.all[1].writer.close()
            await workers.workers.all[1].listening  # only the other had this socket
            assert (await workers.transfer(fetch("d5/005.dat"))).entry.size == len(FILES["d5/005.dat"])
        assert not Path(f"/proc/{first}").exists()
        assert not Path(f"/proc/{second}").exists()


async def test_workers_that_were_prepared_and_not_wanted_end(tmp_path):
    async with HostileServer(FILES) as server:
        idle = pool(server, tmp_path, [])
        idle.prepare()
        crew = await idle._started
        await idle.aclose()
        assert crew.process.returncode is not None
        await idle.aclose()


async def test_workers_that_were_prepared_are_those_that_work(tmp_path):
    async with HostileServer(FILES) as server:
        ready = pool(server, tmp_path, [])
        ready.prepare()
        crew = await ready._started
        async with Asker().running(ready) as workers:
            assert workers.workers.group is crew
            assert (await workers.transfer(fetch("d5/005.dat"))).entry.size == len(FILES["d5/005.dat"])


async def test_where_no_process_can_start_there_are_no_workers_and_nothing_is_left_to_them(tmp_path, monkeypatch):
    def refused(*words, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("syncd.workers.pool.subprocess.Popen", refused)
    async with HostileServer(FILES) as server, Asker().running(pool(server, tmp_path, [])) as workers:
        assert not workers.workers.accepts(fetch("d5/005.dat"))
