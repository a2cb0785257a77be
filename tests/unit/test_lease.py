"""The right to write to a store ends when it is over, even if the store only keeps us waiting."""

import asyncio

import pytest

from syncd.core.errors import Busy, CredentialRefused, Damaged, Offline, Unreachable
from syncd.stores.filesystem.store import FilesystemStore
from syncd.stores.lease import LEASE, Lease, ProcessIdentity

HERE = ProcessIdentity("here", "here", 12345)


async def test_a_store_that_does_not_answer_in_time_ends_the_lease(tmp_path, monkeypatch):
    store = FilesystemStore(tmp_path)
    lease = Lease(store, "syncd", ttl=3.0, place=HERE)
    await lease.acquire()

    async def hangs(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "put", hangs)
    async with asyncio.timeout(120):
        with pytest.raises(Unreachable, match="could not be renewed in time"):
            await lease.renew_forever()
    await store.aclose()


async def test_a_lease_that_is_renewed_in_time_goes_on(tmp_path):
    store = FilesystemStore(tmp_path)
    lease, count = Lease(store, "syncd", ttl=30.0, place=HERE), 0

    async def soon(_):
        nonlocal count
        count += 1
        if count > 20:
            raise KeyboardInterrupt

    lease._sleep = soon
    await lease.acquire()
    with pytest.raises(KeyboardInterrupt):
        await lease.renew_forever()
    await lease.release()
    await store.aclose()


def held_lease(store, now, holder="syncd", *, host="here"):
    """A lease whose clock is `now[0]` and which never really sleeps."""

    async def moment(_):
        await asyncio.sleep(0)

    place = ProcessIdentity(host, host, 12345)
    return Lease(store, holder, ttl=60.0, clock=lambda: now[0], sleep=moment, place=place)


@pytest.mark.promise("P5")
async def test_keys_that_are_rejected_for_a_while_do_not_end_the_lease_and_at_its_end_are_waited_for(
    tmp_path, monkeypatch
):
    store, now, tries = FilesystemStore(tmp_path), [1000.0], []
    lease = held_lease(store, now)
    await lease.acquire()
    put = store.put

    async def denied(path, body, **more):
        tries.append(now[0])
        now[0] += 10
        if len(tries) == 4:
            return await put(path, body, **more)  # the keys were renewed
        raise CredentialRefused("lease: S3 answers 400 ExpiredToken")

    monkeypatch.setattr(store, "put", denied)
    with pytest.raises(Offline, match="ExpiredToken"):
        await lease.renew_forever()
    assert len(tries) >= 4 + 5  # until the end of the lease that the fourth renewed
    await store.aclose()


async def test_a_store_that_is_away_for_a_moment_does_not_end_the_lease(tmp_path, monkeypatch):
    store, now, tries = FilesystemStore(tmp_path), [1000.0], []
    lease = held_lease(store, now)
    await lease.acquire()

    async def away(*_, **__):
        tries.append(now[0])
        now[0] += 25
        raise Unreachable("the store is away")

    monkeypatch.setattr(store, "put", away)
    with pytest.raises(Unreachable, match="the store is away"):
        await lease.renew_forever()
    assert tries == [1000.0, 1025.0, 1050.0], "it is tried until the lease is over, and no longer"
    await store.aclose()


async def test_who_comes_first_where_no_lease_is_yet_keeps_it(tmp_path, monkeypatch):
    store, now = FilesystemStore(tmp_path), [1000.0]
    first, second = held_lease(store, now, "first"), held_lease(store, now, "second", host="elsewhere")
    await first.acquire()
    first._lock = None  # as of another machine: the lock of this system says nothing of it
    read, seen = second._read, []

    async def nothing_yet():
        seen.append(await read())
        return None if len(seen) == 1 else seen[-1]

    monkeypatch.setattr(second, "_read", nothing_yet)
    with pytest.raises(Busy, match="first"):
        await second.acquire()
    assert second.epoch == 0
    first.check()
    await first.renew()
    await store.aclose()


@pytest.mark.parametrize(
    ("body", "why"), [(b"{}", "not a valid lease"), (b"\xff", "not a valid lease"), (b" " * 100_000, "longer than")]
)
async def test_a_lease_that_cannot_be_read_lets_nobody_write_and_says_what_to_do(tmp_path, body, why):
    store = FilesystemStore(tmp_path)
    await store.put(LEASE, body)
    with pytest.raises(Damaged, match=f"{why}.*; remove it if no daemon runs"):
        await held_lease(store, [1000.0]).acquire()
    assert b"".join([chunk async for chunk in store_body(store)]) == body
    await store.aclose()


async def store_body(store):
    async with store.open(LEASE) as chunks:
        async for chunk in chunks:
            yield chunk
