"""Fails the n-th system call of a small pass, for every n: `python -m tests.campaign.system_calls [--sample N]`.

A child process is stopped before its pass, strace is attached to it, and told which call of which kind is to fail with
what. Whatever it made of the failure, nothing may be visible that was not proved, and the next pass must end as if
nothing had happened. A short write is made in Python, since strace can only pretend one.
"""

import argparse
import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tests.campaign import small_pass

FAILURES = {
    "openat": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "write": ("ENOSPC", "EIO"),
    "pread64": ("EIO",),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    "rename": ("EIO", "ENOSPC"),
    "renameat": ("EIO", "ENOSPC"),
    "renameat2": ("EIO", "ENOSPC"),
    "link": ("EIO", "ENOSPC"),
    "linkat": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
    "unlinkat": ("EIO",),
    "mkdir": ("ENOSPC", "EIO"),
    "mkdirat": ("ENOSPC", "EIO"),
    "ftruncate": ("EIO",),
    "fallocate": ("ENOSPC",),
    "getdents64": ("EIO",),
}
SHORT = "short pwrite"
ATTACH = 30.0  # seconds until strace is attached
LONGEST = 120.0  # seconds of a pass that waits for what never comes


class Point(msgspec.Struct, frozen=True):
    """The n-th call of a kind, and what it fails with."""

    call: str
    error: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} number {self.number}: {self.error}"


class Outcome(msgspec.Struct, frozen=True):
    """What became of a point: "" is well, otherwise what was wrong; `was_reached` if the call did fail."""

    point: Point
    wrong: str
    was_reached: bool


