"""The parts of a campaign: what each does, piece by piece, so that it can be stopped and resumed at any piece."""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.simulation.scenario import scenario_of
from tests.simulation.shrinking import play, shrink, tell

ROOT = Path(__file__).parents[2]
HISTORIES = 100_000
KILLS = 1_000
KILLS_EACH = 30  # of one run of tests/acceptance/test_sigkill.py
POWER_CUTS = 200
FUZZ_PIECE = 60.0  # seconds
FUZZ_PIECES = 60
TARGETS = ("autoindex", "checksums", "xml", "json", "table", "ftp", "s3", "manifest")


class Piece(msgspec.Struct, frozen=True):
    """What one piece of a part did: things tried, faults that were reached, and what was wrong."""

    tried: int
    reached: int
    wrong: tuple[str, ...] = ()


Pieces = Callable[[int], Iterator[Piece]]
"""Yields the pieces of a part from the given one on."""


def simulation(first: int) -> Iterator[Piece]:
    """Seeds of the simulation, one a piece."""
    for seed in range(first, HISTORIES):
        scenario = scenario_of(seed)
        played = play(scenario)
        wrong = (tell(shrink(played), scenario),) if played.promise else ()
        yield Piece(1, len(played.reached), wrong)


def system_calls(first: int) -> Iterator[Piece]:
    """System calls of a small pass on a folder, one a piece."""
    from tests.campaign.system_calls import search

    with tempfile.TemporaryDirectory(prefix="syncd-campaign-") as folder:
        for outcome in search(Path(folder) / "search", lambda points: points[first:]):
            yield Piece(1, int(outcome.was_reached), _wrong(outcome.point, outcome.wrong))


def s3_requests(first: int) -> Iterator[Piece]:
    """Requests of a small pass on an S3 server; a run of ten a piece."""
    for number in itertools.count(first):
        words = ["--offset", str(10 * number), "--count", "10"]
        done = _run("tests.campaign.s3_requests", *words)
        tried, reached, _ = (int(word) for word in done.stdout.split("\n")[-2].split() if word.isdigit())
        if not tried and not done.returncode:
            return
        yield Piece(tried, reached, _failed(done))


def power_cuts(first: int) -> Iterator[Piece]:
    """Power cuts at every step of a small pass, again from the first one until there were enough."""
    from tests.campaign.power_cuts import CutSearch, mounted

    with tempfile.TemporaryDirectory(prefix="syncd-campaign-") as folder, mounted(Path(folder)) as disk:
        search = CutSearch(Path(folder) / "search", disk)
        cuts = search.cuts()
        for number in range(first, max(POWER_CUTS, len(cuts))):
            outcome = search.try_out(cuts[number % len(cuts)])
            yield Piece(1, int(outcome.was_reached), _wrong(outcome.cut, outcome.wrong))


def sigkill(first: int) -> Iterator[Piece]:
    """Kills of passes over a folder and a bucket, thirty of each a piece."""
    for number in range(first, -(-KILLS // (2 * KILLS_EACH))):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/acceptance/test_sigkill.py"],
            cwd=ROOT,
            env={**os.environ, "SYNCD_CAMPAIGN_SEED": str(1000 + number), "EVERY_POINT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        passed = 2 if done.returncode == 0 else 0
        yield Piece(2 * KILLS_EACH, passed * KILLS_EACH, _failed(done))


def fuzzing(first: int) -> Iterator[Piece]:
    """An hour of fuzzing: a minute of one target a piece."""
    for number in range(first, FUZZ_PIECES):
        target = TARGETS[number % len(TARGETS)]
        words = ["--only", target, "--seconds", str(FUZZ_PIECE), "--seed", str(number)]
        done = _run("tests.campaign.fuzzing", *words)
        line = next(
            (line for line in done.stdout.splitlines() if line.startswith(f"{target}: ") and " inputs, " in line), ""
        )
        inputs, pairs = (int(word) for word in line.split() if word.isdigit()) if line else (0, 0)
        yield Piece(inputs, pairs, _failed(done))


PARTS: dict[str, Pieces] = {
    "simulation": simulation,
    "system-calls": system_calls,
    "s3-requests": s3_requests,
    "sigkill": sigkill,
    "power-cuts": power_cuts,
    "fuzzing": fuzzing,
}


def _run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def _failed(done: subprocess.CompletedProcess[str]) -> tuple[str, ...]:
    return ((done.stdout + done.stderr)[-4000:],) if done.returncode else ()


def _wrong(where: object, what: str) -> tuple[str, ...]:
    return (f"{where}: {what}",) if what else ()
