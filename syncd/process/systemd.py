"""Notifies systemd of the service's state: ready, reloading, stopping, alive. Without systemd it does nothing."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

PATIENCE = 0.5  # seconds


class Notifier:
    """The socket that systemd listens on (`$NOTIFY_SOCKET`), if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the environment variables that systemd sets."""
        path = environ.get("NOTIFY_SOCKET", "")
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        mine = environ.get("WATCHDOG_PID") in {None, str(os.getpid())}
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog = int(usec) / 1e6 if mine and usec.isdigit() and int(usec) else None
        """The watchdog's interval in seconds, or None."""
        self._status = ""

    def ready(self, status: str) -> None:
        """The service is ready (again)."""
        self._status = status
        self._send_surely(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows."""
        self._send_surely(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str, grace: float) -> None:
        """The service ends; it may take `grace` seconds."""
        self._send_surely(f"STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={int((grace + 30) * 1e6)}")

    def status(self, status: str) -> None:
        """Send a one-line status if it has changed."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send_surely(self, lines: str) -> None:
        """Send a message that must arrive; wait briefly if systemd is busy."""
        self._send(lines, PATIENCE)

    def _send(self, lines: str, patience: float = 0.0) -> None:
        if not self._path:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(patience)
            line.sendto(lines.encode(), self._path)
