"""The description of a reader: how it is opened, which keys it adds to a source, and which urls it can read.

A reader is one module and one entry point in the group `syncd.readers.v1`. The module ends with

    READER = ReaderKind(open_reader, Options)

and the entry point names it: `stac = "manifests.readers.stac:READER"`. `Options` is a pydantic model with
`model_config = STRICT` and a docstring below each key; in a manifest its keys stand beside `reader:`, and a Source
holds the validated model as `options`. A validator of options raises InvalidValue, which states the fault and the
remedy.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import Any, Protocol, TypeVar

import msgspec
from pydantic import BaseModel

from manifests.entry_points import load_entry_point
from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading.completeness import CompletenessProof
from manifests.reading.document import Reader
from manifests.yaml import STRICT, keys

GROUP = "syncd.readers.v1"
ANY = frozenset({"*"})
WEB = frozenset({"http", "https"})

NO_PROOF = CompletenessProof(end="nothing", unseen="any")

Chosen = TypeVar("Chosen", bound=BaseModel)


class NoOptions(BaseModel):
    """The options of a reader that has none."""

    model_config = STRICT


class ReaderSource(Protocol):
    """The part of a Source that a reader may use."""

    @property
    def url(self) -> str:
        """The source's url; it ends in a slash."""
        ...

    @property
    def options(self) -> BaseModel:
        """The reader's options in the manifest."""
        ...


class ReaderKind(msgspec.Struct, frozen=True):
    """One format in which upstreams list their files.

    `open` takes the Source, and also the day (UTC) if `dated` is True, and returns a Reader; it may raise InvalidValue
    for faults that the options' own validation cannot see. `schemes` are the schemes of the urls that it reads (ANY for
    all), except those in `without`. `also` are further schemes of its files, whose keys its manifests may have.
    `proof` says how it knows that a list was read to its end; without it nothing is proved. `encoded` is True if it
    reads names in the encoding that the source declares (`encoding_of`).
    """

    open: Callable[..., Reader]
    options: type[BaseModel] = NoOptions
    schemes: frozenset[str] = WEB
    without: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    dated: bool = False
    proof: CompletenessProof = NO_PROOF
    encoded: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys that it adds to a source."""
        return keys(self.options)

    def reads(self, scheme: str) -> bool:
        """Return True if it can read urls of that scheme."""
        return scheme not in self.without and (scheme in self.schemes or "*" in self.schemes)

    def opened(self, source: ReaderSource, today: date) -> Reader:
        """Return the Reader of one source; raises InvalidValue."""
        return self.open(source, today) if self.dated else self.open(source)


class Kinds(Mapping[str, ReaderKind]):
    """Readers by name, each loaded when it is first used; raises InvalidValue for one that cannot be loaded."""

    def __init__(self, load: Mapping[str, Callable[[], Any]]) -> None:
        self._load = dict(load)
        self._loaded: dict[str, ReaderKind] = {}

    def __getitem__(self, name: str) -> ReaderKind:
        kind = self._loaded.get(name)
        if kind is None:
            kind = self._loaded[name] = _loaded(name, self._load[name])
        return kind

    def __contains__(self, name: object) -> bool:
        return name in self._load

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load))

    def __len__(self) -> int:
        return len(self._load)


def _loaded(name: str, load: Callable[[], Any]) -> ReaderKind:
    try:
        kind = load()
    except (ImportError, AttributeError) as error:
        raise InvalidValue(
            message("cannot be loaded here ({cause})", cause=error),
            message("install its dependencies, as in pip install 'syncd[all]'"),
        ) from error
    if not isinstance(kind, ReaderKind):
        raise InvalidValue(
            message("is a plug-in of another kind"),
            message("make {name} of {group} name a manifests.reading.reader.ReaderKind", name=name, group=GROUP),
        )
    return kind


@cache
def installed() -> Kinds:
    """Return the readers of this installation, plug-ins included."""
    return Kinds({point.name: point.load for point in load_entry_point(GROUP)})


@cache
def built_in() -> Kinds:
    """Return the readers that are part of syncd."""
    ours = (point for point in load_entry_point(GROUP) if point.value.startswith("manifests.readers."))
    return Kinds({point.name: point.load for point in ours})


def chosen(source: ReaderSource, options: type[Chosen]) -> Chosen:
    """Return the options of `source` as those of the calling reader; a Source has validated them already."""
    found = source.options
    if not isinstance(found, options):
        raise TypeError(f"{source.url}: has the options of another reader: {type(found).__qualname__}")
    return found
