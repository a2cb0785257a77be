"""When a file of a source is complete: unchanged for long enough, and marked as its writer marks complete files."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, PlainSerializer, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.field_types import AtLeastOne, Glob
from manifests.model.globs import matcher
from manifests.model.units import format_duration, parse_duration
from manifests.yaml import STRICT, KeyConflict, validated

USUAL_SETTLE = 5.0  # seconds, for sources that people write to directly
WRITTEN_TO = frozenset({"file", "sftp", "ftp", "ftps"})
_MOST_SETTLE = 7 * 86_400.0
_SUFFIX = re.compile(r"[._-][A-Za-z0-9][A-Za-z0-9._-]{0,30}")
_ZERO = re.compile(r"0+ ?[a-z]*")


def _settle(given: Any) -> Any:
    if not isinstance(given, str):
        raise InvalidValue(message("is a number without a unit"), message("write the unit too, as in 30s or 0s"))
    seconds = 0.0 if _ZERO.fullmatch(given.strip()) is not None else parse_duration(given)
    if seconds > _MOST_SETTLE:
        raise InvalidValue(message("is longer than a week"), message("write a shorter time, as in 30s or 5m"))
    return seconds


def _suffix(given: Any) -> Any:
    if isinstance(given, str) and _SUFFIX.fullmatch(given) is None:
        raise InvalidValue(message("is not the end of a file name"), message("write it as in .done or .md5"))
    return given


def _folder(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    name = given.removesuffix("/")
    if not name or "/" in name or "\\" in name or name in {".", ".."}:
        raise InvalidValue(message("is not the name of one folder"), message("write it as in tmp/"))
    return f"{name}/"


Settle = Annotated[
    float,
    BeforeValidator(_settle),
    PlainSerializer(format_duration),
    Field(json_schema_extra={"type": "string", "examples": ["30s", "5m", "0s"]}),
]


class Completion(BaseModel):
    """How the writer of a source marks files that are complete, or not yet. Files that are not wait."""

    model_config = STRICT

    suffix: Annotated[str, BeforeValidator(_suffix)] | None = None
    """A file is complete once another of its name and this suffix is listed, as in .done for scan.h5.done."""
    sidecar: Annotated[str, BeforeValidator(_suffix)] | None = None
    """As suffix, and the other file has the checksum of the file, as in .md5 for scan.h5.md5."""
    folder: Annotated[str, BeforeValidator(_folder)] | None = None
    """The name of the folders in which files are written before they are moved, as in tmp/."""
    temporary: Annotated[tuple[Glob, ...], AtLeastOne] = ()
    """Globs of the names that files have while they are written, as in "*.part"."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, Mapping):
            return handler(raw)
        return validated(raw, handler, [*_clashes(raw)])

    @property
    def marker(self) -> str:
        """Return the end of the names of markers, or "" if there are none."""
        return self.suffix or self.sidecar or ""

    def is_temporary(self, path: str) -> bool:
        """Return True if a path is one that files have while they are written."""
        if self.folder is not None and f"/{self.folder}" in f"/{path}":
            return True
        return bool(self.temporary) and matcher(self.temporary)(path)


def _clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    given = {key for key, value in raw.items() if value is not None}
    if {"suffix", "sidecar"} <= given:
        yield KeyConflict(
            "sidecar",
            message("cannot be combined with suffix: both name the marker of a complete file"),
            message("keep one of the two"),
        )
    if not given:
        yield KeyConflict(
            "",
            message("names no way to tell complete files"),
            message("write suffix, sidecar, folder or temporary, or delete complete"),
        )
