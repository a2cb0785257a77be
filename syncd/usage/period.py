"""The days that a report is about."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime
from typing import NamedTuple

from manifests.messages import message
from syncd.core import ConfigError

_DAY = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)


class Period(NamedTuple):
    """The days from `first` to `last` (UTC), both included."""

    first: str
    last: str


def read_period(first: str, last: str, now: float) -> Period:
    """Return the days that are asked for, by default the last twelve months, the current one included.

    Raises ConfigError for a text that is no day and no month, and for an end before the beginning.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    begin = date(today.year - (today.month < 12), today.month % 12 + 1, 1)
    found = Period(_day(first, "from", is_end=False) or str(begin), _day(last, "to", is_end=True) or str(today))
    if found.first > found.last:
        raise ConfigError(
            message("from {first} to {last}: ends before it begins: write the earlier day first", **found._asdict())
        )
    return found


def month_in(period: Period, month: str) -> Period:
    """Return the days of a month that lie in a period."""
    last = f"{month}-{monthrange(int(month[:4]), int(month[5:]))[1]:02}"
    return Period(max(period.first, f"{month}-01"), min(period.last, last))


def _day(text: str, name: str, *, is_end: bool) -> str:
    if not text:
        return ""
    parts = _DAY.fullmatch(text)
    try:
        if parts is None:
            raise ValueError
        year, month = int(parts[1]), int(parts[2])
        return str(date(year, month, int(parts[3] or (monthrange(year, month)[1] if is_end else 1))))
    except ValueError as error:
        raise ConfigError(
            message(
                "{name} {text!r}: is not a day: write it as in 2026-01-31, or a month as in 2026-01",
                name=name,
                text=text[:40],
            )
        ) from error
