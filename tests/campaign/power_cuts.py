"""Cuts the power at every step of a small pass: `python -m tests.campaign.power_cuts [--sample N]`.

The disk is a file system of its own on a loop device, which is told to shut down at once, its journal unwritten
(EXT4_IOC_SHUTDOWN, as file systems are tested themselves): what was not synced is lost, as when the power goes. A child
process runs the pass, and cuts the power itself before or after its n-th call that writes, syncs or names something.
What is left must be proved, and the next pass must end as if nothing had happened. A pass that has ended must be on the
disk as it is.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.campaign import small_pass

STEPS = ("pwrite", "fsync", "rename", "replace", "link", "unlink", "mkdir")
SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs/ext4/ext4.h
AT_ONCE = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH
WAS_CUT = 42  # how a child exits that has cut the power


class Disk:
    """A file system in a file, mounted at `root`."""

    def __init__(self, folder: Path) -> None:
        self.image, self.root = folder / "disk.img", folder / "disk"
        self.root.mkdir()
        with self.image.open("wb") as image:
            image.truncate(512 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.root], check=True)

    def cut(self) -> None:
        """Lose everything that is not on the disk."""
        found = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(found, SHUTDOWN, struct.pack("I", AT_ONCE))
        finally:
            os.close(found)

    def sync(self) -> None:
        """Put everything on the disk."""
        subprocess.run(["sync", "-f", self.root], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.root], check=True)


class Cut(msgspec.Struct, frozen=True):
    """Before or after which call; number 0 is after the pass."""

    number: int
    is_after: bool

    def __str__(self) -> str:
        return f"{'after' if self.is_after else 'before'} call {self.number}" if self.number else "after the pass"


class CutOutcome(msgspec.Struct, frozen=True):
    """What became of a cut: "" is well, otherwise what was wrong; `step` is the call that it met."""

    cut: Cut
    wrong: str
    was_reached: bool
    step: str = ""


class CutSearch:
    """A pass on a disk of its own, whose power is cut."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.disk, self.work, self.template = disk, disk.root / "work", folder / "template"
        self.said = folder / "said"
        self.template.mkdir(parents=True)
        if small_pass.run(self.template, small_pass.BEFORE) != small_pass.COMPLETE:
            raise AssertionError("the first pass, without a cut, did not complete")
        self._fresh()
        if self._forked(None, seed=2) != small_pass.COMPLETE:
            raise AssertionError("the second pass, without a cut, did not complete")
        self.expected = small_pass.fingerprint(self.work)
        self.steps = int(self.said.read_text().split()[-1])

    def cuts(self) -> list[Cut]:
        """Return every moment of a pass at which the power can go."""
        cuts = [Cut(number, is_after) for number in range(1, self.steps + 1) for is_after in (False, True)]
        return [*cuts, Cut(0, is_after=True)]

    def try_out(self, cut: Cut) -> CutOutcome:
        """Cut the power, and look at what is left and at the next pass."""
        self._fresh()
        code = self._forked(cut, seed=2)
        step = self.said.read_text().strip()
        was_reached = code == WAS_CUT or not cut.number
        if code != WAS_CUT:
            self.disk.cut()
        self.disk.unmount()
        self.disk.mount()
        wrong = ""
        if code not in (WAS_CUT, small_pass.COMPLETE):
            wrong = f"ended with {code}: {step[-1500:]}"
        elif unproved := small_pass.visible_and_unproved(self.work):
            wrong = f"visible, and never proved: {unproved}"
        elif code == small_pass.COMPLETE and small_pass.fingerprint(self.work) != self.expected:
            wrong = "the pass had ended, and the disk has something else"
        elif (code := self._forked(None, seed=3)) != small_pass.COMPLETE:
            wrong = f"the next pass ended with {code}: {self.said.read_text()[-1500:]}"
        elif small_pass.fingerprint(self.work) != self.expected:
            wrong = "the next pass ended with another copy"
        return CutOutcome(cut, wrong, was_reached, step.split("\n")[-1])

    def _fresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.template, self.work, symlinks=True)
        self.disk.sync()

    def _forked(self, cut: Cut | None, *, seed: int) -> int:
        """Run a pass in a child, which cuts the power itself; returns how it ended."""
        child = os.fork()
        if child == 0:
            code = small_pass.BUG
            try:
                said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(said, 1)
                os.dup2(said, 2)
                counter = _Counter(self.disk, cut)
                code = small_pass.run(self.work, small_pass.AFTER, seed=seed, is_watched=False)
                print(counter.count, flush=True)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Counter:
    """Counts the calls that change something, and cuts the power at one of them."""

    def __init__(self, disk: Disk, cut: Cut | None) -> None:
        self.disk, self.cut, self.count = disk, cut, 0
        for name in STEPS:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, real):
        def call(*args, **more):
            self.count += 1
            is_here = self.cut is not None and self.cut.number == self.count
            if is_here and not self.cut.is_after:
                self._end(name)
            try:
                return real(*args, **more)
            finally:
                if is_here:
                    self._end(name)

        return call

    def _end(self, name: str) -> None:
        print(name, flush=True)
        self.disk.cut()
        os._exit(WAS_CUT)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Yield a mounted disk. Raises OSError if there are no loop devices, or mounting them is not allowed."""
    os.close(os.open("/dev/loop-control", os.O_RDWR))
    disk = Disk(folder)
    disk.mount()
    try:
        yield disk
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            disk.unmount()


def sample(cuts: list[Cut], count: int) -> list[Cut]:
    """Return about `count` cuts, spread evenly over the pass, and the one after it."""
    return [*cuts[:: max(1, len(cuts) // count)], cuts[-1]] if count else cuts


def search(folder: Path, choose=lambda cuts: cuts) -> Iterator[CutOutcome]:
    """Yield the outcome of each chosen cut."""
    with mounted(folder) as disk:
        found = CutSearch(folder / "search", disk)
        for cut in choose(found.cuts()):
            yield found.try_out(cut)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.power_cuts", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="try about so many cuts; 0: all")
    parser.add_argument("--offset", type=int, default=0, help="begin with this cut")
    given = parser.parse_args()
    tried, reached, wrong, steps = 0, 0, 0, set[str]()
    with tempfile.TemporaryDirectory(prefix="syncd-cuts-") as folder:
        for outcome in search(Path(folder), lambda cuts: sample(cuts[given.offset :], given.sample)):
            tried += 1
            reached += outcome.was_reached
            steps.add(outcome.step)
            if outcome.wrong:
                wrong += 1
                print(f"{outcome.cut} ({outcome.step}): {outcome.wrong}", flush=True)
    print(
        f"{tried} power cuts, {reached} in the middle of a pass or after it, {wrong} wrong; at {', '.join(sorted(steps & {*STEPS}))}"
    )
    return 1 if wrong or not reached else 0


if __name__ == "__main__":
    sys.exit(main())
