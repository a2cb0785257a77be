"""Parses the listings of FTP servers: `MLSD` (RFC 3659), which is exact, and `LIST`, which is for people. Pure.

Rules:
1. A name is taken byte for byte, with spaces at its ends. Bytes that are invalid in the server's encoding are escaped,
   and such a path is refused later.
2. The time that LIST shows has no zone, and no minutes after half a year. It is used where the server tells no other.
3. A line that cannot be parsed makes the listing incomplete: if it were skipped, its file would seem deleted.
"""

import calendar
import re
import time
from typing import NamedTuple

from manifests.messages import message
from manifests.stat import Stat

FOLDER, FILE, LINK, OTHER = "folder", "file", "link", "other"
_STAMP = re.compile(r"(\d{14})(\.\d{1,9})?")
_LETTER = r"(?:[^\W\d_]|[\udc80-\udcff])"  # of any script; bytes of another encoding are escaped so
_MONTH = rf"\d{{0,2}}{_LETTER}{{1,12}}\.?"  # Mar, mars, märz, мар., 3月
_DAY_OF_MONTH = rf"\d{{1,2}}(?:\.|{_LETTER}{{1,3}})?"  # 5, 5., 5日
_CLOCK_OR_YEAR = rf"(?:\d{{1,2}}:\d{{2}}(?::\d{{2}})?|\d{{4}}{_LETTER}?)"
_ISO = r"\d{4}-\d{2}-\d{2}(?:\s\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:\s[+-]\d{4})?)?"
_MODE = r"(?P<kind>[-dlbcps])[-rwxsStTlL]{9}[+.@]?"
_UNIX = (
    re.compile(
        rf"{_MODE}\s+\d+\s+(?:\S+\s+){{1,2}}?(?P<size>\d+)\s+"
        r"(?P<day>[A-Za-z]{3}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4})|"
        rf"{_ISO})\s(?P<name>.+)"
    ),
    # owners with spaces, and months in any language, before or behind the day
    re.compile(
        rf"{_MODE}\s+(?:\d+\s+)?(?:\S+\s+){{0,10}}?(?:\d+,\s*)?(?P<size>\d+)\s+"
        rf"(?P<day>{_MONTH}\s*{_DAY_OF_MONTH}\s+{_CLOCK_OR_YEAR}|{_DAY_OF_MONTH}\s*{_MONTH}\s+{_CLOCK_OR_YEAR}|{_ISO})"
        r"\s(?P<name>.+)"
    ),
)
_DOS = re.compile(
    r"(?P<day>\d{2}-\d{2}-\d{2,4}|\d{4}[-/.]\d{2}[-/.]\d{2}|\d{2}[/.]\d{2}[/.]\d{4})\s+"
    rf"(?P<clock>(?:{_LETTER}{{1,3}}\s?)?\d{{1,2}}:\d{{2}}(?:\s?{_LETTER}{{1,4}})?)\s+"
    rf"(?:(?P<folder><{_LETTER}{{2,12}}>)(?:\s{{10}}|\s+)|(?P<size>[\d,]+)\s)(?P<name>.+)"
)
_TOTAL = re.compile(rf"\s*{_LETTER}{{1,20}}\.?\s*[:：]?\s*[\d.,]+\s?[KMGTP]?i?B?\s*")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_ENGLISH = re.compile(
    rf"(?P<month>{_MONTHS.replace(' ', '|')}) (?P<day>\d{{1,2}}) (?:(?P<clock>\d{{1,2}}:\d{{2}})|(?P<year>\d{{4}}))",
    re.IGNORECASE,
)
MAX_SIZE = 1 << 62


class FtpEntry(NamedTuple):
    """One name in a folder; `stamp` is when it was modified, in UTC, as the server writes it (`20250813175250`).

    `target` is where a link leads, "" if the server does not say; `unique` is the same for names of one folder or file.
    """

    name: str
    kind: str
    size: int | None = None
    stamp: str = ""
    target: str = ""
    unique: str = ""
    day: str = ""
    """What LIST writes of the time, with one space between its parts."""


