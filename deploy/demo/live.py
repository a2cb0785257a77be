"""The last part of the demo: a daemon that keeps four more archives current while they change, and its page.

Each archive stands on a port of its own, so to syncd they are four publishers: one with many small files, one with few
large ones over a slow link, one whose list promises what it does not have, one that suddenly drops most of its files.
"""

import asyncio
import hashlib
import json
import os
import random
import shlex
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import serve

from syncd.api import make_token

KB, MB = 1_000, 1_000_000
PORT = 8750
PAUSE = 8.0  # seconds between two changes upstream
PATIENCE = 180.0  # seconds in which every first pass must be over

CONFIGURATION = """\
# What the daemon works with; every key: deploy/syncd.yaml
state: state
store: {{url: store}}
manifests: [manifests.d]
listen: {listen}
allow_private: {origins}
budget: {{keep_free: 64 MiB}}
tokens:
  - {{name: demo, role: operator, sha256: "{hashed}"}}
"""

MANIFEST = """\
mirror: {name}
title: {title}
source: {{url: "{origin}/{name}/", {reader}}}
schedule: {{every: {every}}}
about: {{licence: CC0-1.0, access: open, redistribution: allowed, contact: demo@example.org}}
publish: {{access: open}}
"""


@dataclass(frozen=True, slots=True)
class Publisher:
    """One foreign archive: how it begins, how it changes, how fast its link is."""

    name: str
    title: str
    every: str
    rate: float
    reader: str
    begin: Callable[[Path], None]
    change: Callable[[Path, int], None]


