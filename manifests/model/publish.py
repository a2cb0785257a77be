"""The `publish` block of a manifest: who may read the copy, and how it is described in lists and catalogues.

Rules:
1. A mirror without it is private. The copy is never more open than `about.access`, and never published where the
   dataset's terms forbid redistribution.
2. Identifiers are given by a registrar and copied here; their syntax and check digits are validated.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import InitErrorDetails

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.about import parse_day
from manifests.model.field_types import Text, like, schema_of
from manifests.model.identifiers import Cstr, Doi, Orcid, Ror
from manifests.yaml import STRICT, KeyConflict, validated

LEVELS = {"open": 0, "registered": 1, "restricted": 2, "controlled": 2, "embargoed": 2}
"""The words of access, the most open first; `embargoed` counts as restricted until its day."""

_DATE = re.compile(r"[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-[0-9]{2})?)?")
_MOST = 200

PublicUrl = Annotated[
    str,
    Field(max_length=2_000),
    like(
        r"https?://[^\s/@?#<>\"]+(?:[/?#][^\s<>\"]*)?",
        message("is not a web address"),
        message("write it as in https://example.org/dataset, without a login"),
    ),
    schema_of("a web address", "https://example.org/dataset"),
]


def _period(given: Any) -> Any:
    if not isinstance(given, list | tuple):
        return given  # its type is the fault
    told = [str(one) for one in given if not isinstance(one, bool)]
    if len(told) != 2 or not _is_date(told[0]) or not (told[1] == ".." or _is_date(told[1])):
        raise InvalidValue(
            message("is not a start and an end"),
            message('write both, as in [1984-03-01, 2020-12-31], [1984, 2020] or [2015-11, ".."]'),
        )
    start, end = told
    shortest = min(len(start), len(end))
    if end != ".." and end[:shortest] < start[:shortest]:
        raise InvalidValue(message("ends before it starts"), message("write the earlier date first"))
    return (start, end)


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        parse_day(text + "0001-01-01"[len(text) :])
    except InvalidValue:
        return False
    return True


def _box(given: Any) -> Any:
    if not isinstance(given, list | tuple):
        return given  # its type is the fault
    order = message("write west, south, east, north in degrees, as in [73.5, 18.1, 135.1, 53.6]")
    if len(given) != 4 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in given):
        raise InvalidValue(message("is not a box of four numbers"), order)
    west, south, east, north = given
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        raise InvalidValue(message("is outside of the Earth's degrees"), order)
    if south > north:
        raise InvalidValue(message("has its south above its north"), order)
    if west > east and east + 360 - west > 180:  # a box over the antimeridian is written so, and is narrower
        raise InvalidValue(message("has its west after its east"), order)
    return given


Period = Annotated[
    tuple[str, str],
    BeforeValidator(_period),
    Field(json_schema_extra={"examples": [["1984-03-01", "2020-12-31"], ["2015", ".."]]}),
]
Box = Annotated[
    tuple[float, float, float, float],
    BeforeValidator(_box),
    Field(json_schema_extra={"examples": [[73.5, 18.1, 135.1, 53.6]]}),
]


class LocalText(BaseModel):
    """A text in English, Chinese, or both."""

    model_config = STRICT

    en: Text = ""
    """The English text."""
    zh: Text = ""
    """The Chinese text."""

    @property
    def texts(self) -> dict[str, str]:
        """Return each text that is written, by its language, English first."""
        return {language: text for language, text in (("en", self.en), ("zh", self.zh)) if text}

    def best(self, language: str) -> str:
        """Return the text in a language, or in the other one."""
        return self.texts.get(language) or self.en or self.zh

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_no_text(raw)) if isinstance(raw, Mapping) else ())


def _no_text(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if set(raw) <= {"en", "zh"} and not any(raw.values()):
        yield KeyConflict("", message("has no text"), message("write it, as in {en: …, zh: …}, or delete the key"))


class Creator(BaseModel):
    """A person or an organisation that made the dataset."""

    model_config = STRICT

    name: Annotated[Text, Field(min_length=1)]
    """The name, as it is cited."""
    ror: Ror | None = None
    """The ROR ID of an organisation."""
    orcid: Orcid | None = None
    """The ORCID iD of a person."""
    affiliation: Text = ""
    """The organisation of a person."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_creator_clashes(raw)) if isinstance(raw, Mapping) else ())


def _creator_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if raw.get("ror") is not None and raw.get("orcid") is not None:
        yield KeyConflict(
            "orcid",
            message("cannot be combined with {key}", key="ror"),
            message("write the person with orcid and affiliation, and the organisation as a creator of its own"),
        )


