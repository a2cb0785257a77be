"""`tunasync.json`: all mirrors in the format that mirror sites and their monitors read.

Rule: the format writes an absent time as the year 1, also in seconds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from manifests.messages import plain
from syncd.control import MirrorView

_NEVER = "0001-01-01 00:00:00 +0000"
_NEVER_TS = -62_135_596_800
_UNITS = ("", "K", "M", "G", "T", "P", "E")

Status = Literal["none", "failed", "success", "syncing", "pre-syncing", "paused", "disabled"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One mirror in tunasync's format."""

    name: str
    is_master: bool = True
    status: Status
    last_update: str
    last_update_ts: int
    last_started: str
    last_started_ts: int
    last_ended: str
    last_ended_ts: int
    next_schedule: str
    next_schedule_ts: int
    upstream: str
    size: str


def tunasync(mirrors: Iterable[MirrorView]) -> bytes:
    """Return the document."""
    return msgspec.json.encode([job(mirror) for mirror in mirrors], enc_hook=plain)


def job(mirror: MirrorView) -> Job:
    """Return one mirror in tunasync's format."""
    last, progress = mirror.last, mirror.progress
    began = progress.began if progress is not None else (last.began if last is not None else mirror.attempted)
    ended = last.ended if last is not None else None
    updated, updated_ts = _time(mirror.succeeded)
    started, started_ts = _time(began)
    over, over_ts = _time(ended)
    due, due_ts = _time(mirror.next_run)
    return Job(
        name=mirror.name,
        status=status(mirror),
        last_update=updated,
        last_update_ts=updated_ts,
        last_started=started,
        last_started_ts=started_ts,
        last_ended=over,
        last_ended_ts=over_ts,
        next_schedule=due,
        next_schedule_ts=due_ts,
        upstream=mirror.source,
        size=_size(mirror.bytes),
    )


def status(mirror: MirrorView) -> Status:
    """Return tunasync's status that is closest to a mirror's state."""
    if mirror.state == "running":
        survey = mirror.progress is not None and mirror.progress.phase == "survey"
        return "pre-syncing" if survey else "syncing"
    if mirror.state == "paused":
        return "paused"
    if mirror.state in {"rejected", "retired"}:
        return "disabled"
    if mirror.state in {"failing", "nothing_found", "offline"} or (
        mirror.last is not None and mirror.last.outcome in {"failed", "nothing_found", "killed"}
    ):
        return "failed"
    return "success" if mirror.succeeded is not None else "none"


def _time(seconds: float | None) -> tuple[str, int]:
    if seconds is None:
        return _NEVER, _NEVER_TS
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S +0000"), int(seconds)


def _size(count: int) -> str:
    """Return bytes as `rsync -h` writes them, in powers of 1,000 and two places: 1.24T."""
    size, at = float(count), 0
    while size >= 999.995 and at + 1 < len(_UNITS):
        size, at = size / 1_000, at + 1
    return f"{size:.2f}{_UNITS[at]}" if at else str(count)
