"""A Governor finds an origin's level, falls back when refused, and closes when told to."""

import asyncio
from typing import Any

import pytest

from syncd.core.errors import Refused, Unsafe
from syncd.wrappers import absence
from syncd.wrappers.fair_share import alone
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governor import CEILING, OURS, START, Governor
from syncd.wrappers.governors import KNOWN, Governors
from tests.fakes import Archive


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Upstream:
    """Answers each request after `latency`; refuses above `cap`, and slows down above `knee`."""

    def __init__(self, clock, *, latency=0.2, cap=10**9, knee=10**9):
        self.clock, self.latency, self.cap, self.knee = clock, latency, cap, knee

    def run(self, governor, seconds):
        """Simulate: whoever may enter does, each is answered when its time has come; returns the refusals."""
        import heapq

        due, refusals, number = [], 0, 0
        while self.clock.now < seconds:
            while governor.busy < governor.limit:
                governor.busy += 1
                governor._full = governor.busy >= governor.limit
                refused = governor.busy > self.cap
                slow = max(1.0, governor.busy / self.knee)
                number += 1
                began = self.clock.now + number % 7 * 0.001
                heapq.heappush(due, (began + self.latency * (0.5 if refused else slow), began, refused))
            at, began, refused = heapq.heappop(due)
            self.clock.now = max(self.clock.now, at)
            governor.busy -= 1
            if refused:
                refusals += 1
                governor.refused()
            else:
                governor.answered(at - began)
        return refusals


def test_it_doubles_while_goodput_grows_and_reaches_the_ceiling_in_a_few_round_trips():
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    assert governor.limit == START
    Upstream(clock).run(governor, 2.0)
    assert governor.limit >= 56


def test_it_holds_where_more_slots_bring_nothing():
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    Upstream(clock, knee=12).run(governor, 60.0)
    assert 10 <= governor.limit <= 32


def test_it_stays_below_a_level_that_was_refused():
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    refusals = Upstream(clock, cap=20).run(governor, 30.0)
    assert 12 <= governor.limit <= 20
    assert refusals < 150


def test_a_manifest_caps_it():
    assert Governors().of("http://x", connections=3).limit == 3


def test_of_the_limits_that_several_mirrors_name_for_an_origin_the_strictest_hold():
    governors = Governors()
    governor = governors.of("http://x", connections=9, rate=1000.0)
    assert governors.of("http://x", connections=30, rate=5000.0) is governor
    assert (governor.ceiling, governor.limit) == (9, 9)
    governors.of("http://x", connections=2, rate=500.0)
    governors.of("http://x")
    assert (governor.ceiling, governor.limit) == (2, 2)
    assert governor.moved(500) > 0.8


def test_what_is_lent_to_other_processes_is_not_ours_until_they_end():
    clock = Clock()
    governors = Governors(clock=clock)
    governor = governors.of("http://x")
    with governor.lent(governor.to_lend):
        assert governor.limit == CEILING // OURS
        assert governor.to_lend == 0
        governors.forget("http://x")
        assert governors.of("http://x") is governor
        Upstream(clock).run(governor, 30.0)
        assert governor.limit == CEILING // OURS
    assert governor.limit == START
    governor.busy = 0
    Upstream(clock).run(governor, 32.0)
    assert governor.limit == CEILING


async def test_slots_that_are_in_use_are_not_lent():
    governor = Governor("http://x")
    for _ in range(START):
        await governor.enter()
    assert governor.to_lend == CEILING - START


def test_what_upstream_refused_while_it_was_lent_is_not_forgotten_with_it():
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    Upstream(clock).run(governor, 5.0)
    governor.busy = 0
    assert governor.limit == CEILING
    with governor.lent(governor.to_lend):
        governor.refused(by_hearsay=True)
        assert governor.limit == 1
    assert governor.limit == 42, "three quarters of the 56 that were refused together"
    assert governor.to_lend == 55 - CEILING // OURS
    clock.now += 100
    assert governor.to_lend == CEILING - CEILING // OURS


def test_an_origin_has_one_governor_as_long_as_somebody_reads_from_it():
    governors = Governors()
    source = GovernedTransport(Archive(), governors, "http://x/", connections=3)
    governors.forget("http://x")
    assert governors.of("http://x") is source.governor
    source.governor.holders = 0
    assert governors.of("http://x", connections=9).ceiling == 9


def test_origins_that_nobody_reads_from_are_not_remembered_for_ever():
    governors = Governors()
    used = governors.of("http://used")
    used.busy = 1
    for number in range(3 * KNOWN):
        governors.of(f"http://{number}")
    assert len(list(governors)) <= KNOWN
    assert governors.of("http://used") is used


@pytest.mark.parametrize("limits", [{"connections": 8}, {"rate": 1e9}])
def test_where_a_manifest_sets_limits_nothing_is_lent_for_one_process_keeps_them(limits):
    assert Governors().of("http://x", **limits).to_lend == 0
    assert Governors().of("http://x", connections=200).to_lend == 175


