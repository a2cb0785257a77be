"""The control connections of one FTP transport: idle ones are used again, after a sign of life."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from syncd.core import NotFound, Refused
from transports.ftp.control import FtpControl, FtpServer

FRESH = 2.0  # seconds; a connection that was idle for longer is asked for a sign of life first
KEEP_IDLE = 20.0  # seconds; many servers close an idle connection within a minute
T = TypeVar("T")


class FtpConnections:
    """Logged-in control connections to one server, opened as they are needed."""

    def __init__(self, server: FtpServer, clock: Callable[[], float]) -> None:
        self.server = server
        self.certificates: dict[str, float] = {}
        self.growing: set[str] = set()
        """Files that were longer at their end than announced before: no length is announced for them any more."""
        self._clock = clock
        self._idle: list[FtpControl] = []

    def keep(self, control: FtpControl) -> None:
        """Keep a control connection for the next read."""
        control.used_at = self._clock()
        self._idle.append(control)

    async def ask(self, ask: Callable[[FtpControl], Awaitable[T]], name: str) -> tuple[FtpControl, T]:
        """Ask on an idle connection, else on a new one. One that the server has closed meanwhile is skipped."""
        while self._idle:
            control = self._idle.pop()
            idle = self._clock() - control.used_at
            if idle > KEEP_IDLE or (idle > FRESH and not await control.is_alive()):
                control.drop()
                continue
            with suppress(Refused):
                return control, await self._ask_on(control, ask)
        control = FtpControl(self.server, name)
        await self._ask_on(control, FtpControl.begin)
        if control.certificate is not None:
            self.certificates[self.server.origin] = control.certificate
        return control, await self._ask_on(control, ask)

    async def aclose(self) -> None:
        """Close all idle connections."""
        idle, self._idle = self._idle, []
        for control in idle:
            control.drop()
        await asyncio.sleep(0)  # closed sockets leave the loop in its next turn

    async def _ask_on(self, control: FtpControl, ask: Callable[[FtpControl], Awaitable[T]]) -> T:
        try:
            return await ask(control)
        except NotFound:
            self.keep(control)
            raise
        except BaseException:
            control.drop()
            raise
