"""Bytes in memory are limited over all files, in the order of requests."""

import asyncio

import pytest
from hypothesis import given, strategies as st

from syncd.stores.s3.byte_room import ByteRoom
from transports.http.request_body import blocks, length_of

PASS = "a pass"


async def acquired(room, count, order, name, owner=PASS):
    await room.acquire(count, owner)
    order.append(name)


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_are_admitted_in_order_and_never_beyond_the_limit():
    room, order = ByteRoom(100), []
    await room.acquire(80, PASS)
    await room.acquire(5, PASS)
    async with asyncio.TaskGroup() as group:
        for name, count in (("large", 90), ("small", 5), ("smaller", 4)):
            group.create_task(acquired(room, count, order, name))
        await turn()
        assert (order, room.used) == ([], 85), "a small one does not overtake"
        assert not room.acquire_now(1, PASS)
        room.release(80, PASS)
        await turn()
        assert (order, room.used) == (["large", "small"], 100)
        room.release(5, PASS)
        await turn()
        assert (order, room.used) == (["large", "small", "smaller"], 99)
        assert room.acquire_now(1, PASS)


async def test_a_request_above_the_limit_is_admitted_alone():
    room, order = ByteRoom(100), []
    await room.acquire(1, PASS)
    waiting = asyncio.create_task(acquired(room, 500, order, "huge"))
    await turn()
    assert order == []
    room.release(1, PASS)
    await waiting
    assert room.used == 500


async def test_a_pass_that_holds_nothing_does_not_wait_for_a_slow_one():
    room, order = ByteRoom(100), []
    await room.acquire(90, "slow")
    waiting = asyncio.create_task(acquired(room, 90, order, "slow again", "slow"))
    await turn()
    assert room.acquire_now(60, "other")
    assert not room.acquire_now(60, "other")
    room.release(60, "other")
    assert order == []
    room.release(90, "slow")
    await waiting
    assert room.used == 90


async def test_a_request_that_is_cancelled_takes_nothing_and_lets_others_pass():
    room, order = ByteRoom(100), []
    await room.acquire(90, PASS)
    gone = asyncio.create_task(acquired(room, 50, order, "gone"))
    waiting = asyncio.create_task(acquired(room, 10, order, "next"))
    await turn()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await waiting
    assert (order, room.used) == (["next"], 100)
    late = asyncio.create_task(acquired(room, 50, order, "late"))
    await turn()
    room.release(100, PASS)  # admitted, and cancelled before it goes on
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert room.used == 0


@given(st.lists(st.binary(max_size=40), max_size=9), st.integers(1, 17), st.integers(0, 50))
def test_a_body_of_several_buffers_is_sent_complete_in_blocks_with_a_short_last_one(body, size, last):
    last = min(last, length_of(body))
    found = [b"".join(block) for block in blocks(body, size, last)]
    assert b"".join(found) == b"".join(body)
    assert all(found)
    assert all(len(block) <= size for block in (found[:-1] if last else found))
    if last:
        assert len(found[-1]) == last
