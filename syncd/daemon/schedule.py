"""Computes when the next pass of a mirror is due, when it may run, and its freshness target. Pure functions.

Rules:
1. The caller passes the current time. Due times are wall-clock times; the caller waits by the monotonic clock and
   computes them again after the wall clock steps.
2. Missed passes are caught up by one pass: the due time counts from the last pass.
3. After failed passes the next due time follows an exponential backoff instead of the schedule, whether that is sooner
   or later. After an incomplete pass, or one that found no file, it is the sooner of the backoff and the schedule.
   After one that left files which upstream may still be writing, it is when they may be complete, if that is sooner.
4. Mirrors with equal intervals are spread: each is due up to a twentieth of its interval early, derived from its name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import xxhash

from manifests.model import Mirror, Schedule

EARLY = 0.05  # of `every`: how much earlier a pass may be due ...
MAX_EARLY = 900.0  # ... in seconds
FIRST_RETRY = 300.0  # seconds after a failed pass; doubles each time ...
LAST_RETRY = 3_600.0  # ... up to this,
LAST_DENIED = 6 * 3_600.0  # or this, if time alone is unlikely to help
FIRST_REPAIR = 900.0  # seconds after an incomplete pass; doubles each time
LAST_REPAIR = 86_400.0
FIRST_LOOK = 5.0  # seconds after the second pass in a row that left unsettled files; doubles each time
LAST_LOOK = 300.0
GRACE = 0.5  # of the interval: added to it before a copy is stale ...
MIN_GRACE = 600.0  # ... at least, in seconds
DUES = 64  # cron times among which the longest interval is sought

Cron = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """The past passes of a mirror; times in seconds since the epoch.

    `began` and `ended` are those of the last pass. `failures` counts the latest failed passes, `partial` the latest
    incomplete ones in a row. `denied` is True if time alone is unlikely to cure the last failure, `cut` if the last
    pass was stopped or killed before its end. `settles` is when files that wait may be complete, `looks` counts the
    latest passes in a row that left some. `found_none` is True if upstream answered the last pass, and listed no file.
    """

    began: float | None = None
    ended: float | None = None
    failures: int = 0
    partial: int = 0
    denied: bool = False
    cut: bool = False
    settles: float | None = None
    looks: int = 0
    found_none: bool = False


def due(mirror: Mirror, past: Past, now: float, completed: Mapping[str, float | None] | None = None) -> float | None:
    """Return when the next pass is due, which may be in the past; None on demand, or while it waits for other mirrors.

    `completed` gives the end of the last complete pass of each mirror (for `schedule.after`).
    """
    if not mirror.enabled:
        return None
    if past.cut:
        return now
    if past.failures and past.began is not None:
        again = _retry(past, now)
        planned = _by_schedule(mirror, past, now, completed) if past.found_none else None
        return again if planned is None else min(planned, again)
    planned = _by_schedule(mirror, past, now, completed)
    look = _next_look(past, now)
    return look if planned is None or (look is not None and look < planned) else planned


def _by_schedule(mirror: Mirror, past: Past, now: float, completed: Mapping[str, float | None] | None) -> float | None:
    schedule = mirror.schedule
    if schedule is None:
        return None
    if schedule.after:
        planned = _after(schedule.after, past, completed or {}, now)
    elif past.began is None:
        return now
    else:
        planned = _planned(mirror.name, schedule, min(past.began, now))
    if past.partial:
        again = _settled(past, now) + backoff(past.partial, FIRST_REPAIR, LAST_REPAIR)
        return again if planned is None else min(planned, again)
    return planned


def backoff(count: int, first: float, last: float) -> float:
    """Return the seconds to wait after `count` failures in a row."""
    return min(last, first * 2.0 ** min(count - 1, 30))


def waits_for(mirror: Mirror, past: Past, completed: Mapping[str, float | None], now: float) -> list[str]:
    """Return the mirrors of `schedule.after` that have not completed a pass since this mirror's last pass began."""
    names = mirror.schedule.after if mirror.schedule is not None else ()
    return [name for name in names if not _completed_since(completed.get(name), past.began, now)]


