"""How much a pass may delete without approval; all its deletions are judged together, before the first.

Rule: the deletion of every file is always held for approval, whatever the limit.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, WithJsonSchema

from manifests.errors import InvalidValue
from manifests.messages import count, message
from manifests.model.units import format_size, parse_size
from manifests.yaml import STRICT

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%", re.ASCII)
_FILES = re.compile(r"(\d{1,15})(?: files?)?", re.ASCII)
_TODO = message("write a share as in 10%, a number of files as in 200, or an amount as in 5 GB")


@dataclass(frozen=True, slots=True)
class Threshold:
    """The deletion limit: a percentage (of files, and of bytes), a number of files, or an amount of bytes."""

    amount: Fraction
    unit: Literal["%", "files", "bytes"]

    def __str__(self) -> str:
        if self.unit == "%":
            return f"{float(self.amount):g}%"
        return (
            count(int(self.amount), "{n} file", "{n:,} files")
            if self.unit == "files"
            else format_size(int(self.amount))
        )


def parse_threshold(given: Any) -> Threshold:
    """Read 10%, 200 or 5 GB; raises InvalidValue."""
    if isinstance(given, Threshold):
        return given
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return Threshold(Fraction(given), "files")
    if not isinstance(given, str):
        raise InvalidValue(message("is not a deletion limit"), _TODO)
    text = given.strip()
    if (share := _PERCENT.fullmatch(text)) is not None:
        if Fraction(share[1]) > 100:
            raise InvalidValue(message("is more than everything"), _TODO)
        return Threshold(Fraction(share[1]), "%")
    if (number := _FILES.fullmatch(text)) is not None:
        return Threshold(Fraction(number[1]), "files")
    try:
        return Threshold(Fraction(parse_size(text)), "bytes")
    except InvalidValue as error:
        raise InvalidValue(message("{text!r} is not a deletion limit", text=text[:40]), _TODO) from error


def _written(threshold: Threshold) -> str:
    """Write a threshold so that it reads back exactly."""
    return (
        f"{int(threshold.amount)} {'B' if threshold.unit == 'bytes' else 'files'}"
        if threshold.unit != "%"
        else str(threshold)
    )


class Guard(BaseModel):
    """Which deletions a steward must approve first."""

    model_config = STRICT

    max_removed: Annotated[
        Threshold,
        PlainValidator(parse_threshold),
        PlainSerializer(_written),
        WithJsonSchema({"type": ["string", "integer"], "examples": ["10%", 200, "5 GB"]}),
        Field(json_schema_extra={"default": "10%"}),
    ] = Threshold(Fraction(10), "%")
    """The most one pass may delete by itself: a share of files and of bytes, a number of files, or an amount of bytes.
    Deletions beyond it are held until `syncd approve`; so is, always, the deletion of everything."""

    def holds(self, removed_files: int, removed_bytes: int, files: int, size: int) -> str | None:
        """Return why these deletions, from a mirror of `files` and `size` bytes, must be approved first; or None."""
        most = self.max_removed
        if removed_files == 0:
            return None
        if removed_files >= files:
            return message("all {files:,} files would be deleted", files=files)
        if most.unit == "files":
            over = removed_files > most.amount
            return (
                message(
                    "{removed_files:,} files would be deleted, more than {most}", removed_files=removed_files, most=most
                )
                if over
                else None
            )
        if most.unit == "bytes":
            over = removed_bytes > most.amount
            return (
                message("{size} would be deleted, more than {most}", size=format_size(removed_bytes), most=most)
                if over
                else None
            )
        if removed_files * 100 > most.amount * files:
            return message(
                "{removed_files:,} of {files:,} files would be deleted, more than {most}",
                removed_files=removed_files,
                files=files,
                most=most,
            )
        if removed_bytes * 100 > most.amount * size:
            return message(
                "{size} of {size2} would be deleted, more than {most}",
                size=format_size(removed_bytes),
                size2=format_size(size),
                most=most,
            )
        return None
