"""Parses the dates of listings that IIS and others write in Chinese, Japanese and Korean.

The year comes first in all of them, so none is ambiguous: `2024年3月5日 下午 3:12`, `2024/3/5 15:12`,
`2024-03-05 오후 3:12`.
"""

import re
from datetime import UTC, datetime

_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
_HALF = r"(?:上午|下午|午前|午後|오전|오후)"
_WEEKDAY = r"(?: *[(（]?(?:星期|周|週)?[一二三四五六日天月火水木金土일월화수목금토](?:曜日|요일)?[)）]?)?"
_WORDS = rf"[0-9]{{4}} ?[年년] ?[0-9]{{1,2}} ?[月월] ?[0-9]{{1,2}} ?[日일]{_WEEKDAY}(?: *(?:{_HALF} ?)?{_CLOCK})?"
_FIGURES = (
    rf"[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}} +{_HALF} ?{_CLOCK}"
    rf"|[0-9]{{4}}/[0-9]{{1,2}}/[0-9]{{1,2}}{_WEEKDAY}(?: +(?:{_HALF} ?)?{_CLOCK})?"
    rf"|[0-9]{{4}}\. ?[0-9]{{1,2}}\. ?[0-9]{{1,2}}\.?(?: +(?:{_HALF} ?)?{_CLOCK})?"
)

ASIAN = rf"{_WORDS}|{_FIGURES}"
"""A pattern without groups."""

_PARTS = re.compile(r"([0-9]{4})[^0-9]{1,3}([0-9]{1,2})[^0-9]{1,3}([0-9]{1,2})")
_TIME = re.compile(rf"({_HALF})? ?([0-9]{{1,2}}):([0-9]{{2}})(?::([0-9]{{2}}))?$")
_IS_ASIAN = re.compile(ASIAN)
_AFTERNOON = frozenset({"下午", "午後", "오후"})


def is_asian(text: str) -> bool:
    """Return True for a date that ASIAN matches whole."""
    return _IS_ASIAN.fullmatch(text) is not None


def asian_seconds(text: str) -> float | None:
    """Return the seconds since the epoch of a date that ASIAN matched, as UTC; None if there is no such day or time."""
    parts, time = _PARTS.match(text), _TIME.search(text)
    if parts is None:
        return None
    half, hour, minute, second = time.groups() if time is not None else (None, "0", "0", None)
    clock = int(hour) if half is None else int(hour) % 12 + 12 * (half in _AFTERNOON)
    year, month, day = map(int, parts.groups())
    try:
        return datetime(year, month, day, clock, int(minute), int(second or 0), tzinfo=UTC).timestamp()
    except ValueError:
        return None