def opens_in(mirror: Mirror, now: float) -> float:
    """Return the seconds until the mirror's window opens; 0.0 if it is open, or if there is none."""
    window = mirror.source.limits.window
    return 0.0 if window is None else window.opens_in(moment(now))


def fresh_within(mirror: Mirror, now: float, others: Mapping[str, float | None] | None = None) -> float | None:
    """Return the freshness target in seconds: the longest interval plus a grace. None without a schedule, or disabled.

    `others` are the freshness targets of the mirrors that `schedule.after` names.
    """
    schedule = mirror.schedule if mirror.enabled else None
    if schedule is None:
        return None
    if schedule.fresh_within is not None:
        return schedule.fresh_within
    if schedule.after:
        known = [(others or {}).get(name) for name in schedule.after]
        longest = max((one for one in known if one is not None), default=None)
        return None if longest is None else longest + max(MIN_GRACE, 0.1 * longest)
    longest = schedule.every if schedule.every is not None else _longest(schedule, now)
    return longest + max(MIN_GRACE, GRACE * longest)


def cycle(afters: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the mirrors of one cycle of `schedule.after`, or []; `afters` maps each mirror to its `schedule.after`."""
    left = {name: [one for one in names if one in afters] for name, names in afters.items()}
    while free := [name for name, names in left.items() if not names]:
        for name in free:
            del left[name]
        left = {name: [one for one in names if one in left] for name, names in left.items()}
    if not left:
        return []
    ring, name = [], next(iter(sorted(left)))
    while name not in ring:
        ring.append(name)
        name = left[name][0]
    return ring[ring.index(name) :]


def moment(seconds: float) -> datetime:
    """Return a time as a datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _next_look(past: Past, now: float) -> float | None:
    """Return when to look again at files that may be complete then; None if none waits for that.

    A mirror to which upstream writes all the time is surveyed ever more rarely, and at most half of the time.
    """
    if past.settles is None or past.began is None:
        return None
    ended = _settled(past, now)
    pause = backoff(past.looks - 1, FIRST_LOOK, LAST_LOOK) if past.looks > 1 else 0.0
    return max(past.settles, ended + max(pause, ended - min(past.began, ended)))


def _retry(past: Past, now: float) -> float:
    return _settled(past, now) + backoff(past.failures, FIRST_RETRY, LAST_DENIED if past.denied else LAST_RETRY)


def _settled(past: Past, now: float) -> float:
    """Return when the last pass ended; a time in the future (the clock was ahead) counts as `now`."""
    ended = past.ended if past.ended is not None else past.began
    return now if ended is None else min(ended, now)


def _planned(name: str, schedule: Schedule, began: float) -> float:
    if schedule.every is None:
        return schedule.next_after(moment(began)).timestamp()
    share = xxhash.xxh3_64_intdigest(name.encode()) / 2**64
    return began + schedule.every - min(MAX_EARLY, EARLY * schedule.every) * share


def _after(names: Iterable[str], past: Past, completed: Mapping[str, float | None], now: float) -> float | None:
    times = [completed.get(name) for name in names]
    if not all(_completed_since(time, past.began, now) for time in times):
        return None
    return max(time for time in times if time is not None)


def _completed_since(completed: float | None, began: float | None, now: float) -> bool:
    """Return True if a pass was completed since `began`; a time in the future (the clock was ahead) does not count."""
    if completed is None or completed > now:
        return False
    return began is None or began > now or completed > began


def _longest(schedule: Schedule, now: float) -> float:
    dues = [moment(now)]
    for _ in range(DUES):
        dues.append(schedule.next_after(dues[-1]))
    return max((later - earlier).total_seconds() for earlier, later in pairwise(dues[1:]))
