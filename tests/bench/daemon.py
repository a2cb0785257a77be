"""Measures the daemon at rest and at work: `python -m tests.bench daemon`.

Fifty mirrors with a million entries in the Catalogue: how long it takes to start, how much memory it holds with nothing
to do, and how fast the API answers while passes of two other mirrors move forty thousand small files.
"""

import asyncio
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from manifests.model import Keep
from manifests.snapshot import Entry, Origin
from syncd.catalogue import Catalogue
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher
from syncd.stores.filesystem.store import FilesystemStore
from tests.servers.nginx import nginx

MIRRORS, EACH = 50, 20_000
FILES = 20_000  # of each mirror whose pass runs
SECONDS = 10.0
CLIENTS = 8
SYNCD = Path(sys.executable).with_name("syncd")
CONFIG = """
state: ./state
store: {{url: ./store}}
manifests: [./m]
listen: 127.0.0.1:0
allow_private: ["{origin}"]
budget: {{keep_free: 0 B}}
scrub: {{enabled: false}}
backup: {{keep: 0}}
"""


def main() -> int:
    """Print the figures as a table in Markdown."""
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        www = root / "www"
        for name in ("busy0", "busy1"):
            for n in range(FILES):
                file = www / name / f"{n % 100:02}" / f"f{n:05}.dat"
                if n < 100:
                    file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"x" * (n % 5_000))
        with nginx(www, root / "nginx") as upstream:
            asyncio.run(fill(root, upstream.origin))
            (root / "syncd.yaml").write_text(CONFIG.format(origin=upstream.origin))
            rows = [*at_rest(root), *at_work(root, upstream.origin)]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("| figure | wanted | measured |\n|---|---|---|")
    for figure, wanted, measured in rows:
        print(f"| {figure} | {wanted} | {measured} |")
    return 0


async def fill(root: Path, origin: str) -> None:
    """Make the Catalogue and the snapshots, as passes over all mirrors would have left them; no bytes of files."""
    (root / "m").mkdir()
    store = FilesystemStore(root / "store")
    known = await store.identify(None)
    chance, now = random.Random(1), time.time()
    with Catalogue(root / "state") as catalogue:
        catalogue.settings.set("store", known)
        for number in range(MIRRORS):
            name = f"m{number:02}"
            manifest = f"mirror: {name}\nsource: {{url: '{origin}/{name}/'}}\n"
            (root / f"m/{name}.yaml").write_text(manifest)
            row = catalogue.history.ensure_mirror(name, prefix=f"{name}/", source=f"{origin}/{name}/")
            proved = []
            for n in range(EACH):
                path = f"archive/{n // 1000:03}/observation-{name}-{n:07}.nc"
                digest = hashlib.sha256(path.encode()).hexdigest()
                entry = Entry(path, chance.randrange(1 << 24), digest, digest[:32])
                proved.append((entry, Origin(path, path, "attested", now, entry.size, now, f'"{digest[:16]}"')))
            catalogue.holdings.add(row.id, proved)
            await Publisher(
                store, catalogue, row, PassPaths(name, f"{name}/", "bench"), lambda _: None, Keep()
            ).publish()
            catalogue.history.attempt(row.id, now)
            catalogue.history.finish(row.id, succeeded=now, last={"state": "done"})
    await store.aclose()


@contextmanager
def daemon(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, float, float]]:
    """Start it; yield the process, its address, the seconds until it worked, and how many of them its own start took."""
    log = root / "log"
    log.unlink(missing_ok=True)
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen([SYNCD, "run", "--config", root / "syncd.yaml"], stdout=out, stderr=out, cwd=root)
    try:
        while True:
            events = {e["event"]: e for e in map(json.loads, log.read_text().splitlines()) if "event" in e}
            if "daemon_started" in events:
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        yield process, events["serving"]["url"], time.perf_counter() - began, events["daemon_started"]["seconds"]
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def memory(process: "subprocess.Popen[bytes]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def at_rest(root: Path) -> Iterator[tuple[str, str, str]]:
    walls, owns, rests, times = [], [], [], dict[str, list[float]]()
    for _ in range(3):
        with daemon(root) as (process, url, wall, own):
            walls.append(wall)
            owns.append(own)
            time.sleep(SECONDS)
            with urllib.request.urlopen(f"{url}/api/v1/mirrors") as answer:
                assert sum(view["files"] for view in json.load(answer)["mirrors"]) == MIRRORS * EACH
            rests.append(memory(process))
            times, _ = asyncio.run(ask(url, process, "m01"))
    entries = f"{MIRRORS} mirrors, {MIRRORS * EACH:,} entries"
    load = os.getloadavg()[0]
    yield (
        f"start, {entries}: process begun to mirrors ready",
        "≤ 2 s",
        f"{statistics.median(walls):.2f} s (load {load:.1f})",
    )
    yield "of that, the daemon's own part", "", f"{statistics.median(owns):.2f} s"
    yield f"memory at rest, {entries}", "≤ 150 MB", f"{statistics.median(rests):.0f} MB"
    yield from shown("at rest", times)


def at_work(root: Path, origin: str) -> Iterator[tuple[str, str, str]]:
    for name in ("busy0", "busy1"):
        (root / f"m/{name}.yaml").write_text(
            f"mirror: {name}\nsource: {{url: '{origin}/{name}/'}}\nschedule: {{every: 1h}}\n"
        )
    with daemon(root) as (process, url, _, _):
        times, most = asyncio.run(ask(url, process, "busy0"))
    yield from shown("with two passes at work", times)
    yield "memory meanwhile", "", f"{most:.0f} MB"


def shown(when: str, times: dict[str, list[float]]) -> Iterator[tuple[str, str, str]]:
    load = os.getloadavg()[0]
    for what, taken in times.items():
        taken.sort()
        p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.99))]
        said = f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms of {len(taken):,} (load {load:.1f})"
        yield f"API {when}: {what}", "p99", said


async def ask(url: str, process: "subprocess.Popen[bytes]", name: str) -> tuple[dict[str, list[float]], float]:
    paths = {
        "all mirrors": "/api/v1/mirrors",
        "one mirror": f"/api/v1/mirrors/{name}",
        "a page of entries": "/api/v1/mirrors/m07/entries?prefix=archive/011/&limit=100",
        "passes": f"/api/v1/mirrors/{name}/passes",
        "metrics": "/metrics",
    }
    times: dict[str, list[float]] = {what: [] for what in paths}
    most, until = 0.0, time.perf_counter() + SECONDS
    async with aiohttp.ClientSession() as session:

        async def client(number: int) -> None:
            nonlocal most
            scraped = 0.0
            while time.perf_counter() < until:
                for what, path in paths.items():
                    if what == "metrics":  # one of them is a Prometheus, and a busy one
                        if number > 0 or time.perf_counter() - scraped < 1.0:
                            continue
                        scraped = time.perf_counter()
                    began = time.perf_counter()
                    async with session.get(url + path) as answer:
                        await answer.read()
                        assert answer.status == 200, (path, answer.status)
                    times[what].append(time.perf_counter() - began)
                most = max(most, memory(process))
                await asyncio.sleep(0.05)

        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return times, most


if __name__ == "__main__":
    sys.exit(main())
