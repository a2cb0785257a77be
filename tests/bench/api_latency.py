"""Measures the API while eight passes work: `python -m tests.bench.api_latency --before DIR --rounds 3`.

A daemon mirrors eight folders of small files from nginx: the first pass, a pass of nothing, and the deletion of half of
the files. A process of its own asks the API at a fixed rate meanwhile, whatever the answers take: a slow answer delays
no later question, and its time counts from when it was due. The lag of the daemon's own event loop, which lease,
timers and transfers wait for, is probed every 5 ms inside of the daemon.
"""

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from tests.servers.nginx import nginx

ROOT = Path(__file__).parents[2]
MIRRORS = 8
FOLDER = 200  # files of a folder
OVER = '"event": "pass_finished"'
RATE = 40.0  # questions a second
PATIENCE = 600.0
CONFIG = """
state: ./state
store: {{url: ./store}}
manifests: [./m]
listen: 127.0.0.1:0
allow_private: ["{origin}"]
budget: {{keep_free: 0 B}}
backup: {{keep: 0}}
tokens: [{{name: bench, role: operator, sha256: "{digest}"}}]
"""
TOKEN = "syncd_ydzIOXdc7ZcKKXRJYdPswRUTdqk4J9bocbu0RXfYojQ"
PATHS = (
    "/api/v1/mirrors",
    "/api/v1/mirrors/m0",
    "/api/v1/mirrors/m1/entries?limit=100",
    "/api/v1/mirrors/m2/passes",
    "/api/v1/daemon",
    "/api/v1/store",
    "/api/v1/origins",
    "/api/v1/mirrors/m3/snapshots",
)


