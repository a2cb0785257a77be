"""The public side within the daemon, and as a process of its own that only reads."""

import asyncio
import os
import signal
import subprocess
import sys
from urllib.request import urlopen

from tests.daemons import House
from tests.servers.started import free_port

SERVE = """
backup: {{keep: 0}}
budget: {{keep_free: 0 B}}
serve:
  listen: 127.0.0.1:{port}
  url: http://127.0.0.1:{port}/
  name: cn-demo
  publisher: {{name: Demo Mirror Centre}}
"""
PUBLISH = """
about: {access: open, redistribution: allowed}
publish: {access: open}
"""


def fetch(url):
    try:
        with urlopen(url, timeout=120) as answer:
            return answer.status, answer.read()
    except OSError as error:
        return getattr(error, "code", 0), b""


async def until(url, expected):
    async with asyncio.timeout(120):
        while (found := await asyncio.to_thread(fetch, url))[0] != expected:
            await asyncio.sleep(0.05)
    return found[1]


async def test_the_face_shows_what_the_daemon_publishes_and_stops_when_that_is_withdrawn(tmp_path):
    port = free_port()
    house = House(tmp_path, SERVE.format(port=port))
    house.archive("a", {"x.txt": b"x"})
    house.declare("a", PUBLISH)
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "syncd", "face", "--config", str(house.config)]
    face = await asyncio.to_thread(
        subprocess.Popen, command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/mirrors/a/latest/x.txt"
    try:
        await until(f"http://127.0.0.1:{port}/health", 503)  # there is no Catalogue yet, and none is made
        assert not (tmp_path / "state/catalogue.sqlite").exists()
        async with house.living():
            await house.control.sync("a", "anna")
            assert await until(url, 200) == b"x"
            house.declare("a", "")
            await until(url, 410)  # made private, and it was public
            house.declare("a", PUBLISH)
            assert await until(url, 200) == b"x"
            (house.manifests / "a.yaml").unlink()
            house.declare("b", "")
            await until(url, 410)  # withdrawn, and said so
        assert not (tmp_path / "store/.syncd/lease.json").exists() or face.poll() is None
    finally:
        face.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(face.wait, 120) == 0
