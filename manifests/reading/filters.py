"""Options that readers of observations share: a span of time, a bounding box, a template of paths, JSON."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from string import Formatter
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading.document import Cursor, Document
from manifests.reading.json_fields import moment, text
from manifests.timestamps import rfc3339

OVERLAP = 600.0  # seconds before an answer's own date from which changes are asked for: catalogues index late

_PERIOD = re.compile(r"P([0-9]{1,5})([DWMY])")
_DAYS = {"D": 1, "W": 7, "M": 31, "Y": 366}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _datetime(given: Any) -> Any:
    if isinstance(given, date):
        given = given.isoformat()
    if not isinstance(given, str) or not given:
        return given
    if _PERIOD.fullmatch(given) is not None:
        return given
    parts = given.split("/")
    known = [part for part in parts if part not in {"..", ""}]
    if len(parts) > 2 or not known or any(moment(part) is None for part in known):
        raise InvalidValue(
            message("{given!r} is neither a time nor a span of time", given=given[:60]),
            message("write 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days"),
        )
    if len(known) == 2 and (moment(known[0]) or 0) > (moment(known[1]) or 0):
        raise InvalidValue(
            message("{given!r} ends before it begins", given=given[:60]), message("write the earlier time first")
        )
    return given


def _bbox(given: Any) -> Any:
    if isinstance(given, list | tuple) and len(given) > 0:
        if len(given) not in {4, 6} or not all(isinstance(one, int | float) for one in given):
            raise InvalidValue(message("is not a bounding box"), message("write [west, south, east, north] in degrees"))
        half = len(given) // 2
        if given[1] > given[half + 1]:
            raise InvalidValue(
                message("has a south that is north of its north"),
                message("write [west, south, east, north] in degrees"),
            )
        west, south, east, north = given[0], given[1], given[half], given[half + 1]
        # written so that NaN, which compares as False with everything, is refused too
        if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            if -90 <= west <= east <= 90 and -180 <= south <= 180 and -180 <= north <= 180:
                swapped = ", ".join(f"{one:g}" for one in (south, west, north, east))
                raise InvalidValue(
                    message("is outside the world: latitude and longitude are swapped"),
                    message("write [west, south, east, north], here [{swapped}]", swapped=swapped),
                )
            raise InvalidValue(
                message("is outside the world"),
                message(
                    "write [west, south, east, north] in degrees: longitudes from -180 to 180, latitudes from -90 to 90"
                ),
            )
        return tuple(float(one) for one in given)
    return given


def template(places: frozenset[str], *needed: str) -> BeforeValidator:
    """Return a validator of path templates: they name only `places`, and at least one of each of `needed` ("a|b")."""

    def check(given: Any) -> Any:
        if not isinstance(given, str) or not given:
            return given
        try:
            named = {name for _, name, form, change in Formatter().parse(given) if name is not None or form or change}
        except ValueError as error:
            raise InvalidValue(
                message("has an unpaired { or }"), message("write placeholders as in {year}/{file}")
            ) from error
        if not named <= places:
            wrong = ", ".join(sorted(str(name) for name in named - places))
            raise InvalidValue(
                message("names {{{wrong}}}", wrong=wrong),
                message("use {places}", places=(f"{{{name}}}" for name in sorted(places))),
            )
        for some in needed:
            if not named & set(some.split("|")):
                wanted = " or ".join(f"{{{name}}}" for name in some.split("|"))
                raise InvalidValue(
                    message("would give several files one path"), message("write {wanted} into it", wanted=wanted)
                )
        return given

    return BeforeValidator(check)


def _json(given: Any) -> Any:
    if isinstance(given, dict):
        return msgspec.json.encode(given, order="sorted").decode()
    return given


Json = Annotated[
    str,
    BeforeValidator(_json),
    PlainSerializer(lambda value: msgspec.json.decode(value) if value.startswith("{") else value),
    WithJsonSchema({"type": ["object", "string"]}),
]
When = Annotated[str, BeforeValidator(_datetime)]
"""A span of time as a person writes it; `span` reads it."""
Box = Annotated[
    tuple[float, ...],
    BeforeValidator(_bbox),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}),
]
"""[west, south, east, north] in degrees; one whose west is east of its east crosses the antimeridian."""


def meets(wanted: tuple[float, ...], box: object) -> bool:
    """Return True if a box touches the wanted one; also for an invalid box."""
    if not wanted or not isinstance(box, list) or len(box) not in {4, 6}:
        return True
    if not all(isinstance(one, int | float) for one in box):
        return True
    half, mine = len(box) // 2, len(wanted) // 2
    west, south, east, north = wanted[0], wanted[1], wanted[mine], wanted[mine + 1]
    return box[1] <= north and box[half + 1] >= south and _overlap((west, east), (box[0], box[half]))


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return True if two ranges of longitude touch; one that ends west of its beginning crosses the antimeridian."""
    parts = [[(w, e)] if w <= e else [(w, 180.0), (-180.0, e)] for w, e in (one, other)]
    return any(a[0] <= b[1] and b[0] <= a[1] for a in parts[0] for b in parts[1])


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time for a search, both ends included; "" is no limit."""

    written: str
    begins: float | None = None
    ends: float | None = None

    def meets(self, properties: object) -> bool:
        """Return True if an item with these properties lies in the span; also if it has no time."""
        if not self.written or not isinstance(properties, dict):
            return True
        taken = moment(text(properties.get("datetime")))
        begins = taken if taken is not None else moment(text(properties.get("start_datetime")))
        ends = taken if taken is not None else moment(text(properties.get("end_datetime")))
        if begins is not None and self.ends is not None and begins > self.ends:
            return False
        return not (ends is not None and self.begins is not None and ends < self.begins)


def span(written: str, today: date) -> Span:
    """Return the span of time that a text means on that day."""
    if not written:
        return Span("")
    period = _PERIOD.fullmatch(written)
    if period is not None:
        first = today - timedelta(days=min(int(period[1]) * _DAYS[period[2]], (today - date.min).days))
        written = f"{first.isoformat()}/.."
    begins, slash, ends = written.partition("/")
    if not slash:
        if _DAY.fullmatch(begins) is None:
            return Span(_instant(begins), moment(begins), moment(begins))
        ends = begins
    first_moment = (
        None if begins in {"..", ""} else f"{begins}T00:00:00Z" if _DAY.fullmatch(begins) else _instant(begins)
    )
    last_moment = None if ends in {"..", ""} else f"{ends}T23:59:59Z" if _DAY.fullmatch(ends) else _instant(ends)
    return Span(
        f"{first_moment or '..'}/{last_moment or '..'}",
        moment(first_moment) if first_moment else None,
        moment(last_moment) if last_moment else None,
    )


def _instant(written: str) -> str:
    """Return a time in the format of RFC 3339, in UTC."""
    found = moment(written)
    return datetime.fromtimestamp(found or 0.0, UTC).isoformat().replace("+00:00", "Z")


def days(taken: object) -> dict[str, str]:
    """Return the placeholders {year}, {month} and {day} of a time; zeros if there is none."""
    written = text(taken)
    parts = written[:10].split("-")
    if len(parts) != 3 or moment(written) is None:
        parts = ["0000", "00", "00"]
    return {"year": parts[0], "month": parts[1], "day": parts[2]}


def read_until(document: Document) -> Cursor | None:
    """Return how far upstream is read with this answer, by its own clock; None if it gives no time."""
    try:
        found = parsedate_to_datetime(document.headers.get("date", "")).timestamp() - OVERLAP
        return Cursor(rfc3339(found))
    except (ValueError, OverflowError, OSError):
        return None
