"""What it costs to count the public side: `python -m tests.bench.usage [ANSWERS] [ROUNDS]`.

First a number of answers of a busy day, from 5,000 addresses, are counted and the day is closed. Then 2,000 small files
are sent over loopback, with and without counting in turns; processor seconds are those of this process.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from syncd.config.load import Config
from syncd.config.usage import NetworkOwner, UsageSettings
from syncd.face import Served
from syncd.process.event_loop import fast_loop
from syncd.usage import UsageRecorder, agent_of, recorder, recording
from tests.acceptance.public_side import PublicSide
from tests.bench.public_side import own_seconds, timed
from tests.fakes import Archive

NOON = 1_800_014_400.0
AGENTS = (
    "Wget/1.21", "curl/8.5", "rclone/v1.75", "Mozilla/5.0 Firefox/140", "GDAL/3.10", "python-requests/2.32",
    "Googlebot/2.1", "syncd/0.9",
)  # fmt: skip
COUNT = 2_000


def answers(number):
    """Answers of one day: one in three is a piece of a download."""
    chance = random.Random(1)
    addresses = [f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}" for _ in range(5_000)]
    for place in range(number):
        is_piece = place % 3 == 0
        yield Served(
            at=NOON, method="GET", door="http", status=206 if is_piece else 200, sent=1_000, seconds=0.1,
            address=addresses[chance.randrange(5_000)], agent=AGENTS[place % 8], referrer="", mirror=f"m{place % 40}",
            snapshot="0" * 64, path=f"d/{chance.randrange(100_000)}.tif", size=4_000 if is_piece else 1_000, stop=1_000,
        )  # fmt: skip


def count_a_day(number):
    """Count answers of one day, and close it; print what that took."""
    networks = tuple(NetworkOwner(cidr=f"10.{n}.0.0/16", institution=f"I{n}", country="cn") for n in range(200))
    agent_of("")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        now = [NOON]
        config = Config.model_construct(state=Path(place), usage=UsageSettings(networks=networks))
        counted = UsageRecorder(config, print, now=lambda: now[0])
        loop = thread = 0.0
        batch, began = [], time.monotonic()
        for one in answers(number):
            batch.append(one)
            if len(batch) == recorder.BATCH:
                loop, thread = _add(counted, batch, loop, thread)
        loop, thread = _add(counted, batch, loop, thread)
        wall = time.monotonic() - began
        now[0] += 86_400
        before = time.process_time()
        counted.flush()
        closed = time.process_time() - before
        counted.close()
    print(
        f"load {os.getloadavg()[0]:.1f}; {number} answers: {loop / number * 1e6:.2f} µs each on the loop, "
        f"{thread / number * 1e6:.1f} µs in the thread, {thread:.1f} processor s in all, {wall:.1f} s; "
        f"the day closed in {closed:.2f} s"
    )


def _add(counted, batch, loop, thread):
    before = time.process_time()
    for one in batch:
        counted.on_served(one)
    between = time.process_time()
    counted.flush()
    batch.clear()
    return loop + between - before, thread + time.process_time() - between


async def serve(rounds):
    """Send small files with and without counting; print what a request takes."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        side = PublicSide(Path(place), Archive({"small": os.urandom(16 << 10)}))
        snapshot = await side.run()
        path = f"/mirrors/scenes/snapshots/{snapshot}/files/small"
        config = await asyncio.to_thread(side.config)
        found = {"without": [], "with": []}
        for number in range(rounds + 1):
            side.on_served = side.served.append
            async with side.serving():
                _, used = await timed(f"http://127.0.0.1:{side.port}{path}", own_seconds, count=COUNT)
            async with recording(config, print) as counted:
                side.on_served = counted.on_served
                async with side.serving():
                    before = own_seconds()
                    await timed(f"http://127.0.0.1:{side.port}{path}", own_seconds, count=COUNT)
                    await asyncio.to_thread(counted.flush)
                    counting = own_seconds() - before
            if number:  # the first round warms up
                found["without"].append(used)
                found["with"].append(counting)
        middle = {name: statistics.median(times) / COUNT * 1e6 for name, times in found.items()}
        print(
            f"load {os.getloadavg()[0]:.1f}; a request for 16 KiB: {middle['without']:.0f} µs without counting, "
            f"{middle['with']:.0f} µs with it"
        )


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    count_a_day(given[0] if given else 100_000)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serve(given[1] if len(given) > 1 else 5))
