"""The types of a manifest's values: each is parsed from text, and written back so that it parses the same."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.globs import check_glob
from manifests.model.units import format_duration, parse_duration, parse_rate, parse_size
from manifests.model.windows import Window, check_cron, parse_window, parse_zone
from manifests.stat import UnsafePath, check_path

Value = TypeVar("Value")

MAX_CONNECTIONS = 256


def _text(parse: Callable[[str], Value]) -> Callable[[Any], Any]:
    """Return a validator that parses text and leaves other values to the type's own check."""
    return lambda given: parse(given) if isinstance(given, str) else given


def _rate(given: Any) -> Any:
    if isinstance(given, str):
        given = parse_rate(given)
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    raise InvalidValue(message("is a rate of zero"), message("write it per second, as in 50 MB/s or 100 Mbit/s"))


def _size(given: Any) -> Any:
    if isinstance(given, str):
        return parse_size(given)
    if isinstance(given, int) and not isinstance(given, bool):
        raise InvalidValue(message("is a number without a unit"), message("write the unit too, as in 512 MiB or 10 GB"))
    return given


def _share(given: Any) -> Any:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", given) if isinstance(given, str) else None
    if found is not None and float(found[1]) <= 100:
        return float(found[1]) / 100
    if isinstance(given, float) and 0 <= given <= 1:
        return given
    raise InvalidValue(message("is not a share"), message("write it in per cent, as in 10 %"))


def _duration(given: Any) -> Any:
    if isinstance(given, timedelta):
        given = f"{given.total_seconds():.6f}s"
    if not isinstance(given, str):
        raise InvalidValue(message("is a number without a unit"), message("write the unit too, as in 90s, 6h or 30d"))
    seconds = parse_duration(given)
    if seconds < 1:
        raise InvalidValue(message("is shorter than a second"), message("write a longer time, as in 90s, 6h or 30d"))
    return seconds


def _window(given: Any) -> Window:
    if isinstance(given, Window):
        return given
    if not isinstance(given, str):
        raise InvalidValue(message("is not a window"), message('write it as in "20:00-06:00 Asia/Shanghai"'))
    return parse_window(given)


def _zone(name: str) -> str:
    parse_zone(name)
    return name


def _some(given: Any) -> Any:
    if given in ([], ()):
        raise InvalidValue(message("is empty"), message("name at least one"))
    return given


def schema_of(description: str, *examples: str, **more: Any) -> WithJsonSchema:
    """Return the JSON Schema of a value that is written as text."""
    return WithJsonSchema({"type": "string", "description": description, "examples": list(examples), **more})


AtLeastOne = BeforeValidator(_some)
"""Marks the type of a list that must not be empty; `Field(json_schema_extra={"minItems": 1})` tells editors."""
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(max_length=10_000)]
Rate = Annotated[
    int,
    BeforeValidator(_rate),
    schema_of("bytes or bits a second", "50 MB/s", "100 Mbit/s", type=["string", "integer"]),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(lambda size: f"{size} B"),
    schema_of("bytes, with their unit", "512 MiB", "10 GB"),
]
Share = Annotated[
    float, BeforeValidator(_share), PlainSerializer(lambda share: f"{share * 100:g} %"), schema_of("per cent", "10 %")
]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration),
    schema_of("numbers with their units: s, m, h, d, w", "90s", "6h", "1h30m", "30d"),
]
Hours = Annotated[
    Window,
    PlainValidator(_window),
    PlainSerializer(str),
    schema_of("hours of the day and their time zone", "20:00-06:00 Asia/Shanghai"),
]
Zone = Annotated[str, BeforeValidator(_text(_zone)), schema_of("an IANA time zone", "Asia/Shanghai", "UTC")]
Cron = Annotated[str, BeforeValidator(_text(check_cron)), schema_of("five fields of cron", "0 3 * * *")]
Glob = Annotated[str, BeforeValidator(_text(check_glob)), schema_of("a glob as in .gitignore", "**/*.nc")]


def _path_below(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if "://" in given:
        raise InvalidValue(message("is a url"), message("write the path below the source's url"))
    try:
        return check_path(given)
    except UnsafePath as error:
        raise InvalidValue(str(error), message("write the path below the source's url")) from error


def like(pattern: str, what: str, todo: str) -> BeforeValidator:
    """Return a validator that checks text against a pattern; the words are those of the error and of its remedy."""
    fits = re.compile(pattern).fullmatch

    def check(given: Any) -> Any:
        if isinstance(given, int) and not isinstance(given, bool):
            given = str(given)  # a number that YAML took for one
        if isinstance(given, str) and fits(given) is None:
            raise InvalidValue(what, todo)
        return given

    return BeforeValidator(check)


PathBelow = Annotated[str, BeforeValidator(_path_below)]
"""The path of a document below the source's url."""
