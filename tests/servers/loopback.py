"""A server on loopback that ends with its connections: the part that proxies in front of real servers share."""

import asyncio


class LoopbackServer:
    """Listens on `port` inside its block; each connection is a task in `_tasks`, which `_serve` plays."""

    port = 0

    async def _serve(self, reader, writer):
        raise NotImplementedError

    def _security(self):
        """Return the ssl context of the listener, or None."""
        return

    def _accept(self, reader, writer):
        """Play a connection. It is closed at the end also if its task was cancelled before it began."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        self._writers.append(writer)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self):
        self._tasks: set = set()
        self._writers: list = []
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._security(), limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)
        await self._server.wait_closed()
