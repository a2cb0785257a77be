"""How tests start servers of others: on ports that nobody else is given, and never longer than the tests run."""

import random
import shutil
import socket
import subprocess
from typing import Any

PORTS = range(20_000, 32_000)  # below those that Linux gives to whoever asks for any


def free_ports(count: int) -> list[int]:
    """Return ports to listen on a moment later: what asks for any port, as all clients do, is not given one of these."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"there are no {count} free ports between {PORTS.start} and {PORTS.stop}")


def free_port() -> int:
    """Return one."""
    return free_ports(1)[0]


def start(command: "list[Any] | tuple[Any, ...]", **more: Any) -> Any:
    """Start a server that Linux kills when the process that started it ends, however it ends."""
    setpriv = shutil.which("setpriv")
    started: Any = subprocess.Popen([*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command], **more)
    started.args = command
    return started
