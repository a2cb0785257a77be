"""Runs the campaign, or a part of it: `make campaign`, `make campaign PART=simulation`.

A part ends when all its pieces are done, or after 85 minutes; the next run goes on where it ended, for the state of
each part is in `.cache/campaign/`. The sum is printed at the end, and with `--sum` alone. The exit code is 1 if anything
was wrong, or if a part reached no fault: such a run shows nothing.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tests.campaign.parts import PARTS, ROOT, Pieces

STATE = ROOT / ".cache" / "campaign"
LONGEST = 85 * 60.0  # seconds of one part in one run
SAVED = 10.0  # seconds between two records of the state
SHOWN = 20  # wrong things that are kept


class PartState(msgspec.Struct):
    """How far a part is, and what it found, over all its runs."""

    tree: str
    pieces: int = 0
    tried: int = 0
    reached: int = 0
    wrong: int = 0
    seconds: float = 0.0
    is_over: bool = False
    stories: list[str] = []


def run_part(name: str, pieces: Pieces, folder: Path, *, tree: str, longest: float = LONGEST) -> PartState:
    """Run a part from where it ended, for at most so many seconds; another tree begins again."""
    file = folder / f"{name}.json"
    state = load(file)
    if state is None or state.tree != tree:
        state = PartState(tree)
    if state.is_over:
        return state
    began = saved = time.monotonic()
    before = state.seconds
    for piece in pieces(state.pieces):
        now = time.monotonic()
        state.pieces += 1
        state.tried += piece.tried
        state.reached += piece.reached
        state.wrong += len(piece.wrong)
        state.stories += piece.wrong[: SHOWN - len(state.stories)]
        state.seconds = before + now - began
        for story in piece.wrong:
            print(f"{name}: {story}\n", flush=True)
        if now - saved > SAVED:
            save(file, state)
            saved = now
        if now - began > longest:
            break
    else:
        state.is_over = True
    save(file, state)
    return state


def load(file: Path) -> PartState | None:
    """Return the state of a part, None if there is none."""
    return msgspec.json.decode(file.read_bytes(), type=PartState) if file.exists() else None


def save(file: Path, state: PartState) -> None:
    """Record the state of a part; a kill leaves the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(state))
    new.replace(file)


def tree_id() -> str:
    """Return the commit that is tried, with a mark if the tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def sum_up(states: Mapping[str, PartState | None]) -> Iterable[str]:
    """Yield the sum, a line for each part."""
    yield f"{'part':<14}{'tried':>9}{'reached':>10}{'wrong':>7}{'minutes':>9}  tree"
    for name, state in states.items():
        if state is None:
            yield f"{name:<14}{'not run':>9}"
            continue
        left = "" if state.is_over else "  not over: run it again"
        minutes = state.seconds / 60
        yield f"{name:<14}{state.tried:>9,}{state.reached:>10,}{state.wrong:>7}{minutes:>9.1f}  {state.tree}{left}"


def is_good(state: PartState | None) -> bool:
    """True if a part that was run found nothing wrong and reached faults."""
    return state is None or (state.wrong == 0 and state.reached > 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("part", nargs="?", default="", help=f"one of {', '.join(PARTS)}; otherwise all")
    parser.add_argument("--sum", action="store_true", help="only print the sum")
    parser.add_argument("--minutes", type=float, default=LONGEST / 60, help="the longest that a part runs")
    given = parser.parse_args()
    if given.part and given.part not in PARTS:
        parser.error(f"{given.part} is no part: {', '.join(PARTS)}")
    tree = tree_id()
    for name, pieces in PARTS.items() if not given.sum else ():
        if given.part in ("", name):
            run_part(name, pieces, STATE, tree=tree, longest=60 * given.minutes)
    states = {name: load(STATE / f"{name}.json") for name in PARTS}
    print("\n".join(sum_up(states)))
    return 0 if all(is_good(state) for state in states.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
