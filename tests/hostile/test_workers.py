"""Small files moved by worker processes: the same truths as in one process, and a worker that dies costs nothing."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from manifests.stat import Stat
from syncd.errors import Exists, Mismatch, NotFound
from syncd.events import TransferRetried
from syncd.governor import Governors
from syncd.mirror_pass import Pass
from syncd.plan import Step
from syncd.pool import ProcessPool
from syncd.ports import Credential
from syncd.stores.filesystem import FilesystemStore
from syncd.transfer import Place, Quarantined
from syncd.upstream import Upstream
from syncd.work import Work
from syncd.workers import Lost
from tests.hostile import faults as f
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring, sums

FILES = {f"d{number % 7}/{number:03}.dat": bytes([number]) * (number * 37) for number in range(120)}


def pool(server, folder, heard, count=2, governors=None):
    upstream = Upstream(url=server.url(), allow_private=frozenset({server.origin}), user_agent="syncd-tests")
    return ProcessPool(count, upstream, str(folder), governors or Governors(), heard.append)


def fetch(path, size=None, **digests):
    return Step("fetch", path, "new upstream", Stat(path, len(FILES[path]) if size is None else size, digests=digests))


async def test_every_file_arrives_proved_under_its_name(tmp_path):
    async with HostileServer(FILES) as server:
        async with pool(server, tmp_path, []).at_work(Place("m", "m/", "p"), "upstream") as workers:
            proved = await asyncio.gather(*(workers.transfer(fetch(path)) for path in FILES))
        assert {one.entry.path: one.entry.size for one in proved} == {path: len(body) for path, body in FILES.items()}
        assert {path: (tmp_path / "m" / path).read_bytes() for path in FILES} == FILES
        assert all(one.process.returncode == 0 for one in workers.all)


async def test_what_fails_in_a_worker_fails_as_it_would_here(tmp_path):
    heard = []
    async with HostileServer(FILES) as server:
        server.fault("d1/001.dat", f.Status(404))
        server.fault("d3/003.dat", f.Status(503, {"Retry-After": "0"}))
        governors = Governors()
        (tmp_path / "m/d5").mkdir(parents=True)
        (tmp_path / "m/d5/005.dat").write_bytes(b"a stranger's")
        async with pool(server, tmp_path, heard, governors=governors).at_work(Place("m", "m/", "p"), "x") as workers:
            with pytest.raises(NotFound, match=r"^d1/001.dat: "):
                await workers.transfer(fetch("d1/001.dat"))
            with pytest.raises(Quarantined, match=r"sha256 0{64} promised") as caught:
                await workers.transfer(fetch("d2/002.dat", sha256="0" * 64))
            with pytest.raises(Mismatch, match="9 bytes promised"):
                await workers.transfer(fetch("d4/004.dat", size=9))
            with pytest.raises(Exists, match=r"^d5/005.dat: "):
                await workers.transfer(fetch("d5/005.dat"))
            assert (await workers.transfer(fetch("d3/003.dat"))).entry.size == len(FILES["d3/003.dat"])
        assert (tmp_path / caught.value.place).read_bytes() == FILES["d2/002.dat"]
        assert (tmp_path / "m/d5/005.dat").read_bytes() == b"a stranger's"
        assert [event.path for event in heard if isinstance(event, TransferRetried)] == ["d3/003.dat"]
        assert governors.of(server.origin).count.refused == 1
        server.assert_spent()


async def test_a_worker_that_is_killed_costs_time_and_never_truth(tmp_path):
    async with HostileServer(FILES) as server:
        server.fault("d6/006.dat", f.Hang())
        async with pool(server, tmp_path, []).at_work(Place("m", "m/", "p"), "x") as workers:
            waiting = asyncio.create_task(workers.transfer(fetch("d6/006.dat")))
            while not any(one.waiting for one in workers.all):
                await asyncio.sleep(0)
            victim = next(one for one in workers.all if one.waiting)
            os.kill(victim.process.pid, signal.SIGKILL)
            with pytest.raises(Lost):
                await waiting
            # the other one goes on, and takes what the first would have had
            assert (await workers.transfer(fetch("d5/005.dat"))).entry.size == len(FILES["d5/005.dat"])
            assert workers.takes(fetch("d4/004.dat"))


async def test_a_pass_with_workers_makes_the_snapshot_that_a_pass_without_them_makes(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.mirror_pass.WORTH", 10)
    ids = {}
    async with HostileServer({**FILES, "SHA256SUMS": sums(FILES)}) as server:
        for count in (0, 2):
            mirroring = HttpMirroring(tmp_path / str(count), server, reader="autoindex")
            async with mirroring.open() as (store, catalogue):
                work = mirroring.work(store, catalogue)
                assert isinstance(store, FilesystemStore)
                with_pool = {name: getattr(work, name) for name in Work.__slots__}
                with_pool["pool"] = pool(server, store.root, [], count) if count else None
                result = await Pass(Work(**with_pool)).run()
                assert result.complete
                assert result.fetched == len(FILES) + 1
                ids[count] = result.snapshot
            await mirroring.close()
    assert ids[0] == ids[2]


async def test_a_worker_is_told_its_secrets_over_its_own_socket_and_ends_with_it(tmp_path):
    async with HostileServer(FILES) as server:
        secret = Upstream(
            url=server.url(),
            allow_private=frozenset({server.origin}),
            credential=Credential("me", server.origin, "bearer", "hush-hush"),
        )
        async with ProcessPool(2, secret, str(tmp_path), Governors(), print).at_work(
            Place("m", "m/", "p"), "x"
        ) as workers:
            await workers.transfer(fetch("d5/005.dat"))
            assert server.requests[-1].headers["authorization"] == "Bearer hush-hush"
            for one in workers.all:
                told = Path(f"/proc/{one.process.pid}/cmdline").read_bytes()
                told += Path(f"/proc/{one.process.pid}/environ").read_bytes()
                assert b"hush" not in told
            ended = workers.all[0]
            ended.writer.close()
            await asyncio.to_thread(ended.process.wait, 10)
            assert ended.process.returncode == 0
