"""The right to write to a store ends when it is over, even if the store only keeps us waiting."""

import asyncio

import pytest

from syncd.core.errors import Unreachable
from syncd.stores.filesystem.store import FilesystemStore
from syncd.stores.lease import Lease, ProcessIdentity

HERE = ProcessIdentity("here", "here", 12345)


async def test_a_store_that_does_not_answer_in_time_ends_the_lease(tmp_path, monkeypatch):
    store = FilesystemStore(tmp_path)
    lease = Lease(store, "syncd", ttl=0.3, place=HERE)
    await lease.acquire()

    async def hangs(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "put", hangs)
    async with asyncio.timeout(30):
        with pytest.raises(Unreachable, match="could not be renewed while it was ours"):
            await lease.keep()
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
        await lease.keep()
    await lease.release()
    await store.aclose()
