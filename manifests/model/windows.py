"""When a mirror may work and when it is due: daily windows and schedules in the steward's own time zone.

Pure: the moment is always passed in, aware of its zone. A window is in local time, so in the night in which clocks go
forward it may be an hour shorter or not open at all.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from manifests.errors import InvalidValue
from manifests.messages import message

_WINDOW = re.compile(r"([01]?\d|2[0-4]):([0-5]\d) ?[-–] ?([01]?\d|2[0-4]):([0-5]\d)(?: +(\S{1,64}))?", re.ASCII)
_PROBE = datetime(2024, 1, 1, tzinfo=UTC)


class Window(msgspec.Struct, frozen=True):
    """A time of day, `[opens, closes)` by the wall clock of `zone`; one that closes before it opens spans midnight."""

    opens: time
    closes: time
    zone: ZoneInfo

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M} {self.zone.key}"

    def is_open(self, now: datetime) -> bool:
        """Return True if the window is open at `now`."""
        wall = _local(now, self.zone).time().replace(tzinfo=None)
        if self.opens < self.closes:
            return self.opens <= wall < self.closes
        return wall >= self.opens or wall < self.closes

    def opens_in(self, now: datetime) -> float:
        """Return the seconds until the window is open; 0.0 while it is."""
        if self.is_open(now):
            return 0.0
        waits = (moment - now for moment in self._openings(now) if moment > now and self.is_open(moment))
        return min(waits).total_seconds()

    def _openings(self, now: datetime) -> Iterator[datetime]:
        """Yield the moments at which it may open in the next days, unordered; an hour that occurs twice has both."""
        today = _local(now, self.zone).date()
        for day in range(4):
            for fold in (0, 1):
                wall = datetime.combine(today + timedelta(days=day), self.opens, tzinfo=self.zone)
                yield wall.replace(fold=fold).astimezone(UTC)


def parse_window(text: str) -> Window:
    """Read "20:00-06:00 Asia/Shanghai"; raises InvalidValue."""
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise InvalidValue(
            message("{text!r} is not a window", text=text[:60]), message('write it as in "20:00-06:00 Asia/Shanghai"')
        )
    opens, closes = _clock(found[1], found[2]), _clock(found[3], found[4])
    if found[5] is None:
        raise InvalidValue(
            message("the window has no time zone"), message('write it as in "{text} UTC"', text=text.strip())
        )
    if opens == closes:
        raise InvalidValue(
            message("the window opens and closes at the same minute"), message("leave it out to work at any time")
        )
    return Window(opens, closes, parse_zone(found[5]))


def parse_zone(name: str) -> ZoneInfo:
    """Return the time zone of that name ("Asia/Shanghai", "UTC"); raises InvalidValue."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        todo = message("use a name of the IANA time zone database, as in Asia/Shanghai, Europe/Berlin or UTC")
        raise InvalidValue(message("{name!r} is not a known time zone", name=name[:60]), todo) from error


def check_cron(line: str) -> str:
    """Return the cron line itself if it can ever be due; raises InvalidValue."""
    try:
        due = next(CronSim(line, _PROBE))
    except (CronSimError, StopIteration) as error:
        todo = message('write minute, hour, day of month, month, day of week, as in "0 3 * * *"')
        raise InvalidValue(message("{line!r} is not a valid cron line", line=line[:60]), todo) from error
    if due is None:
        raise InvalidValue(message("{line!r} is never due", line=line[:60]), message("check day and month"))
    return line


def next_cron(line: str, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the first moment after `after` at which the cron line is due in `zone`."""
    dues: Iterator[datetime] = CronSim(line, _local(after, zone))
    return next(due for due in dues if due > after).astimezone(UTC)  # an hour that occurs twice is due once


def _clock(hour: str, minute: str) -> time:
    if int(hour) == 24 and minute != "00":
        raise InvalidValue(
            message("{hour}:{minute} is not a time of day", hour=hour, minute=minute),
            message("write 24:00 or an earlier one"),
        )
    return time(int(hour) % 24, int(minute))


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a time without a zone")
    return moment.astimezone(zone)
