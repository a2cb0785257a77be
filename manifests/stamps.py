"""What a file's stamp proves: a version or time whose clock is coarse does not show two changes within one tick. Pure.

A version tells its own resolution. `listed:` is the text of a listing: it shows seconds, minutes or only days, and
mostly no time zone. A time without a version is one of seconds, or of a day if it is midnight. `modified:` and the
usual ETags of nginx are made of whole seconds. Other ETags, and names of contents (`sha256:`, `git:`), have none: they
change with the bytes.
"""

import email.utils
import re
from datetime import UTC
from functools import lru_cache
from typing import Literal

from manifests.digest import KNOWN
from manifests.stat import Stat

LISTED = "listed:"
MODIFIED = "modified:"
SECOND, MINUTE, DAY = 1.0, 60.0, 86_400.0
TICK = 0.02  # seconds between two times of a file system that counts nanoseconds: twice the tick of a kernel at 100 Hz
SLACK = 1.0  # seconds by which the clock of an answer, and what is written in it, may be late
ZONES = 15 * 3600.0  # the largest distance of a zone from UTC ...
ZONE_STEP = 900.0  # ... of which each is a multiple of this
_OLD = 3 * DAY

Doubt = Literal["", "ask", "read"]
"""Why a stamp proves nothing yet. ask: the listing's is too young, the answer's own validator proves more. read: the
answer's is too young as well, so that only the bytes prove that the file is the same."""

_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_ZONE = re.compile(r"(?:[0-9](?:Z|[+-][0-9]{2}:?[0-9]{2})|GMT|UTC)(?:\||$)")
_EPOCH = re.compile(r"[0-9]{9,11}(?:\||$)")
_NGINX = re.compile(r'"([0-9a-f]{8})-[0-9a-f]+"')
_FILE = re.compile(r'"([0-9a-f]{15,16})-[0-9a-f]+-[0-9a-f]+"')


def resolution(version: str | None) -> float:
    """Return the seconds within which two changes of one size give the same version; 0.0 if there is no such time."""
    if version is None:
        return 0.0
    if version.startswith('"'):
        if _NGINX.fullmatch(version) is not None:
            return SECOND
        found = _FILE.fullmatch(version)
        if found is None:
            return 0.0
        return TICK if int(found[1], 16) % 1_000_000_000 else 2 * SECOND  # FAT counts two seconds
    if version.startswith(MODIFIED):
        return SECOND
    if not version.startswith(LISTED):
        return 0.0
    text = version.removeprefix(LISTED)
    if _EPOCH.match(text) is not None:
        return SECOND
    clock = _CLOCK.search(text)
    return DAY if clock is None else MINUTE if clock[1] is None else SECOND


def is_less_exact(before: str, now: str) -> bool:
    """Return True if a listing that shows times without a clock after half a year says the same of an older file."""
    if not (before.startswith(LISTED) and now.startswith(LISTED)) or _CLOCK.search(now) is not None:
        return False
    return _CLOCK.sub("", before).replace(" |", "|") == now


def has_zone(version: str | None) -> bool:
    """Return True unless the version is the text of a listing that names no time zone."""
    if version is None or not version.startswith(LISTED):
        return True
    text = version.removeprefix(LISTED)
    return _EPOCH.match(text) is not None or _ZONE.search(text) is not None


def names_content(version: str | None) -> bool:
    """Return True if a version names the bytes themselves."""
    return version is not None and version.startswith(("sha256:", "git:"))


def shows_only_a_day(stat: Stat) -> bool:
    """Return True if a time stands alone and has no clock: catalogues that give dates mean all of the day by it."""
    return stat.version is None and stat.modified is not None and stat.modified % DAY == 0.0


def is_validator(version: str | None) -> bool:
    """Return True if a version is one that an answer carries: an ETag, or `modified:` with its time and size."""
    return version is not None and version.startswith(('"', MODIFIED))


def evaluate(listed: Stat, answer: Stat, date: str, now: float) -> tuple[Doubt, float]:
    """Return the `doubt` about a file that was read `now`, and by how many seconds upstream's clock (`date`) is ahead.

    The date is read of recent files only: most files of most mirrors are old.
    """
    modified = answer.modified if answer.modified is not None else listed.modified
    if modified is None or now - modified > _OLD:
        return "", 0.0
    at = http_date(date) if date else None
    at = now if at is None else at
    return doubt(listed, answer, at), at - now


def doubt(listed: Stat, answer: Stat, at: float) -> Doubt:
    """Return why the stamp of a file that was read `at` a time of upstream's clock does not prove it yet."""
    modified = answer.modified if answer.modified is not None else listed.modified
    if modified is None or at - modified > _OLD or _is_proved(listed):
        return ""
    if answer.version is None and answer.modified is None:  # nothing but the listing tells of changes
        return "read" if _is_young_listing(listed, at) else ""
    if answer.modified is not None and _is_young(at - modified, resolution(answer.version)):
        return "read"
    if is_validator(listed.version) and listed.version == answer.version:
        return ""
    if answer.modified is not None:
        return "ask" if _is_young(at - modified, _tick(listed)) else ""
    return "ask" if _is_young_listing(listed, at) else ""


def may_be_younger(stat: Stat, age: float, now: float) -> bool:
    """Return True if the file may have been changed less than `age` seconds before `now`; without a time: True."""
    if stat.modified is None:
        return True
    if has_zone(stat.version):
        return now - stat.modified < age
    return now - stat.modified < age + ZONES + resolution(stat.version)


@lru_cache(maxsize=16)
def http_date(text: str) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None; all answers of one second have the same."""
    try:
        found = email.utils.parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_proved(listed: Stat) -> bool:
    """Return True if the next listing shows a change of the bytes themselves."""
    return (bool(listed.digests) and any(name in KNOWN for name in listed.digests)) or names_content(listed.version)


def _tick(listed: Stat) -> float:
    if listed.version is None:
        return DAY if shows_only_a_day(listed) else SECOND
    return resolution(listed.version)


def _is_young(age: float, resolution: float) -> bool:
    """Return True if a change now could still give the same stamp; stamps of the future cannot be met by accident."""
    slack = min(SLACK, resolution)
    return resolution > 0.0 and -slack <= age < resolution + slack


def _is_young_listing(listed: Stat, at: float) -> bool:
    """As `_is_young`, for a stamp of which the zone may be unknown."""
    tick = _tick(listed)
    if listed.modified is None or tick == 0.0:
        return False
    age = at - listed.modified
    if has_zone(listed.version):
        return _is_young(age, tick)
    if not -ZONES - SLACK <= age < ZONES + tick + SLACK:
        return False
    return tick + 2 * SLACK >= ZONE_STEP or (age + SLACK) % ZONE_STEP < tick + 2 * SLACK