def mlsd(line: bytes, encoding: str) -> FtpEntry | None:
    """Parse a line of MLSD or MLST; None for the folder itself and its parent. Raises ValueError."""
    text = _text(line, encoding)
    facts, space, name = text.partition(" ")
    if not space or not name or (facts and not facts.endswith(";")):
        raise ValueError(message("not a line of MLSD"))
    known: dict[str, str] = {}
    for fact in facts[:-1].split(";") if facts else ():
        key, equals, value = fact.partition("=")
        if not equals:
            raise ValueError(message("a fact without a value"))
        known[key.strip().lower()] = value
    kind = known.get("type", "file").lower()
    if kind in ("cdir", "pdir") or name in (".", ".."):
        return None
    size, stamp = known.get("size", ""), known.get("modify", "")
    if stamp and _STAMP.fullmatch(stamp) is None:
        raise ValueError(message("an invalid time"))
    target = ""
    if kind.startswith(("os.unix=slink", "os.unix=symlink")):
        target = known["type"].partition(":")[2]
        kind = LINK
    kind = {"dir": FOLDER, "file": FILE, LINK: LINK}.get(kind, OTHER)
    return FtpEntry(name, kind, _size(size) if size else None, stamp, target, known.get("unique", ""))


def list_line(line: bytes, encoding: str) -> FtpEntry | None:
    """Parse a line of LIST; None for one that names no file or folder, as the sum at the top. Raises ValueError."""
    text = _text(line, encoding)
    if not text.strip() or _TOTAL.fullmatch(text) is not None:
        return None
    found = next(filter(None, (form.fullmatch(text) for form in _UNIX)), None)
    if found is not None:
        kind, name = {"-": FILE, "d": FOLDER, "l": LINK}.get(found["kind"], OTHER), found["name"]
        target = ""
        if kind == LINK:
            name, _, target = name.partition(" -> ")
        if name in (".", ".."):
            return None
        size = _size(found["size"]) if kind == FILE else None
        return FtpEntry(name, kind, size, target=target, day=" ".join(found["day"].split()) if kind == FILE else "")
    found = _DOS.fullmatch(text)
    if found is not None:
        if found["folder"]:
            return None if found["name"] in (".", "..") else FtpEntry(found["name"], FOLDER)
        size, day = _size(found["size"].replace(",", "")), f"{found['day']} {found['clock']}"
        return FtpEntry(found["name"], FILE, size, day=" ".join(day.split()))
    raise ValueError(message("not a known form of LIST"))


def instant(stamp: str) -> float | None:
    """Return the seconds since the epoch of a stamp of MDTM or MLSD; None if it is invalid."""
    found = _STAMP.fullmatch(stamp.strip())
    if found is None:
        return None
    try:
        whole = calendar.timegm(time.strptime(found[1], "%Y%m%d%H%M%S"))
    except ValueError:
        return None
    return whole + float(found[2] or 0)


def version(stamp: str, size: int | None) -> str | None:
    """Return the version that binds a later read to these bytes; FTP has no strong validator."""
    return f"modified:{stamp}|{size}" if stamp and size is not None else None


def listed(day: str, size: int | None, now: float) -> tuple[float | None, str | None]:
    """Return the time that LIST shows, as if in UTC, and the version that it makes; `now` tells the year it leaves out.

    Both are the same while the listing shows it in the same way, and after half a year without its clock.
    """
    if not day or size is None:
        return None, None
    shown = _ENGLISH.fullmatch(day)
    if shown is not None:
        month, date = _MONTHS.index(shown["month"].title()) // 4 + 1, int(shown["day"])
        year = int(shown["year"] or time.gmtime(now).tm_year)
        if not shown["year"] and (month, date) > time.gmtime(now + 2 * 86_400.0)[1:3]:
            year -= 1
        day = f"{year:04}-{month:02}-{date:02}" + (f" {shown['clock']}" if shown["clock"] else "")
    return _utc(day), f"listed:{day}|{size}"


def _utc(day: str) -> float | None:
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d", "%m-%d-%y %I:%M%p", "%m-%d-%Y %I:%M%p"):
        try:
            return float(calendar.timegm(time.strptime(day, form)))
        except ValueError:
            continue
    return None


def _size(text: str) -> int | None:
    """Return a size; None for 18446744073709551615, by which some servers mean "unknown"."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(message("an invalid size"))
    return size if (size := int(text)) < MAX_SIZE else None


def _text(line: bytes, encoding: str) -> str:
    return line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding, "surrogateescape")


def stat_of(path: str, entry: FtpEntry) -> Stat:
    """Return what an entry says of the file at a path."""
    if entry.day and not entry.stamp:
        modified, shown = listed(entry.day, entry.size, time.time())
        return Stat(path, entry.size, modified, shown)
    return Stat(path, entry.size, instant(entry.stamp), version(entry.stamp, entry.size))
