"""Tries changes that break a promise, and counts how many of them the marked tests notice: `python -m tests.promises.mutants`.

Each change is made in a copy of the tree, never in place, and the tests that carry one of its marks run there. It is
killed if one of them fails or does not end in time, and survives if all of them pass. Everything else is an error of the list itself: a text
that is no longer in its file, or stands there more than once; a test that is not there, or does not carry the mark; a
program that cannot be imported. The same tests must pass in the copy before anything is changed.

The tests run until one fails, the quick ones first. The short form (`--short`) runs of each change only the test that the
list names; `--only P4,10` tries some changes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.promises.change import Change
from tests.promises.changes import CHANGES
from tests.promises.marks import Held, read_marks
from tests.servers import swift

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", ".cache", "demo", "dist", "site", "__pycache__", ".*_cache", ".hypothesis")
LONGEST = 120  # seconds for a test of a changed program, which may wait for what never comes
PASSED = 0  # how pytest exits
FAILED = re.compile(r"^[1-9]\d* failed\b", re.MULTILINE)  # how it ends what it says of tests that failed
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "pytest_aiohttp.plugin", "xdist.plugin")
"""What the tests need of pytest; the rest, which it would load by itself, takes as long as a test."""


class Stale(ValueError):
    """A change does not fit the tree any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change: `verdict` is killed, survived or error."""

    change: Change
    verdict: str
    seconds: float
    said: str = ""


def changed_text(change: Change, text: str) -> str:
    """Return a file's text with the change made. Raises Stale."""
    if (count := text.count(change.old)) != 1:
        raise Stale(f"{change.file}: {change.old!r} stands there {count} times, not once")
    return text.replace(change.old, change.new)


def selection(change: Change, held: Iterable[Held], *, short: bool) -> tuple[list[str], str]:
    """Return the test files to run for a change, and what to select in them. Raises Stale."""
    holding = [test for test in held if not test.holds.isdisjoint(change.holds)]
    named = [test for test in holding if test.test.rpartition(".")[2] == f"test_{change.by}"]
    if not named:
        raise Stale(f"{change.file}: no test {change.by} carries a mark of {change.holds}")
    files = sorted({file for test in (named if short else holding) for file in runnable(test.file)})
    return files, f"{change.by} and ({change.among})" if short and change.among else change.by if short else ""


def runnable(file: str) -> list[str]:
    """Return the modules in which pytest finds the tests of a file: for a contract, those that import it."""
    path = ROOT / file
    if path.name.startswith("test_"):
        return [file]
    uses = [other for other in sorted(path.parent.glob("test_*.py")) if path.stem in other.read_text()]
    return [other.relative_to(ROOT).as_posix() for other in uses]


class Copy:
    """A copy of the tree in which one change at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        (self.root / ".cache").symlink_to(ROOT / ".cache")  # the server that is installed there
        self.scratch = folder / "tmp"

    def try_out(self, change: Change, held: Sequence[Held], *, short: bool) -> Outcome:
        """Make the change, run its tests, take it back."""
        began = time.monotonic()
        file = self.root / change.file
        try:
            original = file.read_text()
            files, select = selection(change, held, short=short)
            file.write_text(changed_text(change, original))
        except (Stale, OSError) as error:
            return Outcome(change, "error", 0.0, str(error))
        try:
            forget_compiled(file)
            code, said = self.run(files, select, change.holds, first_only=True)
        finally:
            file.write_text(original)
            forget_compiled(file)
        seconds = time.monotonic() - began
        return Outcome(change, verdict_of(code, said, seconds), seconds, said)

    def run(
        self, files: Sequence[str], select: str, holds: Iterable[str | int], *, first_only: bool
    ) -> tuple[int, str]:
        """Run tests of the copy; returns pytest's exit code and what it printed."""
        words = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
        words += [word for plugin in PLUGINS for word in ("-p", plugin)]
        words += [f"--basetemp={self.scratch}", f"--timeout={LONGEST}", f"--holds={','.join(map(str, holds))}"]
        words += [*(["-x"] if first_only else []), *(["-k", select] if select else [])]
        environ = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "SYNCD_TREE_UNDER_TEST": str(self.root),
        }
        done = subprocess.run(
            [*words, *files], cwd=self.root, env=environ, capture_output=True, text=True, errors="replace", check=False
        )
        return done.returncode, done.stdout + done.stderr


