"""Sizes, rates and durations as people write them ("50 MB", "100 Mbit/s", "6h"), parsed exactly and written briefly.

Rules:
1. A prefix means what its standard says: kB, MB, GB count in thousands (SI), KiB, MiB, GiB in 1,024s (IEC). What could
   mean either, or bits as well as bytes ("50 Mb", "8 G"), is refused with what to write instead.
2. Reading is exact (no binary fractions on the way); a fraction of a byte is dropped.
3. `format_duration` loses nothing down to the microsecond; `format_size` and `format_rate` keep three digits or more.
"""

import re
from decimal import Decimal

from manifests.errors import InvalidValue
from manifests.messages import message

_SI = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_BYTES: dict[str, int] = {unit: 1000**power for power, unit in enumerate(_SI)} | {
    unit: 1024**power for power, unit in enumerate(_IEC)
}
_BYTES["KB"] = 1000  # common, and never meant as 1,024 beside MB
_BITS: dict[str, int] = {f"{prefix}bit": 1000**power for power, prefix in enumerate(("", "k", "M", "G", "T"))}
_BITS |= {f"{prefix}bit": 1024**power for power, prefix in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)}

_WEEK, _DAY, _HOUR, _MINUTE = 7 * 86_400, 86_400, 3_600, 60
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Decimal(1)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), Decimal("0.001")),
    **dict.fromkeys(("m", "min", "minute", "minutes"), Decimal(_MINUTE)),
    **dict.fromkeys(("h", "hour", "hours"), Decimal(_HOUR)),
    **dict.fromkeys(("d", "day", "days"), Decimal(_DAY)),
    **dict.fromkeys(("w", "week", "weeks"), Decimal(_WEEK)),
}

_QUANTITY = re.compile(r"(\d{1,24}(?:\.\d{1,24})?) ?([A-Za-z]*)", re.ASCII)
_PARTS = re.compile(r"(?:\d{1,15}(?:\.\d{1,9})? ?[a-z]+ ?)+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]+)", re.ASCII)

MAX_SIZE = 1 << 63  # bytes; the largest number that the Catalogue and file systems can hold
MAX_DURATION = 100 * 366 * _DAY


def parse_size(text: str) -> int:
    """Return the bytes that `text` names ("50 MB", "8 GiB", "1.5 TB", "512"); raises InvalidValue."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise InvalidValue(
            message("{text!r} is not a size", text=text[:40]),
            message("write a number and a unit, as in 50 MB or 8 GiB"),
        )
    number, unit = found.groups()
    return _bounded(Decimal(number) * _byte_unit(text, unit or "B"), text)


def parse_rate(text: str) -> int:
    """Return the bytes per second that `text` names ("50 MB/s", "100 Mbit/s"); raises InvalidValue."""
    amount, slash, per = (part.strip() for part in text.strip().partition("/"))
    found = _QUANTITY.fullmatch(amount)
    if found is None or slash != "/" or per != "s" or not found[2]:
        raise InvalidValue(
            message("{text!r} is not a rate", text=text[:40]),
            message("write it per second, as in 50 MB/s or 100 Mbit/s"),
        )
    number, unit = found.groups()
    if unit in _BITS:
        return _bounded(Decimal(number) * _BITS[unit] / 8, text)
    return _bounded(Decimal(number) * _byte_unit(text, unit), text)


def parse_duration(text: str) -> float:
    """Return the seconds that `text` names ("90s", "1h30m", "30d", "6 hours"); raises InvalidValue."""
    todo = message("write numbers with their units, as in 90s, 1h30m, 6h or 30d")
    if _PARTS.fullmatch(text.strip()) is None:
        raise InvalidValue(message("{text!r} is not a duration", text=text[:40]), todo)
    total = Decimal(0)
    for number, unit in _PART.findall(text):
        if unit not in _SECONDS:
            raise InvalidValue(
                message("{unit!r} is not a unit of time", unit=unit[:20]),
                message("use s, m, h, d or w; months and years vary in length"),
            )
        total += Decimal(number) * _SECONDS[unit]
    if total > MAX_DURATION:
        raise InvalidValue(message("{text!r} is more than a century", text=text[:40]), message("write a shorter time"))
    return float(total)


def format_size(size: int) -> str:
    """Write bytes for people, in SI: `1.5 GB`, `999 B`."""
    if size < 1000:
        return f"{size} B"
    power = min((len(str(size)) - 1) // 3, len(_SI) - 1)
    while True:
        shown = f"{Decimal(size) / 1000**power:.{_decimals(size, power)}f}"
        if Decimal(shown) < 1000 or power == len(_SI) - 1:
            break
        power += 1  # 999,999 rounds to 1.00 MB, not to 1000 kB
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} {_SI[power]}"


def format_rate(rate: float) -> str:
    """Write bytes per second for people: `48.2 MB/s`."""
    return f"{format_size(round(rate))}/s"


def format_duration(seconds: float) -> str:
    """Write a duration so that it reads back the same: `30d`, `1h30m`, `0.25s`; fourteen days are `14d`."""
    left = round(Decimal(repr(float(seconds))), 6)
    parts = []
    for unit, length in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{int(count)}{unit}")
    if left or not parts:
        parts.append(f"{left.normalize():f}s")
    return "".join(parts)


def _decimals(size: int, power: int) -> int:
    """How many decimals make three digits."""
    whole = len(str(size)) - 3 * power
    return max(0, 3 - max(whole, 1))


def _byte_unit(text: str, unit: str) -> int:
    if unit in _BYTES:
        return _BYTES[unit]
    prefix = unit[:1].upper()
    if prefix in "KMGTPE" and unit[1:].lower() in {"", "b", "i", "ib", "bit", "bits", "bps"}:
        si = "kB" if prefix == "K" else f"{prefix}B"
        if unit[1:].lower() in {"b", "bit", "bits", "bps"}:
            todo = message("write {si} for bytes; bits are for rates only, as in 100 Mbit/s", si=si)
        else:
            todo = message("write {si} (thousands) or {prefix}iB (1,024s)", si=si, prefix=prefix)
    else:
        todo = message("use B, kB, MB, GB, TB, PB or KiB, MiB, GiB, TiB, PiB")
    raise InvalidValue(message("{text!r} has a unit that is unknown or could mean two things", text=text[:40]), todo)


def _bounded(amount: Decimal, text: str) -> int:
    if amount >= MAX_SIZE:
        raise InvalidValue(message("{text!r} is more than any store holds", text=text[:40]), message("check the unit"))
    return int(amount)
