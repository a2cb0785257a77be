"""How much a pass may lose without approval; its losses are judged together, before the first.

Rules:
1. A loss is a deletion, or a replacement that loses bytes: `syncd.engine.losses` finds them.
2. The loss of every file is always held for approval, whatever the limit.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from manifests.errors import InvalidValue
from manifests.messages import count, message
from manifests.model.field_types import Count
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
    """Which losses a steward must approve first, and how many files upstream must list."""

    model_config = STRICT

    max_removed: Annotated[
        Threshold,
        PlainValidator(parse_threshold),
        PlainSerializer(_written),
        WithJsonSchema({"type": ["string", "integer"], "examples": ["10%", 200, "5 GB"]}),
        Field(json_schema_extra={"default": "10%"}),
    ] = Threshold(Fraction(10), "%")
    """The most that one pass may lose by itself: a share of files and of bytes, a number of files, or an amount of
    bytes. Deleted files count, and files that become empty, shrink by more than half or get the same content as others.
    More than that is held until `syncd approve`; so is, always, the loss of everything."""
    empty: Literal["refused", "allowed"] = "refused"
    """Whether a source without any file is a success. `refused`: the pass fails, and nothing is changed."""
    approvals: Annotated[Count, Field(ge=1, le=2)] = 1
    """How many people must approve held losses. 2: a second person, with another name, approves the same losses."""
    min_files: Annotated[Count, Field(ge=0)] = 0
    """The fewest files that upstream lists. If a pass finds fewer, it fails, and nothing is changed."""

    @model_validator(mode="after")
    def _has_one_minimum(self) -> Self:
        if self.empty == "allowed" and self.min_files:
            raise InvalidValue(
                message("cannot be combined with {key}", key="min_files"), message("keep one of the two")
            )
        return self

    def refuses(self, files: int) -> str | None:
        """Return why a complete inventory of so many files is no success, or None."""
        if files < self.min_files:
            return message(
                "{found}, fewer than guard.min_files ({least:,})",
                found=count(files, "{n} file was found", "{n:,} files were found"),
                least=self.min_files,
            )
        return message("no file was found") if files == 0 and self.empty == "refused" else None

    def holds(self, lost_files: int, lost_bytes: int, files: int, size: int, *, replaced: int = 0) -> str | None:
        """Return why these losses, of a mirror of `files` and `size` bytes, must be approved first; or None.

        `replaced` of the files are not deleted, but replaced.
        """
        most = self.max_removed
        if lost_files == 0:
            return None
        is_everything = lost_files >= files
        over = {
            "files": lost_files > most.amount,
            "bytes": lost_bytes > most.amount,
            "%": lost_files * 100 > most.amount * files or lost_bytes * 100 > most.amount * size,
        }[most.unit]
        if not is_everything and not over:
            return None
        if replaced and is_everything:
            return message(
                "all {files:,} files would lose bytes: {removed:,} deleted, {replaced:,} emptied, shortened or made "
                "the same",
                files=files,
                removed=lost_files - replaced,
                replaced=replaced,
            )
        if replaced:
            return message(
                "{lost:,} of {files:,} files ({lost_size} of {size}) would lose bytes, more than {most}: "
                "{removed:,} deleted, {replaced:,} emptied, shortened or made the same",
                lost=lost_files,
                files=files,
                lost_size=format_size(lost_bytes),
                size=format_size(size),
                most=most,
                removed=lost_files - replaced,
                replaced=replaced,
            )
        if is_everything:
            return message("all {files:,} files would be deleted", files=files)
        if most.unit == "files":
            return message(
                "{removed_files:,} files would be deleted, more than {most}", removed_files=lost_files, most=most
            )
        if most.unit == "bytes":
            return message("{size} would be deleted, more than {most}", size=format_size(lost_bytes), most=most)
        if lost_files * 100 > most.amount * files:
            return message(
                "{removed_files:,} of {files:,} files would be deleted, more than {most}",
                removed_files=lost_files,
                files=files,
                most=most,
            )
        return message(
            "{lost} of {held} would be deleted, more than {most}",
            lost=format_size(lost_bytes),
            held=format_size(size),
            most=most,
        )
