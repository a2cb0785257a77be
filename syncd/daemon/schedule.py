"""Says when the next pass of a mirror is due, when it may run, and how old its copy may get. Pure.

Rules:
1. The moment is always passed in. Dues are moments of the wall clock; whoever waits for one does so by the monotonic
   clock, looks again, and asks again after the wall clock stepped.
2. What was missed while nobody was there is caught up once: a due is counted from the last pass, not each missed one.
3. A pass that could not be had is tried again sooner than its schedule says, then more and more rarely; a schedule that
   is denser than that waits too. One of which a part failed is tried again sooner, but never later than its schedule.
4. Mirrors of the same interval do not all run at once: each comes up to a twentieth of it early, by its own name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import xxhash

from manifests.model import Mirror, Schedule

EARLY = 0.05  # of `every`: the most that a pass comes early ...
MAX_EARLY = 900.0  # ... in seconds
FIRST_RETRY = 300.0  # seconds after a pass that could not be had; doubles each time ...
LAST_RETRY = 3_600.0  # ... up to this,
LAST_DENIED = 6 * 3_600.0  # or this, where asking again will hardly help
FIRST_REPAIR = 900.0  # seconds after a pass of which a part failed
LAST_REPAIR = 86_400.0
GRACE = 0.5  # of the interval: what a copy may be older before it is stale ...
MIN_GRACE = 600.0  # ... at least, in seconds
DUES = 64  # cron dues among which the longest interval is looked for

Cron = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a mirror's passes; times in seconds since the epoch.

    `began` and `ended` are those of the last pass. Of the last ones in a row, `failures` could not be had, and of
    `partial` a part failed. `denied` says that time alone hardly heals the last failure, `cut` that the last pass was
    stopped or killed before its end.
    """

    began: float | None = None
    ended: float | None = None
    failures: int = 0
    partial: int = 0
    denied: bool = False
    cut: bool = False


def due(mirror: Mirror, past: Past, now: float, completed: Mapping[str, float | None] | None = None) -> float | None:
    """Return when the next pass is due, which may be long ago; None on demand, or while others come first.

    `completed` says of other mirrors when their last complete pass ended (for `schedule.after`).
    """
    schedule = mirror.schedule
    if past.cut:
        return now
    if past.failures and past.began is not None:
        return _retry(past, now)
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
    """Return how long to wait after `count` failures in a row."""
    return min(last, first * 2.0 ** min(count - 1, 30))


def waits_for(mirror: Mirror, past: Past, completed: Mapping[str, float | None], now: float) -> list[str]:
    """Return the mirrors of `schedule.after` that have not completed a pass since ours began."""
    names = mirror.schedule.after if mirror.schedule is not None else ()
    return [name for name in names if not _completed_since(completed.get(name), past.began, now)]


def opens_in(mirror: Mirror, now: float) -> float:
    """Return the seconds until the mirror's window is open; 0.0 while it is, or where there is none."""
    window = mirror.source.limits.window
    return 0.0 if window is None else window.opens_in(moment(now))


def fresh_within(mirror: Mirror, now: float, others: Mapping[str, float | None] | None = None) -> float | None:
    """Return how old the copy may get, in seconds: its longest interval and a grace. None without a schedule.

    `others` are the objectives of the mirrors that `schedule.after` names.
    """
    schedule = mirror.schedule
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
    """Return mirrors that wait for one another in a ring, or none; `afters` are the `schedule.after` of each."""
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


def _retry(past: Past, now: float) -> float:
    return _settled(past, now) + backoff(past.failures, FIRST_RETRY, LAST_DENIED if past.denied else LAST_RETRY)


def _settled(past: Past, now: float) -> float:
    """Return when the last pass was over; a clock that was ahead then does not hold us up now."""
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
    """Tell whether a pass was completed since `began`; what a clock that was ahead wrote down says nothing."""
    if completed is None or completed > now:
        return False
    return began is None or began > now or completed > began


def _longest(schedule: Schedule, now: float) -> float:
    dues = [moment(now)]
    for _ in range(DUES):
        dues.append(schedule.next_after(dues[-1]))
    return max((later - earlier).total_seconds() for earlier, later in pairwise(dues[1:]))
