"""Reads the arguments of an OAI-PMH request, and the tokens that continue a list.

A token has the whole state of a list, so that the repository keeps none and no token expires.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from manifests.messages import plain
from syncd.exchange.oai_entries import OaiEntry

_DAY, _SECOND = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SPEC = re.compile(r"[A-Za-z0-9\-_.!~*'()]+(?::[A-Za-z0-9\-_.!~*'()]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z0-9:/._~!$&'()*+,;=@-]+")
_LIST = {"from", "until", "set", "metadataPrefix"}
_ALLOWED: Mapping[str, tuple[set[str], set[str]]] = {  # by verb: the arguments that must stand, and those that may
    "Identify": (set(), set()),
    "ListMetadataFormats": (set(), {"identifier"}),
    "ListSets": (set(), {"resumptionToken"}),
    "GetRecord": ({"identifier", "metadataPrefix"}, set()),
    "ListIdentifiers": ({"metadataPrefix"}, _LIST),
    "ListRecords": ({"metadataPrefix"}, _LIST),
}


class OaiRefusal(ValueError):
    """An error of the protocol: its code, and a sentence."""

    def __init__(self, code: str, said: str = "") -> None:
        """Keep the code."""
        super().__init__(said)
        self.code = code


class OaiToken(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state of a list: what was asked for, after which entry it continues, how many went before, and in all."""

    prefix: str
    since: int | None
    until: int | None
    spec: str
    after: tuple[int, str]
    cursor: int
    total: int

    def __str__(self) -> str:
        """Return it as it travels."""
        return urlsafe_b64encode(msgspec.json.encode(self, enc_hook=plain)).decode()

    def wants(self, entry: OaiEntry) -> bool:
        """Return True if an entry is in the list, and anything of a set that contains another."""
        if self.since is not None and entry.stamp < self.since:
            return False
        if self.until is not None and entry.stamp > self.until:
            return False
        return not self.spec or any(one == self.spec or one.startswith(f"{self.spec}:") for one in entry.sets)


def checked(arguments: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the arguments of a request, or raise badVerb or badArgument."""
    given = dict(arguments)
    names = [name for name, _ in arguments]
    if names.count("verb") != 1 or given["verb"] not in _ALLOWED:
        raise OaiRefusal("badVerb", "The verb must be one of: " + ", ".join(_ALLOWED))
    needed, optional = _ALLOWED[given["verb"]]
    told = set(names) - {"verb"}
    if len(names) != len(set(names)):
        raise OaiRefusal("badArgument", "An argument is repeated")
    if needed and "resumptionToken" in told and given["verb"].startswith("List"):
        needed, optional = {"resumptionToken"}, set()
    if not needed <= told <= needed | optional:
        raise OaiRefusal("badArgument", "Needed: " + (", ".join(sorted(needed)) or "no argument"))
    for name, pattern in (("set", _SPEC), ("metadataPrefix", _SPEC), ("identifier", _IDENTIFIER)):
        if name in given and pattern.fullmatch(given[name]) is None:
            raise OaiRefusal("badArgument", f"{name} is malformed")
    return given


def asked_list(given: Mapping[str, str]) -> OaiToken:
    """Return the list that a request asks for, from its beginning or continued."""
    if "resumptionToken" in given:
        return _resumed(given["resumptionToken"])
    since, until = given.get("from"), given.get("until")
    if since is not None and until is not None and len(since) != len(until):
        raise OaiRefusal("badArgument", "from and until differ in granularity")
    first = None if since is None else _seconds(since, "from")
    last = None if until is None else _seconds(until, "until") + (86_399 if "T" not in until else 0)
    if first is not None and last is not None and first > last:
        raise OaiRefusal("badArgument", "from is after until")
    return OaiToken(given["metadataPrefix"], first, last, given.get("set", ""), (-1, ""), 0, -1)


def _seconds(text: str, name: str) -> int:
    if _DAY.fullmatch(text) is not None or _SECOND.fullmatch(text) is not None:
        try:
            return int(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp())
        except ValueError:
            pass
    raise OaiRefusal("badArgument", f"{name} is not a date")


def _resumed(text: str) -> OaiToken:
    try:
        return msgspec.json.decode(urlsafe_b64decode(text.encode("ascii")), type=OaiToken)
    except (ValueError, msgspec.MsgspecError) as error:
        raise OaiRefusal("badResumptionToken", "The token is not one of this repository") from error
