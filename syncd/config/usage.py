"""The counts of what the public side gives in syncd.yaml (`usage`): whose networks are whose, and where lists lie."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.model import Flag, like
from manifests.yaml import STRICT
from syncd.config.field_types import Network

CountryCode = Annotated[str, like(r"[a-z]{2}", message("is not a country's code"), message("write it as in cn"))]


class NetworkOwner(BaseModel):
    """The institution that a network belongs to."""

    model_config = STRICT

    cidr: Network
    """The network, as in 159.226.0.0/16; the longest one that has an address decides."""
    institution: Annotated[str, Field(min_length=1, max_length=200)]
    """The institution, as reports name it."""
    country: CountryCode | None = None
    """Its country, as two small letters (ISO 3166)."""
    own: Flag = False
    """True for our own machines and for nodes of our institution: what they take is not delivered to others."""


class UsageSettings(BaseModel):
    """How the public side counts what it gives."""

    model_config = STRICT

    enabled: Flag = True
    """Whether it counts."""
    networks: tuple[NetworkOwner, ...] = ()
    """Whose networks are whose; a partner's token comes first."""
    country_db: Path | None = None
    """A file with the countries of addresses: MMDB, CSV, or the list of a regional registry."""
    country: CountryCode | None = None
    """Our own country: what goes elsewhere is counted as abroad."""
    hours: Path | None = None
    """A CSV file with the hours of instruments: mirror, month (YYYY-MM), hours."""
    nginx: Path | None = None
    """With `serve.send: accel`, the Unix socket to which nginx reports what it sent."""
