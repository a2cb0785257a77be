"""Tells damage in the Catalogue as such, wherever a damaged value is read.

SQLite notices damage to its own structure only. A text that is no longer UTF-8, a JSON that no longer parses, a number
that has become text: these appear when a row is decoded, as exceptions that would look like bugs.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from manifests.messages import message
from syncd.core import Damaged

Part = TypeVar("Part")
UNDECODABLE = (UnicodeDecodeError, msgspec.DecodeError)
WRONG = (ValueError, TypeError, AttributeError, msgspec.DecodeError)  # raised where a row is turned into a value


def damaged(file: Path, error: BaseException, mirror: str = "") -> Damaged:
    """Return the error for a damaged file of the Catalogue, with its remedy; `mirror`: it has this one's records."""
    if mirror:
        text = message(
            "{file}: the records of {mirror} are damaged ({cause}): run `syncd rebuild {mirror}`; "
            "the other mirrors are not concerned",
            file=file,
            mirror=mirror,
            cause=error,
        )
    else:
        text = message(
            "{folder}: the Catalogue is damaged ({cause}): move catalogue.sqlite* away and run `syncd rebuild`",
            folder=file.parent,
            cause=error,
        )
    return Damaged(text, in_catalogue=True, of_mirror=mirror)


def reads_rows(part: type[Part]) -> type[Part]:
    """Class decorator for a part of the Catalogue: its reading methods raise Damaged for rows that make no sense.

    The part's `_blame` returns that error. Methods that consume an iterable are left alone: an exception from that
    iterable is not ours to name.
    """
    for name, method in list(vars(part).items()):
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        if any("Iterable" in str(kind) for kind in method.__annotations__.values()):
            continue
        setattr(part, name, _generator(method) if inspect.isgeneratorfunction(method) else _function(method))
    return part


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def read(self: Any, *given: Any, **named: Any) -> Any:
        try:
            return method(self, *given, **named)
        except WRONG as error:
            raise self._blame(error, *given, **named) from error

    return read


def _generator(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def read(self: Any, *given: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from method(self, *given, **named)
        except WRONG as error:
            raise self._blame(error, *given, **named) from error

    return read


@contextmanager
def suppress_damage() -> Iterator[None]:
    """End the block quietly if the records of one mirror are damaged: its next pass says so."""
    try:
        yield
    except Damaged as error:
        if not error.of_mirror:
            raise
