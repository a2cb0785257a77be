"""An aiohttp application on loopback, in a thread of its own: for tests that run the command line, or many programs."""

import asyncio
import contextlib
import socket
import threading

from aiohttp import web


@contextlib.contextmanager
def serving(make):
    """Serve `make(base_url)` and yield the base url, without a slash at its end; the application has `asked`, a list.

    `asked` holds (method, path with query) of every request, in the order in which they came.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        application = make(base)
    except BaseException:
        listening.close()
        raise
    loop = asyncio.new_event_loop()
    asked = []

    @web.middleware
    async def remember(request, handler):
        asked.append((request.method, request.path_qs))
        return await handler(request)

    application.middlewares.append(remember)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    up = threading.Event()

    async def begin():
        await runner.setup()
        await web.SockSite(runner, listening).start()
        up.set()

    def work():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not up.wait(120):
        raise RuntimeError("the server did not come up")
    try:
        yield Site(base, asked)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(120)


class Site:
    """What is served: its url, and what was asked of it."""

    def __init__(self, url, asked):
        self.url = url
        self.asked = asked

    def __str__(self):
        return self.url
