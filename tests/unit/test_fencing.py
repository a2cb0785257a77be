"""A lease that has expired is read again before the next change, and one that was lost stops it."""

import asyncio
import time

import pytest

from manifests.stat import Stat
from syncd.core.errors import LeaseLapsed, LeaseLost
from syncd.stores import lease as leases
from syncd.stores.filesystem.store import FilesystemStore
from syncd.stores.lease import LEASE, Lease, ProcessIdentity
from syncd.wrappers.fenced_store import FencedStore, fenced


class Clocks:
    """One process's lease on a folder without a lock, as on another machine, with clocks that a test moves."""

    def __init__(self, store, name):
        self.now, self.slept = 1000.0, 0
        self.lease = Lease(
            store, name, ttl=60.0, clock=lambda: self.now, ticks=lambda: self.now, sleep=self.sleep,
            place=ProcessIdentity(name, name, 1),
        )  # fmt: skip

    async def sleep(self, _seconds):
        self.slept += 1
        await asyncio.sleep(0)


class Unlocked:
    """A folder without a lock. Python remembers what a class can do, so it is hidden in an object around it."""

    def __init__(self, store):
        self.__dict__["store"] = store

    def __getattr__(self, name):
        if name == "lock":
            raise AttributeError(name)
        return getattr(self.store, name)

    def __setattr__(self, name, value):
        setattr(self.store, name, value)


@pytest.fixture
async def store(tmp_path):
    store = FilesystemStore(tmp_path)
    yield Unlocked(store)
    await store.aclose()


class Fence:
    def __init__(self, *, lost=False):
        self.current, self.lost, self.confirmed = True, lost, 0

    def is_current(self):
        return self.current

    async def confirm(self):
        self.confirmed += 1
        if self.lost:
            raise LeaseLost("lost")
        self.current = True


async def test_a_change_within_the_lease_asks_nothing():
    fence = Fence()
    assert await fenced(fence, lambda: answer("done")) == "done"
    assert fence.confirmed == 0


async def test_a_lease_that_was_lost_stops_the_change_before_it_begins():
    fence, made = Fence(lost=True), []
    fence.current = False

    async def change():
        made.append(1)

    with pytest.raises(LeaseLost):
        await fenced(fence, change)
    assert made == []


async def test_the_result_of_a_change_that_outlasted_a_lost_lease_does_not_count():
    fence = Fence(lost=True)

    async def change():
        fence.current = False

    with pytest.raises(LeaseLost):
        await fenced(fence, change)


async def test_a_change_that_the_guard_refused_is_made_again_once_the_lease_is_confirmed():
    fence, tries = Fence(), []

    async def change():
        tries.append(1)
        if len(tries) == 1:
            fence.current = False
            raise LeaseLapsed("stopped")
        return Stat("p")

    assert await fenced(fence, change) == Stat("p")
    assert (len(tries), fence.confirmed) == (2, 1)


async def answer(value):
    return value


@pytest.mark.promise("P3")
async def test_an_expired_lease_that_no_other_process_took_is_taken_again(store):
    own = Clocks(store, "own")
    assert await own.lease.acquire() == 1
    own.now += 100
    assert not own.lease.is_current()
    await FencedStore(store, own.lease).put("a", b"x")
    assert (own.lease.epoch, own.lease.is_current()) == (2, True)
    assert own.slept == 2, "another process may have been about to take it"


@pytest.mark.promise("P3")
async def test_a_lease_that_another_process_took_stops_every_kind_of_change(store):
    own, other = Clocks(store, "own"), Clocks(store, "other")
    await store.put("a", b"old")
    await own.lease.acquire()
    store.use_guard(own.lease.guard)
    fenced_store = FencedStore(store, own.lease)
    async with fenced_store.stage("b", size=1) as staged:
        await staged.write(0, b"x")
        own.now = other.now = 1100.0
        store.use_guard(lambda _path: None)
        await other.lease.acquire()
        store.use_guard(own.lease.guard)
        with pytest.raises(LeaseLost, match="other"):
            await staged.commit(size=1, sha256="0" * 64)
    for change in (
        lambda: fenced_store.put("a", b"new"),
        lambda: fenced_store.move("a", "c"),
        lambda: fenced_store.copy("a", "c"),
        lambda: fenced_store.delete("a"),
        lambda: fenced_store.sweep(0.0),
    ):
        with pytest.raises(LeaseLost):
            await change()
    assert [stat.path async for stat in store.list("") if not stat.path.startswith(".syncd/")] == ["a"]


@pytest.mark.promise("P3")
async def test_a_change_is_refused_at_the_last_moment(store, monkeypatch):
    own = Clocks(store, "own")
    await own.lease.acquire()
    store.use_guard(own.lease.guard)
    sync = store._group._write

    def stopped(changes, outcomes):
        files = sync(changes, outcomes)
        own.now += 100  # stopped between the bytes and the rename
        return files

    monkeypatch.setattr(store._group, "_write", stopped)
    with pytest.raises(LeaseLapsed, match="a: the lease"):
        await store.put("a", b"x")
    assert [stat.path async for stat in store.list("") if stat.path == "a"] == []


@pytest.mark.promise("P3")
async def test_the_holder_writes_its_lease_again_over_a_late_one(store):
    late, own = Clocks(store, "late"), Clocks(store, "own")
    await late.lease.acquire()
    old = await read(store)
    own.now = 1100.0
    assert await own.lease.acquire() == 2
    await store.put(LEASE, old)  # a renewal that was sent before, and arrived after
    await own.lease.renew()
    assert b'"epoch":2' in await read(store)
    late.now = 1100.0
    with pytest.raises(LeaseLost, match="own"):
        await late.lease.confirm()


async def test_a_renewal_that_ended_too_late_loses_the_lease(store, monkeypatch):
    own = Clocks(store, "own")
    await own.lease.acquire()
    put = store.put

    async def slow(*given, **named):
        own.now += 100
        return await put(*given, **named)

    monkeypatch.setattr(store.store, "put", slow)
    with pytest.raises(LeaseLapsed, match="too late"):
        await own.lease.renew()
    with pytest.raises(LeaseLost, match="renewed too late"):
        await own.lease.confirm()


def test_the_clock_of_a_lease_goes_on_while_the_machine_is_suspended():
    before = time.monotonic()
    assert leases.ticks() >= before


async def read(store):
    async with store.open(LEASE) as chunks:
        return b"".join([chunk async for chunk in chunks])
