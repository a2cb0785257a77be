"""On a store without locks, changes wait until the lease has settled, and reading does not."""

import asyncio

import pytest

from syncd.core.errors import Busy, LeaseLapsed, LeaseLost
from syncd.stores.lease import LEASE
from syncd.wrappers.fenced_store import FencedStore
from tests.unit.test_fencing import Clocks, read, store

__all__ = ("store",)


@pytest.mark.promise("P3")
async def test_a_lease_that_has_not_settled_allows_reading_and_the_first_change_waits_for_it(store):
    await store.put("a", b"old")
    own = Clocks(store, "own")
    assert await own.lease.begin() == 1
    store.use_guard(own.lease.guard)
    fenced_store = FencedStore(store, own.lease)
    assert (await fenced_store.stat("a")).size == 3
    assert (own.slept, own.lease.is_current(), own.lease.epoch) == (0, False, 1)
    with pytest.raises(LeaseLapsed):
        await store.put("a", b"new")
    await fenced_store.put("a", b"new")
    assert (own.slept, own.lease.is_current()) == (1, True)
    await fenced_store.put("b", b"new")
    assert own.slept == 1


@pytest.mark.promise("P3")
async def test_of_two_that_wrote_the_lease_at_once_the_first_one_changes_nothing(store, monkeypatch):
    first, second = Clocks(store, "first"), Clocks(store, "second")
    await first.lease.begin()
    absent = second.lease._read

    async def none_yet():
        monkeypatch.undo()

    monkeypatch.setattr(second.lease, "_read", none_yet)
    put = store.put

    async def both_succeed(path, body, *, if_absent=False, sha256=""):
        return await put(path, body)

    store.__dict__["put"] = both_succeed
    await second.lease.begin()
    del store.__dict__["put"]
    assert await absent()
    with pytest.raises(LeaseLost, match="second"):
        await FencedStore(store, first.lease).put("a", b"x")
    with pytest.raises(LeaseLost):
        await FencedStore(store, first.lease).put("a", b"x")
    assert first.lease.epoch == 0
    await FencedStore(store, second.lease).put("a", b"y")


async def test_a_lost_lease_is_noticed_although_nothing_is_changed(store):
    own, other = Clocks(store, "own"), Clocks(store, "other")
    await own.lease.begin()
    taken = (await read(store)).replace(b'"epoch":1', b'"epoch":2').replace(own.lease._token.encode(), b"0" * 32)
    await store.put(LEASE, taken)
    async with asyncio.timeout(120):
        with pytest.raises(LeaseLost):
            await own.lease.renew_forever()
    with pytest.raises(Busy):
        await other.lease.begin()


async def test_a_lease_that_never_settled_is_released(store):
    own, other = Clocks(store, "own"), Clocks(store, "other")
    store.use_guard(own.lease.guard)
    await own.lease.begin()
    await own.lease.release()
    store.use_guard(lambda _: None)
    assert await other.lease.acquire() == 2
    assert own.slept == 0