def verdict_of(code: int, said: str, seconds: float) -> str:
    """Return the verdict on a run of tests: pytest's exit code, what it printed, and how long it took.

    A test that does not end in time is a failed one, but pytest does not always come to say so: the alarm may meet it
    inside a coroutine whose traceback it cannot show. An error before the test, in a fixture or an import, is no verdict.
    """
    if code == PASSED:
        return "survived"
    return "killed" if FAILED.search(said) is not None or seconds >= LONGEST else "error"


def forget_compiled(file: Path) -> None:
    """Remove what Python compiled from a file: a change within a second, and of equal length, would go unnoticed."""
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()


def main() -> int:
    """Try the changes; 1 if one survives or does not fit the tree."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.mutants", description=__doc__)
    parser.add_argument("--short", action="store_true", help="of each change only the test that the list names")
    parser.add_argument("--only", default="", metavar="P4,10", help="changes that break one of these")
    given = parser.parse_args()
    wanted = {int(one) if one.isdecimal() else one for one in given.only.split(",") if one}
    changes = [one for one in CHANGES if not wanted or not wanted.isdisjoint(one.holds)]
    held = read_marks()
    swift.install()  # here, for what a copy installs has the paths of the copy
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="syncd-mutants-") as scratch:
        copies: Queue[Copy] = Queue()
        for number in range(min(len(os.sched_getaffinity(0)), len(changes))):
            copies.put(Copy(Path(scratch) / str(number)))

        def tried(change: Change) -> Outcome:
            copy = copies.get()
            try:
                return copy.try_out(change, held, short=given.short)
            finally:
                copies.put(copy)

        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(copies.qsize()) as threads:
            unchanged = threads.submit(_unchanged, copies, changes, held, short=given.short)
            for outcome in threads.map(tried, changes):
                outcomes.append(outcome)
                _tell(outcome)
        code, said = unchanged.result()
    return _sum_up(outcomes, code, said, time.monotonic() - began)


def _unchanged(
    copies: "Queue[Copy]", changes: Sequence[Change], held: Sequence[Held], *, short: bool
) -> tuple[int, str]:
    """Run the same tests where nothing was changed: what fails there as well notices nothing."""
    files: set[str] = set()
    selects: list[str] = []
    for change in changes:
        try:
            more, select = selection(change, held, short=short)
        except Stale:
            continue  # told with its change
        files |= set(more)
        selects.append(f"({select})")
    holds = sorted({one for change in changes for one in change.holds}, key=str)
    copy = copies.get()
    try:
        return copy.run(sorted(files), " or ".join(selects) if short else "", holds, first_only=False)
    finally:
        copies.put(copy)


def _tell(outcome: Outcome) -> None:
    change = outcome.change
    holds = ", ".join(map(str, change.holds))
    print(f"{outcome.verdict:<8} {outcome.seconds:6.1f} s  {holds}: {change.breaks}", flush=True)
    if outcome.verdict != "killed":
        print(f"         {change.file}: {change.old!r} -> {change.new!r}")
        print("         " + "\n         ".join(outcome.said.strip().splitlines()[-15:]), flush=True)


def _sum_up(outcomes: Sequence[Outcome], code: int, said: str, seconds: float) -> int:
    killed = sum(one.verdict == "killed" for one in outcomes)
    errors = sum(one.verdict == "error" for one in outcomes)
    if code != PASSED:
        print(f"The same tests do not pass where nothing was changed:\n{said[-3000:]}")
    print(f"{killed} of {len(outcomes)} killed, {errors} errors, {seconds:.0f} s")
    return 0 if killed == len(outcomes) and code == PASSED else 1


if __name__ == "__main__":
    sys.exit(main())
