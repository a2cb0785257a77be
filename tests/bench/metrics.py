"""Measures what metrics cost: `python -m tests.bench.metrics [--rounds 5] [--quick]`.

Passes over the archive of `local-small` (20,000 files of 16 KiB from nginx on loopback, the case with most events for each
second of work) run in one process, in turns: without metrics, with metrics (listener, metered store, counted origins, the
event loop watched, a scrape every 15 s). Processor time is that of the process and its workers. Since such passes differ
from one another by more than metrics cost, the cost is also taken apart: the events and store operations of a pass are
played again, many times, into the same code, and their time is compared with that of the pass.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from syncd.config.load import Config, StoreSettings
from syncd.core.events import Event, Listener, ignore_event
from syncd.core.ports import Store
from syncd.engine.mirror_pass import Pass
from syncd.metrics import Metrics
from syncd.process.event_loop import run
from syncd.session.manifests import parse
from syncd.session.opening import open_session
from syncd.wrappers.metered_store import Meter, MeteredStore
from syncd.wrappers.origin_count import FIRST_BYTE, Count
from tests.bench.__main__ import alone, home
from tests.bench.archive import Archive, make
from tests.bench.servers import nginx
from tests.fakes_control import FakeControl

SCRAPE_EVERY = 15.0
REPLAYS = 20
WANTED = 0.02


def main() -> int:
    """Measure, print; 1 if metrics cost more than they may."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.metrics", description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--quick", action="store_true", help="a tenth of the files")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    with alone():
        archive = make("local-small-quick" if asked.quick else "local-small", home())
        with tempfile.TemporaryDirectory(dir=home()) as folder, nginx(archive, Path(folder) / "nginx") as served:
            found: dict[str, float] = {}
            run(partial(_measure, archive, served.url, Path(folder), asked.rounds, found))
    if asked.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name:40} {value:12.4f}")
    return int(found["share, taken apart"] > WANTED)


async def _measure(archive: Archive, url: str, folder: Path, rounds: int, found: dict[str, float]) -> int:
    spent: dict[str, list[float]] = {"without": [], "with": []}
    events: list[Event] = []
    await _pass(url, folder, events.append)  # warms everything, and records
    for number in range(rounds):
        for who in ("without", "with") if number % 2 == 0 else ("with", "without"):
            began = _cpu()
            if who == "without":
                await _pass(url, folder, ignore_event)
            else:
                metrics = Metrics("bench")
                async with _watched(metrics):
                    await _pass(url, folder, metrics.listener, metrics)
            spent[who].append(_cpu() - began)
            print(f"{who:8} {spent[who][-1]:.3f} s", file=sys.stderr, flush=True)
    plain, counted = statistics.median(spent["without"]), statistics.median(spent["with"])
    listener, origins = _replayed(events), _counted(len(archive.sizes))
    store, scrape = await _metered(len(archive.sizes)), await _scrape()
    found |= {
        "load": os.getloadavg()[0],
        "files": len(archive.sizes),
        "events": len(events),
        "CPU s of a pass without": plain,
        "CPU s of a pass with": counted,
        "share, in turns": counted / plain - 1,
        "spread of those without": (max(spent["without"]) - min(spent["without"])) / plain,
        "us an event": listener / len(events) * 1e6,
        "ms of events a pass": listener * 1e3,
        "ms of the store's meter a pass": store * 1e3,
        "ms of origins' counts a pass": origins * 1e3,
        "ms a scrape of 50 mirrors": scrape * 1e3,
        "share, taken apart": (listener + store + origins) / plain + scrape / SCRAPE_EVERY,
    }
    return 0


async def _pass(url: str, folder: Path, listener: Listener, metrics: Metrics | None = None) -> None:
    """Copy the whole archive into an empty store."""
    work = folder / "pass"
    config = Config(state=work / "state", store=StoreSettings(url=str(work / "store")), allow_private=frozenset({url}))
    mirror = parse(f"mirror: bench\nsource: {{url: {url}/, reader: autoindex}}\n", "bench.yaml")
    meter = metrics.meter if metrics is not None else None
    async with open_session(config, {}, listener, lease="held", stopping=asyncio.Event(), meter=meter) as bench:
        if metrics is not None:
            metrics.watch(governors=bench.governors)
        async with bench.pass_context(mirror) as composed:
            result = await Pass(composed).run()
            assert result.complete
    await asyncio.to_thread(shutil.rmtree, work)


@asynccontextmanager
async def _watched(metrics: Metrics) -> AsyncIterator[None]:
    async def scrape() -> None:
        while True:
            await asyncio.sleep(SCRAPE_EVERY)
            await metrics.exposition("")

    tasks = [asyncio.create_task(metrics.watch_loop()), asyncio.create_task(scrape())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _best(work: Callable[[], None]) -> float:
    """Return the processor time of one call, undisturbed: the best of some."""
    found = []
    for _ in range(REPLAYS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def _replayed(events: list[Event]) -> float:
    listener = Metrics("bench").listener

    def replay() -> None:
        for event in events:
            listener(event)

    def nothing() -> None:
        for event in events:
            ignore_event(event)

    return _best(replay) - _best(nothing)


def _counted(requests: int) -> float:
    """Return what the governor's counts of so many requests cost; it is no longer measured apart from its work."""
    count = Count()

    def work() -> None:
        for _ in range(requests):
            count.answered += 1
            count.first_byte[bisect_left(FIRST_BYTE, 0.003)] += 1
            count.seconds += 0.003
            count.bytes += 16384

    return _best(work)


class _Nowhere:
    """A store that does nothing, to see what is around it."""

    piece = 1

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> None:
        """Do nothing."""


async def _metered(operations: int) -> float:
    """Return what metering so many puts costs."""
    inner = cast("Store", _Nowhere())  # as much of a store as is used
    found = {}
    for name, store in (("bare", inner), ("metered", MeteredStore(inner, Meter()))):
        times = []
        for _ in range(REPLAYS):
            began = time.process_time()
            for _ in range(operations):
                await store.put("x", b"", if_absent=True)
            times.append(time.process_time() - began)
        found[name] = min(times)
    return found["metered"] - found["bare"]


async def _scrape() -> float:
    """Return the processor time of a scrape of fifty mirrors."""
    metrics, control = Metrics("bench"), FakeControl()
    running = control.by_name["running"]
    control.by_name = {f"m{n}": msgspec.structs.replace(running, name=f"m{n}") for n in range(50)}
    metrics.watch(control)
    times = []
    for _ in range(REPLAYS):
        began = time.process_time()
        await metrics.exposition("")
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
