"""Measures syncd against its peers: `python -m tests.bench thin-mixed --peer rclone --rounds 3`.

Names are cases (`list` prints them); `all` runs every one; `clean` removes the archives. All contenders of a case run in
turns in one run, with default settings, and the medians are compared; a run that loses a file counts as failed.
"""

import argparse
import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import daemon, start
from tests.bench.cases import CASES, Case, quick
from tests.bench.contest import BEFORE, US, Outcome, contest
from tests.bench.measure import Measured, middle


def main() -> int:
    """Run the cases that are asked for; 1 if a contender of ours failed."""
    asked = _words().parse_args()
    cache = asked.home or home()
    if "clean" in asked.names:
        shutil.rmtree(cache, ignore_errors=True)
        return 0
    if "daemon" in asked.names:
        with alone():
            return daemon.main()
    if "start" in asked.names:
        with alone():
            return start.main(asked.rounds, asked.before)
    names = list(CASES) if "all" in asked.names else asked.names
    if "list" in names or not names:
        for case in CASES.values():
            print(f"{case.name:13} {case.wanted:22} {', '.join(case.peers)}")
        print("daemon        (alone: start, memory at rest, the API while passes run)")
        print("start         (alone: what status, check, library list and --help cost)")
        return 0
    with alone():
        outcomes = [_outcome(name, asked, cache) for name in names]
    if asked.json:
        print(json.dumps([_plain(outcome) for outcome in outcomes], indent=1))
    return int(any(not one.is_good for outcome in outcomes for one in outcome.runs.get(US, [])))


def _outcome(name: str, asked: argparse.Namespace, home: Path) -> Outcome:
    case = quick(CASES[name]) if asked.quick else CASES[name]
    say = _silent if asked.json else _aside
    outcome = contest(
        case, _contenders(case, asked), asked.rounds, asked.reader or case.reader, home, say, asked.before
    )
    if not asked.json:
        print(table(outcome), flush=True)
    return outcome


def table(outcome: Outcome) -> str:
    """Return the figures of one case as a table in Markdown."""
    case = outcome.case
    head = f"{case.name}: {outcome.files:,} files, {outcome.bytes / 1e6:,.0f} MB; wanted {case.wanted}"
    head += f"; the link alone takes {outcome.limit:.2f} s" if outcome.limit is not None else ""
    lines = [
        f"\n{head}\n",
        "| who | wall s | of limit | syncd / it | MB/s | files/s | CPU s | CPU s/GB | CPU s/1,000 files | RSS MB | good runs |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for who, figures in _figures(outcome).items():
        cells = [_cell(figures[name]) for name in COLUMNS]
        lines.append(f"| {who} | {' | '.join(cells)} | {figures['good']}{_losses(outcome.runs[who])} |")
    return "\n".join(lines)


COLUMNS = ("wall", "of_limit", "us_to_it", "mb_s", "files_s", "cpu", "cpu_gb", "cpu_1000", "rss_mb")


def _figures(outcome: Outcome) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    ours = middle([one for one in outcome.runs.get(US, []) if one.is_good], lambda one: one.wall)
    for who, runs in outcome.runs.items():
        wall, cpu = middle(runs, lambda one: one.wall), middle(runs, lambda one: one.cpu)
        figures[who] = {
            "wall": wall,
            "of_limit": wall / outcome.limit if outcome.limit else None,
            "us_to_it": ours / wall if who != US and ours == ours else None,  # noqa: PLR0124  NaN: no run of ours
            "mb_s": outcome.bytes / wall / 1e6 if outcome.bytes else None,
            "files_s": outcome.files / wall,
            "cpu": cpu,
            "cpu_gb": cpu / outcome.bytes * 1e9 if outcome.bytes else None,
            "cpu_1000": cpu / outcome.files * 1e3,
            "rss_mb": middle(runs, lambda one: one.rss) / 1e6,
            "good": f"{sum(one.is_good for one in runs)}/{len(runs)}",
        }
    return figures


def _losses(runs: list[Measured]) -> str:
    losses = [str(one.lost) for one in runs if one.lost]
    return f" LOST {', '.join(losses)}" if losses else ""


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _plain(outcome: Outcome) -> dict[str, Any]:
    runs = {who: [asdict(one) | {"tail": ""} for one in runs] for who, runs in outcome.runs.items()}
    plain = {"case": asdict(outcome.case), "files": outcome.files, "bytes": outcome.bytes, "limit": outcome.limit}
    return plain | {"figures": _figures(outcome), "runs": runs, "seen": outcome.seen}


def _contenders(case: Case, asked: argparse.Namespace) -> list[str]:
    if asked.before is not None:
        return [US, BEFORE, *(asked.peer or [])]
    peers = list(case.peers if asked.peer is None else asked.peer)
    return peers if asked.peers_only else [US, *(peer for peer in peers if peer != "none")]


def home() -> Path:
    memory = Path("/dev/shm")
    return (memory if memory.is_dir() else Path(tempfile.gettempdir())) / "syncd-bench"


@contextmanager
def alone() -> Iterator[None]:
    """Let only one benchmark run on a machine at a time."""
    with (Path(tempfile.gettempdir()) / "syncd-bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _aside("another benchmark is running; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Say nothing."""


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("names", nargs="*", help="cases; or list, all, clean")
    words.add_argument("--peer", action="append", help="only this peer (repeatable; none: syncd alone)")
    words.add_argument("--peers-only", action="store_true", help="leave syncd out")
    words.add_argument(
        "--before",
        type=Path,
        metavar="DIR",
        help="only syncd of this checkout and of DIR, an earlier one with its .venv, and each --peer",
    )
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--reader", choices=["autoindex", "checksums"], help="another reader than the case's own")
    words.add_argument("--quick", action="store_true", help="a quarter of the work or less")
    words.add_argument("--json", action="store_true")
    words.add_argument("--home", type=Path, help="where archives and copies lie (default: on tmpfs)")
    return words


if __name__ == "__main__":
    sys.exit(main())
