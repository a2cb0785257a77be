"""Sizes, rates and durations as people write them, and back.

SI prefixes count in thousands (kB, MB, GB, TB, PB), IEC prefixes in 1,024s (KiB, MiB, GiB, TiB, PiB); a rate ends in
`/s` and may count bits (Mbit/s). A duration is a number and a unit (s, min, h, d, w), or several of them (1h30m).
"""

import re

_SIZES = {
    "b": 1, "": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_SIZE = re.compile(rf"\s*{_NUMBER}\s*([a-zA-Z]*)\s*")
_RATE = re.compile(rf"\s*{_NUMBER}\s*([a-zA-Z]*)\s*(?:/\s*s|ps)\s*")
_DURATION = re.compile(rf"\s*(?:{_NUMBER}\s*[a-zA-Z]+\s*)+")
_PART = re.compile(rf"{_NUMBER}\s*([a-zA-Z]+)")


def parse_size(text: str | int) -> int:
    """Return bytes of `50 MB`, `8 GiB`, `1000`. Raises ValueError that says what to write."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text)
    unit = _SIZES.get(match[2].lower()) if match is not None else None
    if match is None or unit is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, as 500 MB or 8 GiB")
    return round(float(match[1]) * unit)


def parse_rate(text: str | int) -> int:
    """Return bytes per second of `50 MB/s` or `100 Mbit/s`. Raises ValueError that says what to write."""
    if isinstance(text, int):
        return text
    match = _RATE.fullmatch(text)
    if match is not None:
        unit = match[2].lower()
        if unit in _BITS:
            return round(float(match[1]) * _BITS[unit] / 8)
        if unit in _SIZES:
            return round(float(match[1]) * _SIZES[unit])
    raise ValueError(f"{text!r} is not a rate: write a size a second, as 50 MB/s or 100 Mbit/s")


def parse_duration(text: str | float) -> float:
    """Return seconds of `6h`, `30d`, `1h30m`. Raises ValueError that says what to write."""
    if isinstance(text, int | float):
        raise ValueError(f"{text!r} is not a duration: add a unit, as {text}s or {text}h")  # noqa: TRY004  bad input, not a bug
    parts = _PART.findall(text) if _DURATION.fullmatch(text) is not None else []
    if not parts or any(unit.lower() not in _SECONDS for _, unit in parts):
        raise ValueError(f"{text!r} is not a duration: write a number and a unit, as 90s, 30min, 6h, 30d or 1h30m")
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)


def format_size(count: int) -> str:
    """Return bytes for people, in SI units: `775 MB`."""
    if abs(count) < 1000:
        return "1 byte" if count == 1 else f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if abs(value) < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value:.0f} PB"


def format_rate(count: float) -> str:
    """Return bytes per second for people: `50 MB/s`."""
    return f"{format_size(round(count))}/s"


def format_duration(seconds: float) -> str:
    """Return a duration for people, with the two largest units: `1h30m`."""
    rest = round(seconds)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
