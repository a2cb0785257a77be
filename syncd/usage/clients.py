"""Says of an address, a user agent and a token who that is: institution, country, kind, and what tells clients apart.

In this order: a partner's token, the networks of the configuration, the file of countries, unknown.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from syncd.config import Token, UsageSettings
from syncd.usage.agents import Kind, agent_of
from syncd.usage.countries import Countries
from syncd.usage.networks import Address, NetworkMap, parse_address

V4, V6 = 24, 48  # bits of an address that tell clients apart
MOST = 20_000  # addresses that are remembered until the batch ends


class Client(NamedTuple):
    """A client as it is counted. `prefix` stays in memory, and no longer than a batch."""

    prefix: str
    family: str
    partner: str
    kind: Kind
    institution: str
    country: str
    is_strict: bool
    """True if it counts by COUNTER's rules."""


class Clients:
    """Who is who; holds what it found until `forget`."""

    def __init__(self, settings: UsageSettings, tokens: Iterable[Token], countries: Countries | None = None) -> None:
        self._networks = NetworkMap(settings.networks)
        self._countries = countries
        self._partners: dict[str, Token] = {}
        self._known: dict[tuple[str, str, str], Client] = {}
        self.replace_tokens(tokens)

    def replace_tokens(self, tokens: Iterable[Token]) -> None:
        """Use the partners of a changed configuration."""
        self._partners = {one.name: one for one in tokens if one.role == "partner"}

    def replace_countries(self, countries: Countries | None) -> None:
        """Use another list of countries."""
        self._countries = countries
        self.forget()

    def forget(self) -> None:
        """Forget every address."""
        self._known.clear()

    def of(self, address: str, agent: str, token: str) -> Client:
        """Return who a client is."""
        asked = (address, agent, token)
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[asked] = self._client(address, agent, token)
        return found

    def _client(self, address: str, agent: str, token: str) -> Client:
        family, kind, is_listed = agent_of(agent)
        parsed = parse_address(address)
        owner = self._networks.owner(parsed) if parsed is not None else None
        country = (owner.country if owner is not None else None) or ""
        if not country and parsed is not None and self._countries is not None:
            with suppress(ValueError):  # the file is damaged at that place
                country = self._countries.country(parsed)
        institution = owner.institution if owner is not None else ""
        partner = self._partners.get(token)
        if partner is not None:
            institution, country = partner.institution or partner.name, partner.country or country
        elif owner is not None and owner.own:
            kind = "own"
        is_strict = not is_listed and kind not in {"own", "robot"}
        name = partner.name if partner is not None else ""
        return Client(_prefix(parsed), family, name, kind, institution, country, is_strict)


def _prefix(address: Address | None) -> str:
    if address is None:
        return ""
    shift = 32 - V4 if address.version == 4 else 128 - V6
    return f"{address.version}:{int(address) >> shift:x}"
