"""Parses the dates of directory listings, as UTC if they name no zone; an ambiguous date is not used.

`5/7/2020` is May or July, depending on the server's country: without AM or PM beside it, it is ambiguous.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from manifests.readers.autoindex_asian_dates import ASIAN, asian_seconds, is_asian

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTH = rf"(?:{_MONTHS.replace(' ', '|')})[a-z]*"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"

DATE = re.compile(
    rf"{ASIAN}"
    rf"|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[ T]+{_CLOCK}(?:\.[0-9]+)?"  # Apache 2.4
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2}| [+-][0-9]{2}:[0-9]{2}(?![0-9:]))?)?"  # miniserve has a space before its zone
    rf"|[0-9]{{1,2}}-{_MONTH}-[0-9]{{4}} +{_CLOCK}"  # nginx, Apache 2.2
    rf"|[0-9]{{4}}-{_MONTH}-[0-9]{{1,2}} +{_CLOCK}"  # lighttpd
    rf"|[A-Z][a-z]{{2}}, [0-9]{{1,2}} {_MONTH} [0-9]{{4}} {_CLOCK} GMT"  # nginx's JSON
    rf"|[A-Z][a-z]+, {_MONTH} [0-9]{{1,2}}, [0-9]{{4}} +{_CLOCK}(?: [AP]M)?"  # IIS, in words
    rf"|[0-9]{{1,2}}([./])[0-9]{{1,2}}\1[0-9]{{4}}(?: +{_CLOCK}(?: [AP]M)?)?",  # IIS, in figures
)
CLOCK = re.compile(
    rf"\s*(?P<before>오전|오후|上午|下午|午前|午後|[AP]\.?M\.?)?\s*(?P<clock>{_CLOCK})(?:\s*(?P<after>[AP]\.?M\.?))?(?![0-9])",
    re.IGNORECASE,
)
_AFTERNOON = frozenset({"오후", "下午", "午後", "PM"})
_PARTS = re.compile(
    rf"(?P<figures>[0-9]+)(?P<mark>[./-])(?P<middle>[0-9]+|{_MONTH})(?P=mark)(?P<last>[0-9]+)"
    rf"|[A-Za-z]+, (?:(?P<day>[0-9]+) )?(?P<month>{_MONTH}) (?:(?P<us_day>[0-9]+), )?(?P<year>[0-9]{{4}})"
)
_TIME = re.compile(
    r"[ T]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\.[0-9]+)?(?: ([AP])M)?(?: ?([+-])([0-9]{2}):?([0-9]{2}))?"
)
_NUMBERS = {name: number for number, name in enumerate(_MONTHS.split(), 1)}


def is_day_only(date: str) -> bool:
    """Return True if a date that DATE matched has no clock."""
    return _TIME.search(date) is None


def with_clock(date: str, clock: re.Match[str]) -> str:
    """Return a date without a clock together with the one beside it, which CLOCK matched, in 24 hours."""
    hour, rest = clock["clock"].split(":", 1)
    half = (clock["before"] or clock["after"] or "").replace(".", "").upper()
    value = int(hour) if not half else int(hour) % 12 + 12 * (half in _AFTERNOON)
    return f"{date} {value:02}:{rest}"


@lru_cache(4096)  # files of one listing often have the same minute
def seconds(text: str) -> float | None:
    """Return the seconds since the epoch of a date that DATE matched; None if it is ambiguous or invalid."""
    if is_asian(text):
        return asian_seconds(text)
    time = _TIME.search(text)
    day = _day(text, american=time is not None and time[4] is not None)
    if day is None:
        return None
    hour, minute, second, half, sign, hours, minutes = time.groups(default="0") if time is not None else ("0",) * 7
    clock = int(hour) if half == "0" else int(hour) % 12 + 12 * (half == "P")
    try:
        moment = datetime(*day, clock, int(minute), int(second), tzinfo=UTC)
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        return (moment + shift if sign == "-" else moment - shift).timestamp()
    except (ValueError, OverflowError):
        return None


def _day(text: str, *, american: bool) -> tuple[int, int, int] | None:
    """Return year, month and day."""
    parts = _PARTS.match(text)
    if parts is None:
        return None
    if parts["mark"] is None:
        return int(parts["year"]), _NUMBERS[parts["month"][:3]], int(parts["day"] or parts["us_day"] or 0)
    first, last = int(parts["figures"]), int(parts["last"])
    middle = _NUMBERS.get(parts["middle"][:3]) or int(parts["middle"])
    if parts["mark"] == "/":
        return (last, first, middle) if american else None
    return (first, middle, last) if len(parts["figures"]) == 4 else (last, middle, first)
