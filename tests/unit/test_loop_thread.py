"""A context on a loop of its own, and a daemon's Control asked from there."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest

from syncd.core import EventsLost, NotFound, TransferFinished
from syncd.daemon.event_bus import EventBus
from syncd.daemon.threaded_control import threaded_control
from syncd.process import first_of, loop_thread


@asynccontextmanager
async def elsewhere():
    yield asyncio.get_running_loop(), threading.current_thread()


async def there(loop, work):
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


async def test_a_context_lives_in_a_thread_with_its_own_loop_and_ends_with_the_block():
    async with loop_thread(elsewhere, "beside") as (loop, thread):
        assert thread.name == "beside"
        assert thread is not threading.current_thread()
        assert await there(loop, asyncio.sleep(0, "answer")) == "answer"
    await asyncio.to_thread(thread.join, 10)
    assert loop.is_closed()


async def test_what_prevents_a_context_from_opening_is_raised_as_it_is():
    @asynccontextmanager
    async def broken():
        raise NotFound("no such address")
        yield

    with pytest.raises(NotFound, match="no such address"):
        async with loop_thread(broken, "beside"):
            pytest.fail("it did not open")


async def test_a_context_that_fails_later_ends_the_block():
    @asynccontextmanager
    async def brittle():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield

    async def fail():
        await asyncio.sleep(0.01)
        raise NotFound("gone")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with loop_thread(brittle, "beside"):
            await asyncio.sleep(60)
    assert isinstance(first_of(caught.value), NotFound)


async def test_a_failure_of_the_block_leaves_no_thread():
    with pytest.raises(BaseExceptionGroup) as caught:
        async with loop_thread(elsewhere, "beside") as (_, thread):
            raise NotFound("ours")
    assert isinstance(first_of(caught.value), NotFound)
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


class Daemon:
    """As much of a Control as crosses threads."""

    def __init__(self):
        self.bus = EventBus()
        self.thread = threading.current_thread()

    def daemon(self):
        return threading.current_thread()

    async def passes(self):
        return threading.current_thread()

    async def sync(self, name, who):
        if name == "unknown":
            raise NotFound(name)
        return threading.current_thread(), name, who

    @asynccontextmanager
    async def subscribe(self):
        with self.bus.subscribed() as subscription:
            yield aiter(subscription)


def crossing(daemon):
    return threaded_control(daemon, asyncio.get_running_loop())


async def test_only_what_reads_memory_or_the_catalogue_is_asked_in_the_other_thread():
    daemon = Daemon()
    control = crossing(daemon)
    async with loop_thread(elsewhere, "beside") as (loop, thread):

        async def ask():
            return control.daemon(), await control.passes(), await control.sync("one", "me")

        assert await there(loop, ask()) == (thread, thread, (daemon.thread, "one", "me"))
        with pytest.raises(NotFound, match="unknown"):
            await there(loop, control.sync("unknown", "me"))


async def test_a_view_is_answered_while_the_daemons_loop_stands_still():
    control = crossing(Daemon())
    async with loop_thread(elsewhere, "beside") as (loop, _):

        async def ask():
            return control.daemon(), await control.passes()

        asked = asyncio.run_coroutine_threadsafe(ask(), loop)
        until = time.monotonic() + 30
        while not asked.done() and time.monotonic() < until:
            time.sleep(0.001)  # this loop does nothing else
        assert asked.done()


async def test_events_cross_in_order_and_end_with_the_daemon():
    daemon = Daemon()
    control = crossing(daemon)
    heard = []

    async def listen(begun):
        async with control.subscribe() as events:
            begun.set()
            async for event in events:
                heard.append(event.path)

    async with loop_thread(elsewhere, "beside") as (loop, _):
        begun = threading.Event()
        listening = asyncio.run_coroutine_threadsafe(listen(begun), loop)
        await asyncio.to_thread(begun.wait, 30)
        for n in range(700):
            daemon.bus(finished(n))
            if n % 100 == 0:
                await asyncio.sleep(0.001)
        daemon.bus.end()
        await asyncio.wait_for(asyncio.wrap_future(listening), 120)
    assert heard == [f"f{n}" for n in range(700)]


async def test_a_slow_subscriber_in_another_thread_loses_events_and_hears_how_many():
    daemon = Daemon()
    control = crossing(daemon)
    heard, go = [], threading.Event()

    async def listen(begun):
        async with control.subscribe() as events:
            begun.set()
            async for event in events:
                heard.append(event)
                await asyncio.to_thread(go.wait, 30)

    async with loop_thread(elsewhere, "beside") as (loop, _):
        begun = threading.Event()
        listening = asyncio.run_coroutine_threadsafe(listen(begun), loop)
        await asyncio.to_thread(begun.wait, 30)
        for n in range(5_000):
            daemon.bus(finished(n))
            if n % 500 == 0:
                await asyncio.sleep(0.001)
        daemon.bus.end()
        go.set()
        await asyncio.wait_for(asyncio.wrap_future(listening), 120)
    lost = sum(event.count for event in heard if isinstance(event, EventsLost))
    assert lost > 0
    assert len(heard) - sum(isinstance(event, EventsLost) for event in heard) + lost == 5_000


def finished(number):
    return TransferFinished("one", f"f{number}", 1, "attested", replaced=False, seconds=0.0)
