"""Persistent identifiers that a steward writes into a manifest: DOI, CSTR, ORCID, ROR. They are checked, never made."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.field_types import schema_of

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}(?:\.[0-9]+)*/[!-~]{1,200})", re.IGNORECASE)
_CSTR = re.compile(r"(?:https?://(?:www\.)?cstr\.cn/|cstr:)?([0-9]{5}\.[0-9]{2}\.[!-~]{1,200})", re.IGNORECASE)
_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])")
_ROR = re.compile(r"(?:https?://)?(?:ror\.org/)?(0[0-9a-hj-km-np-tv-z]{6}[0-9]{2})")


def parse_doi(given: Any) -> Any:
    """Return a DOI without a resolver's address; raises InvalidValue."""
    if isinstance(given, str):
        if (found := _DOI.fullmatch(given)) is None:
            raise InvalidValue(message("is not a DOI"), message("write it as in 10.5281/zenodo.1234"))
        return found[1]
    return given


def parse_cstr(given: Any) -> Any:
    """Return a CSTR without its label; raises InvalidValue."""
    if isinstance(given, str):
        if (found := _CSTR.fullmatch(given)) is None:
            raise InvalidValue(message("is not a CSTR"), message("write it as in 31253.11.sciencedb.01234"))
        return found[1]
    return given


def parse_orcid(given: Any) -> Any:
    """Return an ORCID iD as an address; raises InvalidValue, also for a wrong check digit (ISO 7064, mod 11-2)."""
    if isinstance(given, str):
        if (found := _ORCID.fullmatch(given)) is None:
            raise InvalidValue(message("is not an ORCID iD"), message("write it as in 0000-0002-1825-0097"))
        digits = found[1].replace("-", "")
        total = 0
        for digit in digits[:-1]:
            total = (total + int(digit)) * 2
        if "0123456789X"[(12 - total % 11) % 11] != digits[-1]:
            raise InvalidValue(message("has a wrong check digit"), message("copy it from orcid.org"))
        return f"https://orcid.org/{found[1]}"
    return given


def parse_ror(given: Any) -> Any:
    """Return a ROR ID as an address; raises InvalidValue, also for wrong check digits (ISO 7064, mod 97-10)."""
    if isinstance(given, str):
        if (found := _ROR.fullmatch(given.lower())) is None:
            raise InvalidValue(message("is not a ROR ID"), message("write it as in https://ror.org/035a68863"))
        number = 0
        for letter in found[1][:-2]:
            number = number * 32 + _CROCKFORD.index(letter)
        if 98 - number * 100 % 97 != int(found[1][-2:]):
            raise InvalidValue(message("has a wrong check digit"), message("copy it from ror.org"))
        return f"https://ror.org/{found[1]}"
    return given


Doi = Annotated[str, BeforeValidator(parse_doi), schema_of("a DOI", "10.5281/zenodo.1234")]
Cstr = Annotated[str, BeforeValidator(parse_cstr), schema_of("a CSTR", "31253.11.sciencedb.01234")]
Orcid = Annotated[str, BeforeValidator(parse_orcid), schema_of("an ORCID iD", "0000-0002-1825-0097")]
Ror = Annotated[str, BeforeValidator(parse_ror), schema_of("a ROR ID", "https://ror.org/035a68863")]
