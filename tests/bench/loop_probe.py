"""Runs `syncd` with a probe of its event loop: `python loop_probe.py FILE run --config …`.

Every 5 ms a timer of the loop writes by how many milliseconds it was late into FILE; a thread writes where the loop was
while it stood still for more than 20 ms into FILE.stacks.
"""

import asyncio
import collections
import sys
import threading
import time
import traceback
from pathlib import Path

FILE = Path(sys.argv[1])
EVERY = 0.005
STALL = 0.02
DEPTH = 8  # frames below the loop


async def watch_loop(_metrics: object, every: float = 0.0) -> None:
    """Replace `Metrics.watch_loop`, which runs on the loop of the daemon."""
    loop, file = asyncio.get_running_loop(), FILE.open("w")
    beat, thread = [time.perf_counter()], threading.get_ident()
    threading.Thread(target=_sample, args=(beat, thread), daemon=True).start()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        beat[0] = time.perf_counter()
        file.write(f"{(loop.time() - due) * 1e3:.2f}\n")
        file.flush()


def _sample(beat: list[float], thread: int) -> None:
    found: collections.Counter[str] = collections.Counter()
    written = time.perf_counter()
    while True:
        time.sleep(EVERY)
        if time.perf_counter() - beat[0] > EVERY + STALL:
            stack = traceback.extract_stack(sys._current_frames()[thread])
            names = [f"{Path(one.filename).name}:{one.name}" for one in stack]
            last = max((n for n, one in enumerate(names) if one == "runners.py:run"), default=0)
            found[" > ".join(names[last + 1 :][:DEPTH])] += 1
        if time.perf_counter() - written > 1.0:
            written = time.perf_counter()
            lines = [f"{count * EVERY:.2f} s {stack}" for stack, count in found.most_common(40)]
            FILE.with_suffix(".stacks").write_text("\n".join(lines))


if __name__ == "__main__":
    from syncd.metrics import metrics

    metrics.Metrics.watch_loop = watch_loop  # type: ignore[assignment]  # the probe measures more often
    from syncd.cli.main import main

    del sys.argv[1]
    main()
