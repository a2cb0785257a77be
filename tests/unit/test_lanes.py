"""Work over a list by several tasks at once."""

import asyncio

import pytest

from syncd.core import in_lanes


async def test_each_row_is_done_once_and_no_more_than_the_width_are_under_way():
    under_way, most, done = set(), 0, []

    async def act(row):
        nonlocal most
        under_way.add(row)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(row)
        done.append(row)

    await in_lanes(3, iter(range(20)), act)
    assert sorted(done) == list(range(20))
    assert most == 3
    await in_lanes(3, [], act)


async def test_a_failure_is_raised_itself_and_no_further_row_is_begun():
    begun = []

    async def act(row):
        begun.append(row)
        await asyncio.sleep(0)
        if row == 1:
            raise ValueError("row 1")
        await asyncio.Event().wait()  # until it is cancelled

    with pytest.raises(ValueError, match="row 1"):
        await in_lanes(2, range(20), act)
    assert begun == [0, 1]
