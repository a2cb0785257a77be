"""Converts the daemon's views for the page: a badge for each state, a bar for each age, a line for each rate."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from syncd.control import Control, EntryView, MirrorView, Sample

Tone = Literal["ok", "warn", "bad", "busy", "calm"]

WIDE, HIGH = 120, 28
POINTS = 96  # of a sparkline: a quarter of an hour each
DAY = 86_400.0
BATCH = 200
_LAST = "\U0010ffff"  # sorts after every path


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in one word: `tone` picks shape and colour, `key` the word."""

    tone: Tone
    key: str


_STATES: dict[str, Badge] = {
    "waiting": Badge("calm", "state.waiting"),
    "paused": Badge("calm", "state.paused"),
    "failing": Badge("bad", "state.failing"),
    "nothing_found": Badge("bad", "state.nothing_found"),
    "offline": Badge("bad", "state.offline"),
    "rejected": Badge("bad", "state.rejected"),
    "retired": Badge("calm", "state.retired"),
}
_HEALTHS: dict[str, Badge] = {
    "good": Badge("ok", "health.good"),
    "degraded": Badge("warn", "health.degraded"),
    "stale": Badge("bad", "health.stale"),
    "unknown": Badge("calm", "health.unknown"),
}


def badges(mirror: MirrorView) -> list[Badge]:
    """Return the badge of a mirror's state, and a second one if its activity needs another."""
    health = _HEALTHS[mirror.health]
    if mirror.state == "idle":
        return [health]
    if mirror.state == "running":
        phase = mirror.progress.phase if mirror.progress is not None else "transfer"
        doing = Badge("busy", f"phase.{phase}")
    else:
        doing = _STATES[mirror.state]
    both = mirror.health in {"stale", "degraded"} and doing.tone != "bad" and mirror.state != "retired"
    return [doing, health] if both else [doing]


@dataclass(frozen=True, slots=True)
class Age:
    """The age of a copy as a `share` of its freshness target, 0 to 1, and its look."""

    share: float
    tone: Literal["ok", "warn", "bad"]


def verified_share(mirror: MirrorView) -> float:
    """Return the share of its files that matched a checksum of upstream."""
    files = sum(one.files for one in mirror.verdicts)
    return sum(one.files for one in mirror.verdicts if one.verdict == "verified") / files if files else 0.0


def age_of(mirror: MirrorView, now: float) -> Age | None:
    """Return the age of a copy that has a freshness target."""
    if mirror.succeeded is None or not mirror.fresh_within:
        return None
    share = max(0.0, (now - mirror.succeeded) / mirror.fresh_within)
    return Age(min(1.0, share), "bad" if share > 1 else "warn" if share > 0.8 else "ok")


@dataclass(frozen=True, slots=True)
class Spark:
    """The last 24 hours as a path of SVG, in a box of WIDE by HIGH."""

    line: str
    under: str
    peak: float


def spark(samples: Sequence[Sample], now: float) -> Spark | None:
    """Return the rates of the last 24 hours, or None without any traffic."""
    sums, counts = [0.0] * POINTS, [0] * POINTS
    for sample in samples:
        at = int((sample.at - (now - DAY)) / DAY * POINTS)
        if 0 <= at < POINTS:
            sums[at] += sample.rate
            counts[at] += 1
    rates = [total / count if count else 0.0 for total, count in zip(sums, counts, strict=True)]
    peak = max(rates)
    if peak <= 0:
        return None
    step = WIDE / (POINTS - 1)
    points = [f"{n * step:.1f} {HIGH - 2 - rate / peak * (HIGH - 4):.1f}" for n, rate in enumerate(rates)]
    line = "M" + "L".join(points)
    return Spark(line, f"{line}L{WIDE} {HIGH}L0 {HIGH}Z", peak)


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """A folder among the files."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FolderListing:
    """The entries of one folder of a mirror; `next` is where the following page begins, or ""."""

    folders: tuple[ListedFolder, ...]
    files: tuple[EntryView, ...]
    next: str


async def listing(control: Control, mirror: str, prefix: str, after: str, limit: int = 100) -> FolderListing:
    """Return one page of a folder, without reading the folders below it."""
    folders: list[ListedFolder] = []
    files: list[EntryView] = []
    at, known = after, ""
    async for entry in _one_per_folder(control, mirror, prefix, after):
        name, slash, _ = entry.path[len(prefix) :].partition("/")
        if len(folders) + len(files) >= limit:
            return FolderListing(tuple(folders), tuple(files), at)
        if slash:
            known = f"{prefix}{name}/"
            folders.append(ListedFolder(known, name))
            at = known + _LAST
        else:
            files.append(entry)
            at = entry.path
    return FolderListing(tuple(folders), tuple(files), "")


async def _one_per_folder(control: Control, mirror: str, prefix: str, after: str) -> AsyncIterator[EntryView]:
    """Yield the files of a folder, and the first file below each of its folders."""
    while True:
        batch = await control.entries(mirror, prefix=prefix, after=after, limit=BATCH)
        for entry in batch:
            if entry.path <= after:
                continue  # below a folder that was yielded already
            yield entry
            name, slash, _ = entry.path[len(prefix) :].partition("/")
            after = f"{prefix}{name}/{_LAST}" if slash else entry.path
        if len(batch) < BATCH:
            return
