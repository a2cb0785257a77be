"""The type of an option that holds the parameters of a search: names with one or several values each."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from manifests.errors import InvalidValue
from manifests.messages import message


def _pairs(given: Any) -> Any:
    """Read {name: value} and {name: [value, value]}."""
    if not isinstance(given, Mapping):
        raise InvalidValue(
            message("is not a mapping"), message("write parameters and their values, as in {day_night_flag: day}")
        )
    pairs = []
    for name, values in given.items():
        for value in values if isinstance(values, list | tuple) else (values,):
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                raise InvalidValue(
                    message("{name} is neither text nor a number", name=str(name)[:40]),
                    message("put its value in quotes"),
                )
            pairs.append((str(name), str(value)))
    return tuple(pairs)


def _mapping(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


Parameters = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_pairs),
    PlainSerializer(_mapping),
    WithJsonSchema({"type": "object"}),
]
"""Pairs of a name and a value, in the order of the manifest."""