class Search:
    """The points of a small pass; `folder` is for what is written."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.template, self.work = folder, folder / "template", folder / "work"
        self.log, self.said = folder / "strace", folder / "said"
        self.template.mkdir(parents=True)
        if small_pass.run(self.template, small_pass.BEFORE) != small_pass.COMPLETE:
            raise AssertionError("the first pass, without any failure, did not complete")
        self._fresh()
        if small_pass.run(self.work, small_pass.AFTER, seed=2) != small_pass.COMPLETE:
            raise AssertionError("the second pass, without any failure, did not complete")
        self.expected = small_pass.fingerprint(self.work)

    def points(self) -> list[Point]:
        """Return every call of a pass that can fail, with each of its failures."""
        self._fresh()
        self._traced(["-e", f"trace={','.join(f'?{call}' for call in FAILURES)}"], None)
        counts = collections.Counter(line.partition("(")[0].strip() for line in self._lines())
        points = [
            Point(call, error, number)
            for call, errors in FAILURES.items()
            for error in errors
            for number in range(1, counts[call] + 1)
        ]
        writes = _count_writes(self.template, self.folder / "counted")
        return [*points, *(Point(SHORT, "half of it", number) for number in range(1, writes + 1))]

    def try_out(self, point: Point) -> Outcome:
        """Fail one call, and look at what is left and at the next pass."""
        self._fresh()
        if point.call == SHORT:
            code, was_reached = self._forked(point, is_traced=False), True
        else:
            inject = f"inject={point.call}:error={point.error}:when={point.number}"
            code = self._traced(["-e", f"trace={point.call}", "-e", inject], point)
            was_reached = any("(INJECTED)" in line for line in self._lines())
        said = self.said.read_text(errors="replace")[-1500:]
        if code not in (small_pass.COMPLETE, small_pass.FAILED):
            return Outcome(point, f"ended with {code}: {said}", was_reached)
        if unproved := small_pass.visible_and_unproved(self.work):
            return Outcome(point, f"visible, and never proved: {unproved}", was_reached)
        code = self._forked(None, is_traced=False)
        if code != small_pass.COMPLETE:
            return Outcome(point, f"the next pass ended with {code}: {self.said.read_text()[-1500:]}", was_reached)
        if small_pass.fingerprint(self.work) != self.expected:
            return Outcome(point, "the next pass ended with another copy", was_reached)
        return Outcome(point, "", was_reached)

    # -- processes --

    def _fresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.template, self.work, symlinks=True)

    def _traced(self, words: list[str], point: Point | None) -> int:
        """Run the second pass under strace; returns how it ended."""
        return self._forked(point, is_traced=True, words=words)

    def _forked(self, point: Point | None, *, is_traced: bool, words: Iterable[str] = ()) -> int:
        self.log.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            self._run_child(point, is_traced=is_traced)
        tracer = None
        try:
            if is_traced:
                os.waitpid(child, os.WUNTRACED)
                tracer = subprocess.Popen(
                    ["strace", "-qq", "-o", self.log, *words, "-p", str(child)], stderr=subprocess.DEVNULL
                )
                _wait_for_tracer(child, tracer)
                os.kill(child, signal.SIGCONT)
            return _wait(child)
        finally:
            if tracer is not None:
                tracer.wait(ATTACH)

    def _run_child(self, point: Point | None, *, is_traced: bool) -> None:
        code = small_pass.BUG
        try:
            said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            if is_traced:
                os.kill(os.getpid(), signal.SIGSTOP)
            elif point is not None:
                os.pwrite = _short_at(point.number)
            # a look at the files would be a call, too, and the calls are counted without it
            is_watched = point is not None and point.call not in ("openat", "getdents64")
            code = small_pass.run(
                self.work, small_pass.AFTER, seed=2 if point or is_traced else 3, is_watched=is_watched
            )
            with contextlib.suppress(OSError):
                sys.stdout.flush()
        finally:
            os._exit(code)

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []


def _short_at(number: int):
    """Return a pwrite whose n-th call writes half of what it is given."""
    real, count = os.pwrite, 0

    def pwrite(fd, body, offset):
        nonlocal count
        count += 1
        return real(fd, bytes(body)[: len(body) // 2] if count == number and len(body) > 1 else body, offset)

    return pwrite


def _count_writes(template: Path, work: Path) -> int:
    """Return how many times the second pass calls `os.pwrite`."""
    shutil.copytree(template, work, symlinks=True)
    real, count = os.pwrite, 0

    def pwrite(fd, body, offset):
        nonlocal count
        count += 1
        return real(fd, body, offset)

    os.pwrite = pwrite
    try:
        small_pass.run(work, small_pass.AFTER, seed=2)
    finally:
        os.pwrite = real
    return count


def _wait_for_tracer(child: int, tracer: subprocess.Popen) -> None:
    deadline = time.monotonic() + ATTACH
    while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            raise OSError("strace cannot be attached: is tracing allowed here (CAP_SYS_PTRACE)?")
        time.sleep(0.002)


def _wait(child: int) -> int:
    """Return how a child ended; one that does not end is killed."""
    deadline = time.monotonic() + LONGEST
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def sample(points: list[Point], count: int) -> list[Point]:
    """Return about `count` points, spread evenly over all calls and errors."""
    return points[:: max(1, len(points) // count)] if count else points


def search(folder: Path, choose=lambda points: points) -> Iterator[Outcome]:
    """Yield the outcome of each chosen point."""
    found = Search(folder)
    for point in choose(found.points()):
        yield found.try_out(point)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.system_calls", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="try about so many points; 0: all")
    parser.add_argument("--offset", type=int, default=0, help="begin with this point")
    given = parser.parse_args()
    tried, reached, wrong = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="syncd-calls-") as folder:
        for outcome in search(Path(folder) / "search", lambda points: sample(points[given.offset :], given.sample)):
            tried += 1
            reached += outcome.was_reached
            if outcome.wrong:
                wrong += 1
                print(f"{outcome.point}: {outcome.wrong}", flush=True)
    print(f"{tried} calls tried, {reached} made to fail, {wrong} wrong")
    return 1 if wrong or not reached else 0


if __name__ == "__main__":
    sys.exit(main())