@pytest.mark.fault(24)
async def test_retry_after_closes_the_origin_for_everybody():
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    governor.refused(retry_after=0.03)
    began = asyncio.get_running_loop().time()
    task = asyncio.create_task(governor.enter())
    await asyncio.sleep(0.01)
    assert not task.done()
    clock.now += 1
    await task
    assert asyncio.get_running_loop().time() - began >= 0.029


async def test_nobody_enters_above_the_limit_and_everybody_gets_in_at_last():
    governor = Governor("http://x", ceiling=3)
    inside = most = 0

    async def one():
        nonlocal inside, most
        await governor.enter()
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        governor.leave()

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(one())
    assert (most, governor.busy) == (3, 0)


async def test_a_cancelled_waiter_gives_its_turn_to_the_next():
    governor = Governor("http://x", ceiling=1)
    await governor.enter()
    first, second = asyncio.create_task(governor.enter()), asyncio.create_task(governor.enter())
    await asyncio.sleep(0)
    governor.leave()
    first.cancel()
    await asyncio.wait_for(second, 120)
    assert governor.busy == 1


async def test_a_rate_is_kept():
    clock = Clock()
    governor = Governor("http://x", rate=1000.0, clock=clock)
    owed = sum(1 for _ in range(10) if governor.moved(100) > 0)
    assert owed >= 8
    assert governor.moved(0) == pytest.approx(0.9, abs=0.11)


async def test_a_refusal_gives_the_slot_back_and_slows_the_origin():
    class Refusing:
        def open(self, path, **_):
            return self

        async def __aenter__(self):
            raise Refused("x: 503", retry_after=None)

        async def __aexit__(self, *_):
            return None

    refusing: Any = Refusing()
    governed = GovernedTransport(refusing, Governors(), "http://x/")
    before = governed.governor.limit
    with pytest.raises(Refused):
        async with governed.open("a"):
            pass
    assert governed.governor.busy == 0
    assert governed.governor.limit < before


def away():
    """Return a governor all of whose slots are taken, and whose origin is away; it may be tried now."""
    clock = Clock()
    governor = Governor("http://x", clock=clock)
    while governor.enter_now():
        pass
    for _ in range(absence.SILENT):
        governor.absence.lost(is_known=True)
    clock.now += absence.FIRST
    return governor


async def test_who_tries_an_origin_that_is_away_waits_for_a_slot_and_not_for_itself():
    governor = away()
    trying = asyncio.create_task(governor.enter())
    await asyncio.sleep(0)
    assert not trying.done()
    governor.leave()
    await asyncio.wait_for(trying, 60)
    assert governor.absence.is_away


async def test_who_stops_waiting_for_a_slot_lets_another_one_try():
    governor = away()
    trying = asyncio.create_task(governor.enter())
    await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    await asyncio.wait_for(governor.absence.wait(), 60)


async def test_who_stops_asking_for_a_file_lets_another_one_try():
    class Silent:
        async def stat(self, path):
            await asyncio.Event().wait()

    silent: Any = Silent()
    governed = GovernedTransport(silent, Governors(), "http://x/")
    for _ in range(absence.SILENT):
        governed.governor.absence.lost(is_known=True)
    governed.governor.absence._next = 0.0
    asked = asyncio.create_task(governed.stat("f"))
    while not governed.governor.busy:
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.wait_for(governed.governor.absence.wait(), 60)


async def test_what_is_no_url_is_left_to_the_transport_to_refuse():
    class Refusing:
        def open(self, path, **_):
            raise Unsafe(f"{path}: this url has an invalid port")

    refusing: Any = Refusing()
    with pytest.raises(Unsafe):
        GovernedTransport(refusing, Governors(), "http://x/").open("http://x:99999/y")


async def test_a_share_alone_uses_the_whole_and_always_admits_one():
    budget = alone(100, 2)
    await budget.acquire(1000)
    waiting = [asyncio.create_task(budget.acquire(60)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    budget.release(1000)
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, False, False]
    waiting[1].cancel()
    budget.release(60)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting[2].done()
    budget.release(60)
    assert (budget.bytes, budget.files) == (0, 0)


def test_an_operators_pause_ends_when_it_is_ended_and_upstreams_stays():
    now = [0.0]
    governors = Governors(clock=lambda: now[0])
    governors.pause("https://x", 100.0)
    governor = governors.of("https://x")
    assert (governor.is_closed, governor.closed_for, governor.enter_now(), governor.to_lend) == (True, 100.0, False, 0)
    governor.refused(30.0)
    governors.pause("https://x", 0.0)
    assert governor.closed_for == 30.0
    now[0] = 31.0
    assert governor.enter_now()


def test_an_operators_rate_counts_whatever_manifests_say():
    governors = Governors()
    governors.order_rate("https://x", 5e6)
    assert governors.of("https://x", rate=1e6).rate == 5e6
    governors.of("https://x", rate=1e3)
    assert governors.of("https://x").rate == 5e6
    governors.order_rate("https://x", None)
    assert (governors.of("https://x", rate=1e3).rate, governors.of("https://x").is_rated) == (None, False)
