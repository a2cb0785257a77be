"""What the publisher of a dataset says of it: terms of use, citation, and who may read it."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ModelWrapValidatorHandler, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.field_types import Text, schema_of
from manifests.yaml import STRICT, KeyConflict, validated


def parse_day(given: Any) -> Any:
    """Return the date that a text says; raises InvalidValue."""
    if not isinstance(given, str):
        return given  # a date, or a value whose type is the fault
    try:
        if len(given) == len("2027-01-31"):
            return date.fromisoformat(given)
    except ValueError as error:
        raise InvalidValue(message("is not a date"), message("write it as in 2027-01-31")) from error
    raise InvalidValue(message("is not a date"), message("write it as in 2027-01-31"))


Day = Annotated[date, BeforeValidator(parse_day), schema_of("a date", "2027-01-31", format="date")]
"""A date, as in 2027-01-31."""


class About(BaseModel):
    """A description of the dataset, which syncd shows and passes on."""

    model_config = STRICT

    licence: Text = ""
    """The terms of use of the dataset, preferably as an SPDX identifier."""
    citation: Text = ""
    """How the dataset is cited."""
    contact: Text = ""
    """The contact for this mirror."""
    access: Literal["open", "registered", "restricted", "controlled", "embargoed"] | None = None
    """Who may read the dataset, according to its publisher; absent: not stated."""
    embargo: Day | None = None
    """The day (UTC) on which an embargoed dataset becomes open."""
    redistribution: Literal["allowed", "conditions", "forbidden", "unknown"] = "unknown"
    """Whether the terms allow passing copies on; reading openly does not imply it."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_about_clashes(raw)) if isinstance(raw, Mapping) else ())


def _about_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if raw.get("embargo") is not None and raw.get("access") != "embargoed":
        yield KeyConflict(
            "embargo",
            message("has no effect without {key}", key="access: embargoed"),
            message("write access: embargoed, or delete embargo"),
        )
