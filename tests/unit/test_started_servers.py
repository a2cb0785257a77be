"""Servers that tests start: no client is given their port, and none outlives the process that started it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.started import PORTS, free_ports

ROOT = Path(__file__).parents[2]
STARTS = """
import time
from tests.servers.started import start
print(start(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def until(true):
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux ties them")
def test_a_server_ends_with_the_process_that_started_it_however_that_ends():
    with subprocess.Popen([sys.executable, "-c", STARTS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        server = int(starter.stdout.readline())
        try:
            until(lambda: Path(f"/proc/{server}/comm").read_text() == "sleep\n")  # it is tied, and runs
            starter.kill()
            starter.wait()
            until(lambda: not is_alive(server))
        finally:
            if is_alive(server):
                os.kill(server, signal.SIGKILL)


def test_ports_are_none_that_linux_gives_to_whoever_asks_for_any():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = free_ports(20)
    assert len(set(found)) == 20
    assert PORTS.stop <= lowest
    assert all(port in PORTS for port in found)
