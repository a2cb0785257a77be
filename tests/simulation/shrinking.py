"""Plays seeds, and makes the story of one that breaks a promise as short as it can be told."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.simulation.event_loop import Endless, Stuck, large_mirror
from tests.simulation.invariants import Violation
from tests.simulation.scenario import Scenario, Step, scenario_of
from tests.simulation.world import History

SHM = Path("/dev/shm")  # a Catalogue syncs at every commit: in memory that costs nothing
TRIES = 250  # histories played to shorten one
NEUTRAL: dict[str, object] = {
    "network": 0.0, "store": 0.0, "full": 0.0, "slow": 0.0, "listing": "", "kill": 0, "pause": 0, "daemon": 0, "count": 1,
}  # fmt: skip


class Played(msgspec.Struct, frozen=True):
    """How a history went: the promise that it broke, or "", and what was reached in it."""

    scenario: Scenario
    promise: str
    seen: str
    turns: int
    reached: frozenset[str]
    trace: tuple[str, ...]


def play(scenario: Scenario) -> Played:
    """Play a history to its end, or to the first promise that is broken."""
    root = SHM if os.access(SHM, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="syncd-simulation-", dir=root) as folder:
        history = History(scenario, Path(folder) / "history")
        promise = seen = ""
        try:
            with large_mirror() if scenario.seed % 2 else contextlib.nullcontext():
                history.play()
        except Violation as violation:
            promise, seen = violation.promise, violation.seen
        except (Endless, Stuck) as error:
            promise, seen = "P9", str(error)
    trace = tuple(history.trace)
    return Played(scenario, promise, seen, history.loop.turns, frozenset(history.reached), trace)


def shrink(failed: Played, replay: Callable[[Scenario], Played] = play) -> Played:
    """Return a history as short as possible that breaks the same promise."""
    tries, best = itertools.count(1), failed
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for candidate in _shorter(best.scenario):
            if next(tries) > TRIES:
                return best
            played = replay(candidate)
            if played.promise == best.promise:
                best, is_shorter = played, True
                break
    return best


def _shorter(scenario: Scenario) -> Iterator[Scenario]:
    """Yield histories with fewer steps, then with less trouble in one of them."""
    steps = scenario.steps
    size = len(steps) // 2
    while size:
        for at in reversed(range(0, len(steps), size)):
            yield _with(scenario, (*steps[:at], *steps[at + size :]))
        size //= 2
    for at, step in enumerate(steps):
        for name, value in NEUTRAL.items():
            if getattr(step, name) != value:
                simpler = msgspec.structs.replace(step, **{name: value})
                yield _with(scenario, (*steps[:at], simpler, *steps[at + 1 :]))


def _with(scenario: Scenario, steps: tuple[Step, ...]) -> Scenario:
    return msgspec.structs.replace(scenario, steps=steps)


def tell(failed: Played, original: Scenario) -> str:
    """Return the story of a broken promise, and how to see it again."""
    left = len(original.steps) - len(failed.scenario.steps)
    last = [line for line in failed.trace if "Advanced" not in line][-12:]
    return "\n".join(
        [
            failed.scenario.story(),
            f"  => {failed.promise}: {failed.seen}",
            *([f"     ({left} steps that do not matter were left out)"] if left else []),
            "  the last that happened:",
            *(f"    {line[:160]}" for line in last),
            f"  again: python -m tests.simulation {original.seed}",
        ]
    )


def failures(seeds: Iterator[int] | range, on_played: Callable[[Played], None] = lambda _: None) -> Iterator[str]:
    """Play seeds, and yield the story of each that breaks a promise."""
    for seed in seeds:
        scenario = scenario_of(seed)
        played = play(scenario)
        on_played(played)
        if played.promise:
            yield tell(shrink(played), scenario)