def _write(file: Path, size: int, seed: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(random.Random(seed).randbytes(size))


def _publish(root: Path, more: str = "") -> None:
    """Write the list of checksums over everything that is there; whole or not at all."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root)}\n"
        for file in sorted(root.rglob("*"))
        if file.is_file() and not file.name.startswith("SHA256SUMS")
    ]
    written = root / "SHA256SUMS.new"
    written.write_text("".join(lines) + more)
    written.replace(root / "SHA256SUMS")


def _buoys(root: Path) -> None:
    for n in range(240):
        _write(root / f"2026/{n // 24 + 1:02}/{n % 24:02}.csv", 4 * KB + n * 31, f"buoy {n}")
    _publish(root)


def more_buoys(root: Path, turn: int) -> None:
    """Add a folder of observations."""
    for n in range(24):
        _write(root / f"2026/{11 + turn % 80:02}/{n:02}.csv", 4 * KB + n * 97, f"buoy {turn} {n}")
    _publish(root)


def _forecasts(root: Path) -> None:
    for step in range(0, 48, 6):
        _write(root / f"run-00/step-{step:03}.grib2", 24 * MB, f"forecast 0 {step}")
    _publish(root)


def _next_forecast(root: Path, turn: int) -> None:
    if turn % 3 == 0:
        for step in range(0, 24, 6):
            _write(root / f"run-{turn // 3 % 4 + 1:02}/step-{step:03}.grib2", 24 * MB, f"forecast {turn} {step}")
        _publish(root)


def _stations(root: Path) -> None:
    for n in range(30):
        _write(root / f"station-{n:02}.nc", 300 * KB, f"station {n}")
    lost = f"{'0' * 64}  station-98.nc\n"
    wrong = f"{hashlib.sha256(b'another edition').hexdigest()}  station-31.nc\n"
    _publish(root, lost + wrong)
    _write(root / "station-31.nc", 300 * KB, "station 31")


def _atlas(root: Path) -> None:
    for n in range(60):
        _write(root / f"plate-{n:02}.tif", 400 * KB, f"plate {n}")
    _publish(root)


def _less_atlas(root: Path, turn: int) -> None:
    if turn == 1:
        for n in range(20, 60):
            (root / f"plate-{n:02}.tif").unlink(missing_ok=True)
        _publish(root)


def _nothing(_root: Path, _turn: int) -> None:
    pass


LIST = "reader: checksums, checksums: [SHA256SUMS]"  # says no sizes
INDEX = 'reader: autoindex, checksums: ["SHA256SUMS"]'  # says sizes

PUBLISHERS = (
    Publisher("atlas", "Geological atlas, scanned plates", "20s", 20 * MB, LIST, _atlas, _less_atlas),
    Publisher("buoys", "Hourly buoy observations", "15s", 4 * MB, LIST, _buoys, more_buoys),
    Publisher("forecasts", "Ocean model forecasts", "20s", 5 * MB, INDEX, _forecasts, _next_forecast),
    Publisher("stations", "Tide gauge stations", "30s", 10 * MB, LIST, _stations, _nothing),
)


def listen() -> str:
    """Return the address for the page: the usual port, or a free one if that is taken."""
    for port in (PORT, 0):
        with socket.socket() as tried, suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            return f"127.0.0.1:{tried.getsockname()[1]}"
    sys.exit("no port is free on 127.0.0.1")


def free_address() -> str:
    """Return an address of loopback whose port is free."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{tried.getsockname()[1]}"


@asynccontextmanager
async def publishing(upstream: Path, manifests: Path, *, hurry: bool) -> AsyncIterator[list[str]]:
    """Open the four archives and write a manifest for each; yields their origins. `hurry` makes their links fast."""
    async with AsyncExitStack() as stack:
        origins = []
        for one in PUBLISHERS:
            await asyncio.to_thread(one.begin, upstream / one.name)
            origin = await stack.enter_async_context(serve.serving(upstream, 80 * MB if hurry else one.rate))
            origins.append(origin)
            (manifests / f"{one.name}.yaml").write_text(
                MANIFEST.format(name=one.name, title=one.title, origin=origin, reader=one.reader, every=one.every)
            )
        yield origins


async def change(upstream: Path) -> None:
    """Let upstreams change, as publishers do, until cancelled."""
    turn = 0
    while True:
        await asyncio.sleep(PAUSE)
        turn += 1
        for one in PUBLISHERS:
            await asyncio.to_thread(one.change, upstream / one.name, turn)


@asynccontextmanager
async def daemon(
    home: Path, address: str, origins: list[str], *, more: str = "", wait: bool = True
) -> AsyncIterator[str]:
    """Run `syncd run` over the block; yields the token of its operator. `more` ends its configuration."""
    token, hashed = make_token()
    configuration = home / "syncd.yaml"
    configuration.write_text(CONFIGURATION.format(listen=address, origins=json.dumps(origins), hashed=hashed) + more)
    program = Path(sys.executable).with_name("syncd")
    with (home / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "run", "--config", configuration, stderr=log)
    try:
        if wait:
            ends = asyncio.create_task(process.wait())
            answers = asyncio.create_task(answering(address))
            await asyncio.wait({ends, answers}, return_when=asyncio.FIRST_COMPLETED)
            answers.cancel()
            if ends.done():
                sys.exit(f"{shown(home)}: ended with exit code {process.returncode}: see {home / 'daemon.log'}")
            ends.cancel()
        yield token
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def answering(address: str) -> None:
    """Wait until the daemon at an address answers."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await ask(address, "/api/v1/daemon"):
                return
            await asyncio.sleep(0.1)


async def ask(address: str, path: str) -> dict:
    """Return what the daemon's API answers, or nothing while it does not."""

    def get() -> dict:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    return await asyncio.to_thread(get)


async def first_passes(address: str, count: int) -> list[dict]:
    """Wait until each of `count` mirrors has had a pass; returns the mirrors."""
    async with asyncio.timeout(PATIENCE):
        while True:
            mirrors = (await ask(address, "/api/v1/mirrors")).get("mirrors", [])
            if len(mirrors) >= count and all(one["last"] and one["last"]["ended"] for one in mirrors):
                return mirrors
            await asyncio.sleep(0.2)


async def failures(address: str, mirror: str) -> list[dict]:
    """Return the files of a mirror that failed to download."""
    return (await ask(address, f"/api/v1/mirrors/{mirror}/failures")).get("failures", [])


def hurried() -> bool:
    """Tell whether the demo shall end by itself."""
    return os.environ.get("ONCE", "") not in {"", "0"}


def shown(home: Path) -> str:
    """Return the command as one would type it."""
    return shlex.join(["syncd", "run", "--config", str(home / "syncd.yaml")])
