"""Computes what a holding costs from measured constants: `python -m tests.bench.scale_model`, `--write` for the docs.

Each constant names the command that measures it. They are of one core of the machine that docs/performance.md
describes; ratios hold elsewhere, seconds do not. A figure is a product of constants and counts: no scheduling, no
waiting for others, no cache that becomes too small. Where a cache does, the table of walls says so.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
BEGIN, END = "<!-- model -->\n", "<!-- end -->\n"
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Holding:
    """What is mirrored."""

    name: str
    files: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Constant:
    """A measured value, and the command that measures it."""

    name: str
    value: float
    unit: str
    source: str


ENTRY = Constant("the Catalogue, an entry", 236, "B", "many_entries")
CLAIM = Constant("the Catalogue, a claim of a survey", 250, "B", "docs/operating.md, Disk")
LINE = Constant("the store, an entry in a snapshot and its origin", 90, "B", "docs/operating.md, Disk")
SHARD = Constant("entries of a shard", 16_384, "", "the cut of shards")
COMPARED = Constant("survey and plan of an unchanged S3 listing", 5.4, "CPU µs a file", "many_entries, 10,000,000")
PLANNED = Constant("survey and plan of new files", 4.0, "CPU µs a file", "plan-1m, plan-10m")
KEYS = Constant("keys of a page of an S3 listing", 1_000, "", "the protocol")
LATENCY = Constant("an S3 server's answer to one page", 0.1, "s", "an assumption; 0.05 to 0.3 s are usual")
REPACKED = Constant("publish, an entry of a shard that changed", 5.3, "CPU µs", "many_entries, 10,000,000")
SMALL = Constant("transfer of a small file", 300, "CPU µs", "local-small")
LARGE = Constant("transfer, verified", 1.95, "CPU s a GB", "local-big")
READ = Constant("sha256 alone", 0.91, "CPU s a GB", "hashlib.sha256 of pieces of 16 MiB")
REBUILT = Constant("rebuild of the Catalogue from snapshots", 67, "CPU µs a file", "many_entries --rebuild, 100,000")
STARTED = Constant("start of the daemon, its own part", 0.02, "CPU s", "many_entries")
LINK = Constant("a link of 10 Gbit/s", 1.25e9, "B/s", "arithmetic")
DISKS = Constant("a store that is read all the time", 1.0e9, "B/s", "an assumption")
MEMORY = Constant("memory of survey and plan", 140, "MB", "same-10m, many_entries; docs/operating.md")
CONSTANTS = tuple(one for one in globals().copy().values() if isinstance(one, Constant))

HOLDINGS = (
    Holding("a million, 1 TB", 1e6, 1e12),
    Holding("ten million, 100 TB", 1e7, 1e14),
    Holding("a hundred million, 10 PB", 1e8, 1e16),
)
Cost = Callable[[Holding], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that grows, or does not."""

    what: str
    grows: str
    cost: Cost
    show: Callable[[float], str]


def shards(holding: Holding) -> float:
    return holding.files / SHARD.value


def republished(holding: Holding, changed: float) -> float:
    """Return the CPU seconds of a publish of scattered changes: each shard that one of them hits is packed again."""
    untouched = (1 - 1 / shards(holding)) ** changed if shards(holding) > 1 else 0.0
    return (1 - untouched) * holding.files * REPACKED.value * 1e-6


def duration(seconds: float) -> str:
    for size, unit in ((365 * DAY, "years"), (DAY, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds:.2f} s"


def size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if count < 2_000:
            return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.0f} PB"


ROWS = (
    Row("Catalogue on disk", "files", lambda h: h.files * ENTRY.value, size),
    Row("… while a listing of unknown order is read", "files", lambda h: h.files * (ENTRY.value + CLAIM.value), size),
    Row("snapshot in the store", "files", lambda h: h.files * LINE.value, size),
    Row("shards", "files", shards, lambda n: f"{n:,.0f}"),
    Row("memory of survey and plan", "nothing", lambda _: MEMORY.value * 1e6, size),
    Row("start of the daemon, `status`", "nothing", lambda _: STARTED.value, duration),
    Row("pass of nothing: compare an S3 listing (CPU)", "files", lambda h: h.files * COMPARED.value * 1e-6, duration),
    Row("… wait for its pages, one after the other", "files", lambda h: h.files / KEYS.value * LATENCY.value, duration),
    Row("publish of one file (CPU)", "nothing", lambda h: republished(h, 1), duration),
    Row("publish of 1,000 scattered files (CPU)", "change", lambda h: republished(h, 1_000), duration),
    Row("publish of 0.1 % scattered files (CPU)", "files", lambda h: republished(h, h.files / 1_000), duration),
    Row("first pass: bytes over 10 Gbit/s", "bytes", lambda h: h.bytes / LINK.value, duration),
    Row("… received and verified (CPU)", "bytes, files", lambda h: h.bytes / 1e9 * LARGE.value + h.files * SMALL.value * 1e-6, duration),
    Row("fixity check of everything at 1 GB/s", "bytes", lambda h: h.bytes / DISKS.value, duration),
    Row("… every sha256 again, `verify --read-data` (CPU)", "bytes", lambda h: h.bytes / 1e9 * READ.value, duration),
    Row("rebuild of a lost Catalogue (CPU)", "files", lambda h: h.files * REBUILT.value * 1e-6, duration),
    Row("backup of the Catalogue, written each day", "files", lambda h: h.files * ENTRY.value, size),
)  # fmt: skip


def tables() -> Iterator[str]:
    """Yield the lines of the model: what grows, and the constants."""
    yield f"| what | grows with | {' | '.join(one.name for one in HOLDINGS)} |"
    yield f"|---|---|{'---|' * len(HOLDINGS)}"
    for row in ROWS:
        yield f"| {row.what} | {row.grows} | {' | '.join(row.show(row.cost(one)) for one in HOLDINGS)} |"
    yield ""
    yield "| constant | value | from |"
    yield "|---|---|---|"
    for one in CONSTANTS:
        yield f"| {one.name} | {one.value:,g} {one.unit} | {one.source} |".replace("  ", " ")


def written() -> str:
    """Return docs/scaling.md with the tables of now."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + "".join(f"{line}\n" for line in tables()) + END + tail


def main() -> int:
    """Print the tables, or write them."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.scale_model", description=__doc__)
    words.add_argument("--write", action="store_true", help="write them into docs/scaling.md")
    if words.parse_args().write:
        PAGE.write_text(written(), "utf-8")
    else:
        print("\n".join(tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
