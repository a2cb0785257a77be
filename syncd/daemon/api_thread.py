"""Serves the API and the page in a thread of their own, so that no answer waits for the passes on the daemon's loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from syncd.api import CONTROL_SOCKET, Metrics, RunningServer, Site, bound_socket, serving
from syncd.config import Config
from syncd.control import Control
from syncd.daemon.threaded_control import run_on, threaded_control
from syncd.process import loop_thread
from syncd.session import group_id


@dataclass(frozen=True, slots=True)
class ApiThread:
    """The running HTTP side, as the daemon's loop sees it."""

    url: str
    _server: RunningServer
    _loop: asyncio.AbstractEventLoop

    def on_config(self, config: Config) -> None:
        """Let the tokens of a new configuration take effect."""
        self._loop.call_soon_threadsafe(self._server.tokens.replace, config.tokens)


@asynccontextmanager
async def api_thread(
    control: Control,
    config: Config,
    metrics: Metrics | None,
    site: Site | None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[ApiThread]:
    """Serve within the block. `control` and `metrics` belong to the loop of the caller. Raises as `serving` does."""
    here = asyncio.get_running_loop()

    @asynccontextmanager
    async def there() -> AsyncIterator[ApiThread]:
        group = group_id(config.control.group, "control.group") if config.control.group is not None else None
        holding = ExitStack()
        local = await asyncio.to_thread(holding.enter_context, bound_socket(config.state / CONTROL_SOCKET, group))
        try:
            async with _served(local) as thread:
                yield thread
        finally:
            await asyncio.to_thread(holding.close)

    @asynccontextmanager
    async def _served(local: socket.socket) -> AsyncIterator[ApiThread]:
        async with serving(
            threaded_control(control, here),
            listen=config.listen,
            settings=config.api,
            tokens=config.tokens,
            metrics=run_on(here, metrics) if metrics is not None else None,
            site=site,
            environ=environ,
            local=local,
        ) as served:
            yield ApiThread(served.url, served, asyncio.get_running_loop())

    async with loop_thread(there, "api") as running:
        yield running
