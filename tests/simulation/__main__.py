"""Plays simulated histories: `python -m tests.simulation SEED [END]`; one seed is told in full, many in a line each."""

import argparse
import collections
import sys
import time

from tests.simulation.scenario import scenario_of
from tests.simulation.shrinking import failures, play, shrink, tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("end", type=int, nargs="?", help="play all seeds before this one")
    given = parser.parse_args()
    if given.end is None:
        scenario = scenario_of(given.seed)
        played = play(scenario)
        print("\n".join(played.trace))
        print(tell(shrink(played), scenario) if played.promise else f"{scenario.story()}\n  => every promise was kept")
        return 1 if played.promise else 0
    began, reached, failed = time.monotonic(), collections.Counter[str](), 0
    for story in failures(range(given.seed, given.end), lambda one: reached.update(one.reached)):
        failed += 1
        print(f"{story}\n", flush=True)
    print(
        f"{given.end - given.seed} histories, {failed} broke a promise, {time.monotonic() - began:.0f} s; in so many of them:"
    )
    print(", ".join(f"{what} {count}" for what, count in reached.most_common()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
