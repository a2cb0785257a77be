"""Runs one command to its end and measures the whole of it: wall time, CPU of it and its children, memory, output."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SAMPLE = 0.1  # seconds between two looks at the memory of the process tree
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `rss` is the most memory seen, in bytes: of the whole tree in a sample, or of its first process ever."""

    code: int
    wall: float
    cpu: float
    rss: int
    tail: str
    lost: int = 0

    @property
    def is_good(self) -> bool:
        return self.code == 0 and self.lost == 0


def run(command: list[str], environ: dict[str, str], log: Path, *, limit: float = 900) -> Measured:
    """Run `command`, its output into `log`; killed after `limit` seconds."""
    with log.open("wb") as out:
        # as installed: modules are compiled once, and not each time anew, whatever this shell says
        given = os.environ | {"PYTHONDONTWRITEBYTECODE": ""} | environ
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=given)
        most = [0]
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(process, began + limit, most, over))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watch.join()
    tail = log.read_bytes()[-2000:].decode(errors="replace")
    return Measured(process.returncode, wall, usage.ru_utime + usage.ru_stime, most[0], tail)


def middle(runs: list[Measured], figure: Callable[[Measured], float]) -> float:
    return median(figure(one) for one in runs) if runs else float("nan")


def _watch(process: "subprocess.Popen[bytes]", deadline: float, most: list[int], over: threading.Event) -> None:
    while not over.wait(SAMPLE):
        most[0] = max(most[0], _tree_rss(process.pid), _peak_rss(process.pid))
        if time.perf_counter() > deadline:
            process.kill()


def _peak_rss(pid: int) -> int:
    """Return the most that one process has held; what wait4 says of it begins with our own memory (vfork)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    peaks = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
    return max(peaks, default=0)


def _tree_rss(pid: int) -> int:
    """Return the resident bytes of a process and its descendants; shared pages count once for each."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
    return pages * PAGE + sum(_tree_rss(int(child)) for child in children)
