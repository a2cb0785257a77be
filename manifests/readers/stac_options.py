"""What a manifest says to the reader stac: which items are wanted, which of their assets, and where they go."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from string import Formatter
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from manifests.answers import moment, text
from manifests.checked import STRICT
from manifests.fields import Count, Flag, PathBelow
from manifests.unfit import Unfit

MAX_PAGE_ITEMS = 10_000
PLACES = frozenset({"collection", "id", "key", "file", "year", "month", "day"})

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
        raise Unfit(
            f"{given[:60]!r} is no time and no span of time",
            "write 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days",
        )
    if len(known) == 2 and (moment(known[0]) or 0) > (moment(known[1]) or 0):
        raise Unfit(f"{given[:60]!r} ends before it begins", "write the earlier time first")
    return given


def _bbox(given: Any) -> Any:
    if isinstance(given, list | tuple):
        if len(given) not in {4, 6} or not all(isinstance(one, int | float) for one in given):
            raise Unfit("is no box", "write [west, south, east, north] in degrees")
        half = len(given) // 2
        if given[1] > given[half + 1]:
            raise Unfit("has its south north of its north", "write [west, south, east, north] in degrees")
        return tuple(float(one) for one in given)
    return given


def _template(given: Any) -> Any:
    if not isinstance(given, str) or not given:
        return given
    try:
        named = {name for _, name, form, change in Formatter().parse(given) if name is not None or form or change}
    except ValueError as error:
        raise Unfit("has a { or } that is alone", "write places as in {collection}/{id}/{file}") from error
    if not named <= PLACES:
        wrong = ", ".join(sorted(str(name) for name in named - PLACES))
        raise Unfit(f"names {{{wrong}}}", f"use {', '.join(f'{{{name}}}' for name in sorted(PLACES))}")
    if not named & {"file", "key"} or "id" not in named:
        raise Unfit("would give several files one path", "write {id}, and {file} or {key}, into it")
    return given


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
Scheme = Literal["https", "http", "s3"]


class Options(BaseModel):
    """What a Source says to this reader."""

    model_config = STRICT

    catalog: PathBelow | None = None
    """A catalogue, collection or list of items to read, by its path below the url, instead of a search at `search`."""
    collections: tuple[str, ...] = ()
    """The collections wanted; a search needs collections or ids."""
    ids: tuple[str, ...] = ()
    """The items wanted, by their ids."""
    bbox: Annotated[
        tuple[float, ...],
        BeforeValidator(_bbox),
        WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}),
    ] = ()
    """The box that items must touch: [west, south, east, north] in degrees."""
    datetime: Annotated[str, BeforeValidator(_datetime)] = ""
    """When items were taken: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""
    filter: Json = ""
    """A CQL2 filter for the search, as text or as JSON."""
    query: Json = ""
    """A filter of the older query extension, as in {"eo:cloud_cover": {lt: 10}}."""
    method: Literal["POST", "GET"] = "POST"
    """How the search is asked; GET for servers that know no other way."""
    page: Annotated[Count, Field(ge=1, le=MAX_PAGE_ITEMS)] = 250
    """Items asked for at once."""
    assets: tuple[str, ...] = ()
    """Keys of the assets wanted, or globs of them; by default all but web pages."""
    roles: tuple[str, ...] = ()
    """Roles of which a wanted asset has one, as in data, metadata, thumbnail."""
    types: tuple[str, ...] = ()
    """Media types of wanted assets, or globs of them, as in image/tiff*."""
    prefer: tuple[Scheme, ...] = ("https", "http", "s3")
    """The kinds of url by which an asset and its alternates are fetched, the best first; others are not taken."""
    path: Annotated[str, BeforeValidator(_template)] = ""
    """Where an asset lies in the copy: {collection}, {id}, {key}, {file}, {year}, {month}, {day}."""
    items: Flag = False
    """Keep each item's own JSON too, beside its assets."""
    collection_assets: Flag = False
    """Take the assets of a catalogue's collections too."""

    @property
    def is_search(self) -> bool:
        """Tell whether the other side chooses the items."""
        return not self.catalog

    @property
    def template(self) -> str:
        """Return where an asset lies; the collection is part of it where there may be several."""
        return self.path or ("{id}/{file}" if len(self.collections) == 1 else "{collection}/{id}/{file}")

    def span(self, today: date) -> "Span":
        """Return the span of time in which items are wanted, as it is on that day."""
        return _span(self.datetime, today)

    def meets(self, box: object) -> bool:
        """Tell whether an item's box touches the one that is wanted; one without a box is taken."""
        if not self.bbox or not isinstance(box, list) or len(box) not in {4, 6}:
            return True
        if not all(isinstance(one, int | float) for one in box):
            return True
        half, mine = len(box) // 2, len(self.bbox) // 2
        west, south, east, north = self.bbox[0], self.bbox[1], self.bbox[mine], self.bbox[mine + 1]
        return box[1] <= north and box[half + 1] >= south and _overlap((west, east), (box[0], box[half]))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.catalog and (self.filter or self.query):
            raise Unfit("has a filter for files, which answer none", "delete filter and query, or catalog")
        if not self.catalog and not self.collections and not self.ids:
            raise Unfit("names neither collections nor ids", "name the collections wanted, or a catalog")
        return self


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether two ranges of longitude touch; one that ends west of its beginning crosses the antimeridian."""
    parts = [[(w, e)] if w <= e else [(w, 180.0), (-180.0, e)] for w, e in (one, other)]
    return any(a[0] <= b[1] and b[0] <= a[1] for a in parts[0] for b in parts[1])


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, both ends included, as a search asks for it; "" is no limit."""

    written: str
    begins: float | None = None
    ends: float | None = None

    def meets(self, properties: object) -> bool:
        """Tell whether an item with these properties lies in the span; one without a time is taken."""
        if not self.written or not isinstance(properties, dict):
            return True
        taken = moment(text(properties.get("datetime")))
        begins = taken if taken is not None else moment(text(properties.get("start_datetime")))
        ends = taken if taken is not None else moment(text(properties.get("end_datetime")))
        if begins is not None and self.ends is not None and begins > self.ends:
            return False
        return not (ends is not None and self.begins is not None and ends < self.begins)


def _span(written: str, today: date) -> Span:
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
    """Return a time as RFC 3339 wants it, in UTC."""
    found = moment(written)
    return datetime.fromtimestamp(found or 0.0, UTC).isoformat().replace("+00:00", "Z")
