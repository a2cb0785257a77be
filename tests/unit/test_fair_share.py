"""Nobody starves, nobody takes all, and never more than the whole is out."""

import asyncio

from hypothesis import given, settings, strategies as st

from syncd.wrappers.fair_share import FairShares


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def flood(share, size, group, taken, *, give=True):
    """Take as much as can be had, for ever."""
    held = asyncio.Event()

    async def one():
        await share.acquire(size)
        taken.append(size)
        try:
            await held.wait()
        finally:
            if give:
                share.release(size)

    for _ in range(200):
        group.append(asyncio.create_task(one()))
    await turns()


async def end(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_lone_share_uses_three_quarters_and_whoever_comes_finds_room_at_once():
    whole, tasks, taken = FairShares(1000, 100), [], []
    with whole.share("a") as large, whole.share("b") as small:
        await flood(large, 10, tasks, taken)
        assert (large.bytes, large.files) == (750, 75)
        for _ in range(10):  # nothing of the large one ever ends
            await asyncio.wait_for(small.acquire(10), 120)
        assert whole.bytes == 850
        for _ in range(10):
            small.release(10)
        await end(tasks)
    assert (whole.bytes, whole.files) == (0, 0)


async def test_a_large_file_is_not_starved_by_many_small_ones():
    whole, tasks = FairShares(1000, 1000), []
    with whole.share("a") as many, whole.share("b") as one:
        await flood(many, 10, tasks, [], give=False)
        wanted = asyncio.create_task(one.acquire(900))
        await turns()
        assert not wanted.done()
        for n in range(70):  # each that ends gives way to the one that waits, not to the next small one
            assert not wanted.done(), n
            many.release(10)
            await turns(1)
            if wanted.done():
                break
        await asyncio.wait_for(wanted, 120)
        assert one.bytes == 900
        one.release(900)
        await end(tasks)


async def test_what_is_larger_than_the_whole_goes_alone():
    whole = FairShares(100, 10)
    with whole.share("a") as one, whole.share("b") as other:
        await asyncio.wait_for(one.acquire(5_000), 120)
        waits = asyncio.create_task(other.acquire(1))
        await turns()
        assert not waits.done()
        one.release(5_000)
        await asyncio.wait_for(waits, 120)


async def test_an_origin_with_many_mirrors_gets_no_more_than_one_with_one():
    whole, tasks = FairShares(1 << 40, 120), []
    shares = []
    with whole.share("lone") as lone:
        gates = [whole.share("crowd") for _ in range(5)]
        shares = [gate.__enter__() for gate in gates]
        for share in (*shares, lone):
            for _ in range(100):
                tasks.append(asyncio.create_task(share.acquire(0)))
        await turns()
        crowd = sum(share.files for share in shares)
        # all of the crowd was there first and took what it could; what comes free goes to the lone one until it is even
        for _ in range(200):
            for share in shares:
                if share.files:
                    share.release(0)
            await turns(1)
            if lone.files >= sum(share.files for share in shares):
                break
        assert lone.files >= sum(share.files for share in shares), (crowd, lone.files)
        await end(tasks)
        for gate in gates:
            gate.__exit__(None, None, None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["take", "give", "cancel"]), st.integers(0, 300)), max_size=80
    )
)
def test_never_more_than_the_whole_is_out_and_all_comes_back(acts):
    async def play():
        whole = FairShares(500, 7)
        gates = [whole.share("ab"[n % 2], max_files=5) for n in range(4)]
        shares = [gate.__enter__() for gate in gates]
        pending, held = [], []
        for number, act, size in acts:
            if act == "take":
                pending.append((number, size, asyncio.create_task(shares[number].acquire(size))))
            elif act == "give" and held:
                who, count = held.pop(0)
                shares[who].release(count)
            elif act == "cancel" and pending:
                pending.pop()[2].cancel()
            await turns()
            held += [(who, count) for who, count, task in pending if task.done()]
            pending = [one for one in pending if not one[2].done()]
            assert whole.files == len(held) == sum(share.files for share in shares) <= 7
            assert whole.bytes == sum(count for _, count in held)
            assert whole.bytes <= 500 or len(held) == 1
            assert all(share.files <= 5 for share in shares)
        while held or pending:  # whoever waits is served in the end
            if held:
                who, count = held.pop(0)
                shares[who].release(count)
            await turns()
            done = [one for one in pending if one[2].done()]
            assert done or held or not pending, "somebody waits while nothing is out"
            held += [(who, count) for who, count, _ in done]
            pending = [one for one in pending if not one[2].done()]
        assert (whole.bytes, whole.files) == (0, 0)

    asyncio.run(play())


async def test_who_is_cancelled_while_waiting_takes_nothing():
    whole = FairShares(10, 5)
    with whole.share("a") as one, whole.share("b") as other:
        await other.acquire(8)
        waits = asyncio.create_task(one.acquire(5))
        await turns()
        await end([waits])
        assert (whole.bytes, whole.files, len(one.waiting)) == (8, 1, 0)
        other.release(8)
        assert whole.files == 0


async def test_who_is_cancelled_just_as_another_is_let_in_ends_as_cancelled():
    whole = FairShares(10, 10)
    with whole.share("a") as one, whole.share("b") as other:
        await one.acquire(10)
        waiting = asyncio.create_task(other.acquire(10))
        await turns()
        waiting.cancel()
        one.release(10)  # looks through who waits before the task itself wakes up
        await asyncio.wait({waiting})
        assert (waiting.cancelled(), whole.bytes, whole.files) == (True, 0, 0)


async def test_a_share_that_ends_gives_back_what_it_still_holds_and_lets_others_in():
    fair = FairShares(100, 10)
    with fair.share("b") as other:
        with fair.share("a") as cut:
            await cut.acquire(100)
            waiting = asyncio.create_task(other.acquire(50))
            await turns()
            assert not waiting.done()
        await waiting
        assert (fair.bytes, fair.files) == (50, 1)
    assert (fair.bytes, fair.files) == (0, 0)


async def test_what_is_to_be_had_at_once_is_taken_at_once_and_nobody_who_waits_is_overtaken():
    whole = FairShares(1 << 40, 16)
    with whole.share("a") as workers, whole.share("b") as other:
        assert workers.acquire_now(64) == 12
        assert (workers.files, len(workers.waiting)) == (12, 0)
        for _ in range(3):
            await asyncio.wait_for(other.acquire(0), 120)
        waiting = asyncio.create_task(other.acquire(0))
        await turns()
        assert not waiting.done()
        assert workers.acquire_now(64) == 0
        for _ in range(10):
            workers.release(0)
        await asyncio.wait_for(waiting, 120)
        assert workers.acquire_now(2) == 2
    assert whole.files == 0
