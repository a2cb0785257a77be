"""A served API in a thread of its own, for clients that wait where they ask: browsers, schemathesis."""

import asyncio
import threading
from contextlib import contextmanager

from syncd.api import serving
from tests.api.conftest import PAGE, TOKENS


class Elsewhere:
    """The url of the API, and the daemon in memory behind it."""

    def __init__(self, control, loop):
        self.control = control
        self.url = ""
        self.tokens = None
        self._loop = loop

    def feed(self, event):
        """Let something happen."""
        self._loop.call_soon_threadsafe(self.control.feed, event)


@contextmanager
def served_in_thread(control, **more):
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found = Elsewhere(control, loop)
    stop = asyncio.Event()
    given = {
        "listen": "127.0.0.1:0",
        "tokens": TOKENS,
        "clock": lambda: control.now,
        "slowness": 0.0,
        "tick": 0.05,
        "site": PAGE,
    }

    async def serve():
        async with serving(control, **{**given, **more}) as served:
            found.url, found.tokens = served.url, served.tokens
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(120)
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        loop.close()
