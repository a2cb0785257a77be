"""What the engine tells its listeners, event by event, so that those who count need not guess."""

import asyncio

import pytest

from syncd.core import events
from syncd.core.errors import Interrupted, NotFound
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.origin_count import FIRST_BYTE
from tests.acceptance.mirroring import Mirroring, scenes
from tests.fakes import Archive, break_after, flip


def told(mirroring, kind):
    return [event for event in mirroring.events if type(event) is kind]


async def test_a_file_that_comes_twice_is_told_of_with_the_reason(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(scenes(), digests=("md5",)))
    mirroring.archive.faults["LC08/2/b05.tif"] = [flip]
    await mirroring.run()
    mirroring.archive.assert_spent()
    (again,) = told(mirroring, events.TransferRestarted)
    assert (again.path, again.error) == ("LC08/2/b05.tif", "Mismatch")
    assert "md5" in again.reason


async def test_a_governor_counts_what_goes_over_its_origin():
    archive = Archive({"a": b"1234", "b": b"12345678"}, chunk=4)
    archive.faults["b"] = [break_after(1)]
    governors = Governors()
    governed = GovernedTransport(archive, governors, "http://x/")
    async with governed.open("a") as body:
        assert [chunk async for chunk in body] == [b"1234"]
    with pytest.raises(Interrupted):
        async with governed.open("b") as body:
            assert [chunk async for chunk in body]
    with pytest.raises(NotFound):
        await governed.stat("c")
    with pytest.raises(NotFound):
        async with governed.open("c"):
            pass
    (governor,) = governors
    count = governor.count
    assert (count.answered, count.failed, count.refused, count.bytes) == (2, 3, 0, 8)
    assert (sum(count.first_byte), len(count.first_byte)) == (2, len(FIRST_BYTE) + 1)
    assert 0 <= count.seconds < 1


async def test_a_governor_counts_refusals_and_the_waits_they_cost():
    governors = Governors()
    governor = governors.of("http://x", rate=1000.0)
    governor.refused(0.02)
    governor.refused(0.02)
    assert governor.is_closed
    waiting = asyncio.create_task(governor.enter())
    await waiting
    assert not governor.is_closed
    assert (governor.count.refused, governor.count.asked_to_wait > 0.01, governor.waiting) == (2, True, 0)
    assert governor.moved(2000) == pytest.approx(governor.count.held_to_rate)
    assert governor.count.held_to_rate == pytest.approx(1.9, abs=0.15)
