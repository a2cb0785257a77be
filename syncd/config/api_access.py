"""Access control in syncd.yaml: who may read the daemon's pages and who may change something (tokens, hosts, proxies).

The file contains only hashes of tokens. `syncd token NAME` creates a token and prints the line to add.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, Day, Rate, like
from manifests.yaml import STRICT, KeyConflict, validated
from syncd.config.field_types import MirrorGlob, Network
from syncd.config.sign_in import SignInSettings

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SCRYPT = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{64}", re.ASCII)
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$"
_MAKE = message("write the line that `syncd token NAME` prints")

Role = Literal["reader", "steward", "operator", "partner"]
TokenState = Literal["good", "expired", "revoked"]


def _sha256(given: Any) -> Any:
    if isinstance(given, str) and _SHA256.fullmatch(given) is None:
        raise InvalidValue(message("is not a sha256 in hexadecimal digits"), _MAKE)
    return given


def _scrypt(given: Any) -> Any:
    if isinstance(given, str) and _SCRYPT.fullmatch(given) is None:
        raise InvalidValue(message("is not a salt and a hash, as in 32 digits, a dot, 64 digits"), _MAKE)
    return given


def _host(given: Any) -> Any:
    if isinstance(given, str) and _HOST.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a host's name"), message("write it without scheme and port, as in mirror.example.org")
        )
    return given.lower() if isinstance(given, str) else given


class Token(BaseModel):
    """A person, program or institution with access, identified by the hash of a secret."""

    model_config = STRICT

    name: Annotated[str, Field(pattern=_NAME)]
    """Whose token it is; the audit log shows this name."""
    role: Role = "reader"
    """`reader` may read; `steward` may also plan, sync, approve and reject on the mirrors that it names; `operator` may
    do everything; `partner` is an institution that may read the published mirrors that need a token."""
    mirrors: Annotated[tuple[MirrorGlob, ...], AtLeastOne] | None = Field(
        default=None, json_schema_extra={"minItems": 1}
    )
    """Globs of the mirrors that the token is limited to; a steward needs them. Absent: a reader or operator is not
    limited, and a partner reads registered mirrors, but no restricted one."""
    institution: Annotated[str, Field(max_length=200)] = ""
    """Partners only: the institution, in whose name usage is counted."""
    country: Annotated[str, like(r"[a-z]{2}", message("is not a country's code"), message("write it as in cn"))] = ""
    """Partners only: the country, as two small letters (ISO 3166)."""
    rate: Rate | None = None
    """Partners only: the most that all its downloads may take together."""
    until: Day | None = None
    """The last day (UTC) on which the token is good."""
    revoked: Day | None = None
    """The day on which `syncd token revoke` ended it; its name stays, so that the log tells whose it was."""
    sha256: Annotated[str, BeforeValidator(_sha256)] | None = Field(default=None, repr=False)
    """The sha256 of a token that `syncd token` created."""
    scrypt: Annotated[str, BeforeValidator(_scrypt)] | None = Field(default=None, repr=False)
    """Salt and scrypt hash of a token that a person chose."""

    @property
    def ends(self) -> datetime | None:
        """Return the moment at which the token expires."""
        return datetime.combine(self.until + timedelta(days=1), time(), UTC) if self.until is not None else None

    def state(self, now: datetime) -> TokenState:
        """Return whether the token may be used."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.ends is not None and self.ends <= now else "good"

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_token_clashes(raw)) if isinstance(raw, Mapping) else ())


def validate_unique_names(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Validate a field that lists tokens: names are unique, so that the audit log identifies the person."""
    names = [token.name for token in tokens]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(message("names {name} twice", name=name), message("give every token a name of its own"))
    return tokens


def _token_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    for key in ("institution", "country", "rate"):
        if raw.get(key) is not None and raw.get("role") != "partner":
            yield KeyConflict(key, message("has no effect without {key}", key="role: partner"), message("delete it"))
    if raw.get("role") == "steward" and raw.get("mirrors") is None:
        yield KeyConflict(
            "", message("is of a steward, and names no mirrors"), message("add mirrors, as in mirrors: [landsat-*]")
        )
    if raw.get("sha256") is not None and raw.get("scrypt") is not None:
        yield KeyConflict("scrypt", message("cannot be combined with sha256"), message("keep one of the two"))
    if raw.get("sha256") is None and raw.get("scrypt") is None:
        yield KeyConflict("", message("has neither sha256 nor scrypt"), _MAKE)


class ApiSettings(BaseModel):
    """Who may use the daemon's HTTP address, and by which names."""

    model_config = STRICT

    read: Literal["open", "token", "all"] | None = None
    """Who may read without a token. `open`: everybody, but on an address that is not loopback published mirrors
    only; `all`: everybody, private mirrors too, but not through a proxy; `token`: no one. Default: `open` on a
    loopback address, `token` on any other."""
    hosts: frozenset[Annotated[str, BeforeValidator(_host)]] = frozenset()
    """Host names of the page, besides localhost and IP addresses."""
    proxies: tuple[Network, ...] = ()
    """Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""
    sign_in: SignInSettings | None = None
    """Sign-in for people with OpenID Connect; absent: the page takes tokens only."""
