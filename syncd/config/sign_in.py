"""Sign-in for people in syncd.yaml: the OpenID Connect provider, and which of its groups have which role."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, Duration
from manifests.yaml import STRICT
from syncd.config.credentials import Secret
from syncd.config.field_types import MirrorGlob

_LOOPBACK = re.compile(r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?(?:/|$)")


def _https(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    parts = urlsplit(given)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidValue(message("is not the url of a server"), message("write it as in https://login.example.org"))
    if parts.scheme != "https" and _LOOPBACK.match(given) is None:
        raise InvalidValue(
            message("is not encrypted: who listens could sign in as anybody"), message("write https://…")
        )
    return given.rstrip("/")


HttpsUrl = Annotated[str, BeforeValidator(_https)]


class RoleGrant(BaseModel):
    """A value of the claim, and the role of the people who have it."""

    model_config = STRICT

    value: Annotated[str, Field(min_length=1, max_length=200)]
    """The value, as the name of a group."""
    role: Literal["reader", "steward", "operator"]
    """The role, as of a token."""
    mirrors: Annotated[tuple[MirrorGlob, ...], AtLeastOne] | None = Field(
        default=None, json_schema_extra={"minItems": 1}
    )
    """Globs of the mirrors to which the role is limited; a steward needs them."""

    @model_validator(mode="after")
    def _has_mirrors(self) -> Self:
        if self.role == "steward" and self.mirrors is None:
            raise InvalidValue(
                message("is of a steward, and names no mirrors"), message("add mirrors, as in mirrors: [landsat-*]")
            )
        return self


class SignInSettings(BaseModel):
    """The OpenID Connect provider with which people sign in on the page."""

    model_config = STRICT

    issuer: HttpsUrl
    """The provider, as its tokens name it: `/.well-known/openid-configuration` is found below it."""
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    """The name under which the provider knows this page."""
    client_secret: Secret | None = None
    """Where the client's secret is; absent: a public client, which PKCE protects."""
    url: HttpsUrl
    """The address of the page for browsers. Register `URL/login/callback` with the provider."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$")], ...] = ("openid", "profile")
    """The scopes of the request; `openid` is always among them."""
    name: Annotated[str, Field(min_length=1, max_length=100)] = "preferred_username"
    """The claim with the name for the audit log; without it, `sub` is taken."""
    claim: Annotated[str, Field(min_length=1, max_length=100)] = "groups"
    """The claim whose values give roles."""
    grants: Annotated[tuple[RoleGrant, ...], AtLeastOne] = Field(json_schema_extra={"minItems": 1})
    """The roles. A person without any is refused; the highest counts."""
    session: Duration = Field(default=8 * 3_600.0, json_schema_extra={"default": "8h"})
    """How long a sign-in lasts, at most 12 hours."""