def main() -> int:
    """Print a table in Markdown; with `--ask URL`, be the process that asks."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.api_latency", description=__doc__)
    words.add_argument(
        "--before", type=Path, metavar="DIR", help="a checkout with its .venv, measured in turns with us"
    )
    words.add_argument("--rounds", type=int, default=1)
    words.add_argument("--files", type=int, default=20_000, help="files of each mirror")
    words.add_argument("--stalls", action="store_true", help="print where the daemon's loop stood still")
    words.add_argument("--only", choices=["before", "after"])
    words.add_argument("--ask", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.ask:
        asyncio.run(ask(asked.ask))
        return 0
    sides = {"before": asked.before, "after": ROOT}
    sides = {name: root for name, root in sides.items() if root is not None and asked.only in {None, name}}
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in sides}
    for _ in range(asked.rounds):
        for name, checkout in sides.items():
            for phase, figures in run(checkout, asked.files, stalls=asked.stalls).items():
                found[name].setdefault(phase, []).append(figures)
    print(f"{MIRRORS} mirrors of {asked.files:,} files, {RATE:.0f} questions/s, medians of {asked.rounds}\n")
    columns = ("wall", "cpu", "asked", "p50", "p99", "max", "late", "lag_p99", "lag_max", "stalls", "load")
    print(
        "| phase | who | wall s | CPU s | asked | p50 ms | p99 ms | max ms | sent late p99 ms | loop p99 | max ms | > 20 ms | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for phase in next(iter(found.values())):
        for name, phases in found.items():
            cells = [f"{median(one[column] for one in phases[phase]):.1f}" for column in columns]
            print(f"| {phase} | {name} | {' | '.join(cells)} |", flush=True)
    return 0


def run(checkout: Path, files: int, *, stalls: bool) -> dict[str, dict[str, float]]:
    """Return the figures of each phase."""
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None, prefix="api-latency"))
    try:
        www = root / "www"
        make_files(www, files)
        with nginx(www, root / "nginx") as upstream:
            (root / "m").mkdir()
            (root / "syncd.yaml").write_text(
                CONFIG.format(origin=upstream.origin, digest=hashlib.sha256(TOKEN.encode()).hexdigest())
            )
            for n in range(MIRRORS):
                (root / f"m/m{n}.yaml").write_text(
                    f"mirror: m{n}\nsource: {{url: '{upstream.origin}/m{n}/'}}\n"
                    "schedule: {every: 1d}\nguard: {max_removed: 90%}\n"
                )
            return phases(checkout, root, www, stalls=stalls)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def make_files(www: Path, files: int) -> None:
    """Make the files of all mirrors: names of the same few bytes, so that they take no memory."""
    www.mkdir()
    (www / "content").write_bytes(b"x" * 1_000)
    for m in range(MIRRORS):
        for n in range(files):
            file = www / f"m{m}" / f"{n // FOLDER:04}" / f"observation-{n:06}.dat"
            if n % FOLDER == 0:
                file.parent.mkdir(parents=True)
            if n % 50_000 == 0:  # a file may have only so many names
                file.write_bytes(b"x" * 1_000)
                first = file
            else:
                os.link(first, file)


def phases(checkout: Path, root: Path, www: Path, *, stalls: bool) -> dict[str, dict[str, float]]:
    log, found = root / "log", {}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                checkout / ".venv/bin/python",
                Path(__file__).with_name("loop_probe.py"),
                root / "lag",
                "run",
                "--config",
                root / "syncd.yaml",
            ],
            stdout=out,
            stderr=out,
            cwd=root,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        )
    try:
        url = _event(process, log, "serving")["url"]
        with asyncio.Runner() as runner:
            found["first pass"] = _measured(runner, process, root, url, stalls=stalls, first=True)
            found["pass of nothing"] = _measured(runner, process, root, url, stalls=stalls)
            for folder in sorted(www.glob("m*/*"))[::2]:
                shutil.rmtree(folder)
            found["deletion of half"] = _measured(runner, process, root, url, stalls=stalls)
        if stalls:
            print((root / "lag.stacks").read_text(), file=sys.stderr)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return found


def _measured(
    runner: asyncio.Runner,
    process: "subprocess.Popen[bytes]",
    root: Path,
    url: str,
    *,
    stalls: bool,
    first: bool = False,
) -> dict[str, float]:
    """Let every mirror run one pass, and return the figures of it."""
    cpu, lag = _cpu(process), _lags(root)
    before = 0 if first else (root / "log").read_text().count(OVER)
    asking = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.api_latency", "--ask", url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    began = time.perf_counter()
    if not first:
        runner.run(_sync(url))
    while (root / "log").read_text().count(OVER) < before + MIRRORS:
        assert process.poll() is None, (root / "log").read_text()[-3000:]
        assert time.perf_counter() - began < PATIENCE, (root / "log").read_text()[-3000:]
        time.sleep(0.05)
    wall = time.perf_counter() - began
    out, _ = asking.communicate(b"\n", timeout=60)
    answers = sorted(json.loads(out))
    times = [one for one, _, _ in answers]
    if stalls:
        print("slowest answers:", [(round(one), path) for one, path, _ in answers[-10:]], file=sys.stderr)
    time.sleep(0.3)
    lags = sorted(_lags(root)[len(lag) :])
    return {
        "wall": wall,
        "cpu": _cpu(process) - cpu,
        "asked": len(times),
        "p50": _at(times, 0.5),
        "p99": _at(times, 0.99),
        "max": times[-1],
        "late": _at(sorted(late for _, _, late in answers), 0.99),
        "lag_p99": _at(lags, 0.99),
        "lag_max": lags[-1],
        "stalls": sum(one > 20 for one in lags),
        "load": os.getloadavg()[0],
    }


def _at(found: list[float], share: float) -> float:
    return found[min(len(found) - 1, int(len(found) * share))]


def _lags(root: Path) -> list[float]:
    file = root / "lag"
    return [float(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def _cpu(process: "subprocess.Popen[bytes]") -> float:
    """Return the processor seconds of the daemon and its workers, those that have ended included."""
    ticks = 0
    for pid in (process.pid, *map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _event(process: "subprocess.Popen[bytes]", log: Path, name: str) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (found := json.loads(line)).get("event") == name:
                return found
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(log.read_text())


async def _sync(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for n in range(MIRRORS):
            async with session.post(
                f"{url}/api/v1/mirrors/m{n}/sync", headers={"Authorization": f"Bearer {TOKEN}"}
            ) as answer:
                assert answer.status < 300, await answer.text()


async def ask(url: str) -> None:
    """Ask at a fixed rate until a line comes in; print the milliseconds that each answer took since it was due."""
    times: list[tuple[float, str, float]] = []
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(path: str, due: float) -> None:
            late = (time.perf_counter() - due) * 1e3
            async with session.get(url + path) as answer:
                await answer.read()
                assert answer.status == 200, (path, answer.status)
            times.append(((time.perf_counter() - due) * 1e3, path, late))

        for path in PATHS:
            await one(path, time.perf_counter())  # connect before the clock begins
        times.clear()
        began, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not over.done():
                due = began + number / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(PATHS[number % len(PATHS)], due))
                number += 1
    print(json.dumps(times))


if __name__ == "__main__":
    sys.exit(main())
