"""How fast the public side sends a large file, beside nginx: `python -m tests.bench.public_side [ROUNDS]`.

Both send the same file of 512 MiB over loopback to curl, in turns; wall time and processor seconds are medians.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from syncd.process.event_loop import fast_loop
from tests.acceptance.public_side import PublicSide
from tests.fakes import Archive
from tests.servers.nginx import nginx

SIZE = 512 << 20
SMALL = 16 << 10
COUNT = 2_000  # small files, over one connection each client
TICK = os.sysconf("SC_CLK_TCK")


def own_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def seconds_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def timed(url, used, *, count=1):
    """Download `url` `count` times over one connection; return wall and processor seconds of the server."""
    before, began = used(), time.monotonic()
    config = "".join(f'url = "{url}"\noutput = "/dev/null"\n' for _ in range(count))
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--fail", "--config", "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    await process.communicate(config.encode())
    assert process.returncode == 0
    return time.monotonic() - began, used() - before


async def main(rounds):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = Path(place)
        side = PublicSide(folder / "node", Archive({"big": os.urandom(SIZE), "small": os.urandom(SMALL)}))
        snapshot = await side.run()
        side.archive.files.clear()
        with nginx(side.folder / "store/scenes", folder / "nginx") as other:
            async with side.serving():
                ours = f"http://127.0.0.1:{side.port}/mirrors/scenes/snapshots/{snapshot}/files/"
                for name, count in (("big", 1), ("small", COUNT)):
                    found = {"nginx": [], "syncd": []}
                    await timed(ours + name, own_seconds)
                    for _ in range(rounds):
                        found["nginx"].append(
                            await timed(f"{other.origin}/{name}", lambda: seconds_of(other.process.pid), count=count)
                        )
                        found["syncd"].append(await timed(ours + name, own_seconds, count=count))
                    moved = (SIZE if name == "big" else SMALL) * count
                    print(f"load {os.getloadavg()[0]:.1f}; {name}, {count} x {moved // count} bytes")
                    rates = {}
                    for who, times in found.items():
                        wall = statistics.median(one for one, _ in times)
                        used = statistics.median(one for _, one in times)
                        rates[who] = moved / wall
                        print(
                            f"  {who}: {moved / wall / 1e6:.0f} MB/s, {count / wall:.0f}/s, {used:.3f} processor seconds"
                        )
                    print(f"  syncd / nginx: {rates['syncd'] / rates['nginx']:.2f}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