class Identifier(BaseModel):
    """One persistent identifier of the dataset, as a registrar gave it: a DOI or a CSTR."""

    model_config = STRICT

    doi: Doi | None = None
    """A DOI."""
    cstr: Cstr | None = None
    """A CSTR (GB/T 32843)."""

    @property
    def scheme(self) -> Literal["doi", "cstr"]:
        """Return which of the two it is."""
        return "doi" if self.doi is not None else "cstr"

    @property
    def value(self) -> str:
        """Return the identifier without scheme and resolver."""
        return self.doi or self.cstr or ""

    @property
    def url(self) -> str:
        """Return the address that resolves it."""
        return f"https://doi.org/{self.doi}" if self.doi is not None else f"https://www.cstr.cn/CSTR:{self.cstr}"

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_identifier_clashes(raw)) if isinstance(raw, Mapping) else ())


def _identifier_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if set(raw) <= {"doi", "cstr"} and len(raw) != 1:
        yield KeyConflict("", message("is not one identifier"), message("write each as {doi: …} or as {cstr: …}"))


class Publish(BaseModel):
    """Who may read the copy, and how lists and catalogues describe it. Without it the mirror is private."""

    model_config = STRICT

    to: tuple[Literal["catalogue", "oai", "stac", "croissant", "events"], ...] | None = None
    """The lists and formats in which the mirror appears; absent: all of them. The landing page is always there."""
    title: LocalText | None = None
    """The title in English and Chinese; by default the manifest's `title`."""
    description: LocalText | None = None
    """What the dataset is; search engines want 50 to 5,000 characters."""
    creators: Annotated[tuple[Creator, ...], Field(max_length=_MOST)] = ()
    """Who made the dataset."""
    identifiers: Annotated[tuple[Identifier, ...], Field(max_length=_MOST)] = ()
    """The dataset's DOI and CSTR, as a registrar gave them."""
    same_as: PublicUrl | None = None
    """The publisher's own page of the dataset, which the copy names as its original."""
    themes: Annotated[tuple[Annotated[Text, Field(min_length=1)], ...], Field(max_length=_MOST)] = ()
    """Subjects, each of which is a set in catalogues."""
    keywords: Annotated[tuple[Annotated[Text, Field(min_length=1)], ...], Field(max_length=_MOST)] = ()
    """Keywords for searching."""
    spatial: Box | None = None
    """The covered region: west, south, east, north in degrees. West is above east over the antimeridian."""
    temporal: Period | None = None
    """The covered time: start and end, as dates, months or years; `..` is an end that is open."""
    access: Literal["open", "registered", "restricted"] | None = None
    """Who may read the copy; by default as `about.access` says, and restricted if that is not stated."""
    terms: LocalText | None = None
    """The terms that a reader accepts before the first download of a registered or restricted mirror."""
    contact: Text = ""
    """The contact for this copy; by default `about.contact`."""

    def listed_in(self, door: str) -> bool:
        """Return True if the mirror appears in a list or format."""
        return self.to is None or door in self.to

    @property
    def terms_version(self) -> str:
        """Return a name of these very terms, "" if there are none: changed terms are accepted again."""
        if self.terms is None:
            return ""
        return hashlib.sha256(f"{self.terms.en}\n\0{self.terms.zh}".encode()).hexdigest()[:16]


def publish_faults(raw: Mapping[str, Any]) -> list[InitErrorDetails]:
    """Return where a manifest would publish more than the dataset's publisher allows."""
    publish, about = raw.get("publish"), raw.get("about", {})
    if publish is None or not isinstance(about, Mapping):
        return []
    found = []
    if about.get("redistribution") == "forbidden":
        found.append(
            _fault(
                ("publish",),
                message("is not allowed: about.redistribution is forbidden"),
                message("delete publish, or state what the terms of use really allow"),
            )
        )
    stated, wanted = about.get("access"), publish.get("access") if isinstance(publish, Mapping) else None
    if stated == "embargoed":
        if about.get("embargo") is None and wanted != "restricted":
            found.append(
                _fault(
                    ("about",),
                    message("has no embargo, the day on which the dataset becomes open"),
                    message("write embargo: 2027-01-31 below about, or publish it as access: restricted"),
                )
            )
    elif stated in LEVELS and wanted in LEVELS and LEVELS[wanted] < LEVELS[stated]:
        found.append(
            _fault(
                ("publish", "access"),
                message("is more open than about.access, which is {stated}", stated=stated),
                message("write access: {word}", word="registered" if stated == "registered" else "restricted"),
            )
        )
    return found


def _fault(place: tuple[str, ...], what: str, todo: str) -> InitErrorDetails:
    return InitErrorDetails(type="value_error", loc=place, input=None, ctx={"error": InvalidValue(what, todo)})
