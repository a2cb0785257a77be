"""The public side in syncd.yaml (`serve`): where published mirrors are served, and within which limits."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, LocalText
from manifests.origins import check_folder_url
from manifests.yaml import STRICT
from syncd.config.credentials import Secret
from syncd.config.field_types import Listen, Network

_EACH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?/ ?(s|min|h)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def _public_url(given: Any) -> Any:
    return check_folder_url(given, frozenset({"http", "https"})) if isinstance(given, str) else given


def _requests(given: Any) -> Any:
    if isinstance(given, float):
        return given
    found = _EACH.fullmatch(given) if isinstance(given, str) else None
    if found is None or float(found[1]) <= 0:
        raise InvalidValue(message("is not a number of requests in a time"), message("write it as in 50/s or 600/min"))
    return float(found[1]) / _SECONDS[found[2]]


def _names(given: Any) -> Any:
    return {"en": given} if isinstance(given, str) else given


class PublisherSettings(BaseModel):
    """Who runs the node, as pages and catalogues name it."""

    model_config = STRICT

    name: Annotated[LocalText, BeforeValidator(_names)]
    """The organisation, in English and Chinese."""
    url: Annotated[str, BeforeValidator(_public_url)] | None = None
    """Its own page."""
    contact: Annotated[str, Field(max_length=200)] = ""
    """An address for questions about the copies."""
    ror: Annotated[str, Field(pattern=r"^https://ror\.org/0[a-z0-9]{8}$")] | None = None
    """Its ROR ID, as in https://ror.org/035a68863."""


class KeySettings(BaseModel):
    """The key that signs the heads of published mirrors."""

    model_config = STRICT

    file: Path
    """The secret key, which `syncd key new` makes; only syncd may read it."""
    passphrase: Secret | None = None
    """Where its passphrase is stored, if it has one."""


class FaceTlsSettings(BaseModel):
    """TLS that syncd itself ends; both files are read again when they change."""

    model_config = STRICT

    cert: Path
    """The certificate chain (PEM)."""
    key: Path
    """Its private key (PEM)."""


class FaceLimits(BaseModel):
    """Limits for each address prefix: a /24 of IPv4, a /48 of IPv6."""

    model_config = STRICT

    requests: Annotated[float, BeforeValidator(_requests)] = Field(
        default=50.0, json_schema_extra={"type": ["string", "number"], "default": "50/s", "examples": ["50/s"]}
    )
    """The most requests in a time, on average."""
    connections: Annotated[Count, Field(ge=1, le=10_000)] = 64
    """The most requests that are answered at once."""


class ServeSettings(BaseModel):
    """The public, read-only side of the node."""

    model_config = STRICT

    listen: Listen = "127.0.0.1:8760"
    """The address on which published mirrors are served."""
    url: Annotated[str, BeforeValidator(_public_url)]
    """The address under which others reach it; every link is made from it, never from a request."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
    """The node's name, as in cn-demo; others know it by this name, so it never changes."""
    publisher: PublisherSettings
    """Who runs the node."""
    send: Literal["self", "accel", "redirect"] = "self"
    """Who sends the bytes of files: syncd, an nginx in front of it (accel; deploy/nginx/syncd.conf), or the bucket
    that is the store, to which a client is redirected by a link of two minutes (redirect)."""
    endpoint: Annotated[str, BeforeValidator(_public_url)] | None = None
    """With redirect: the endpoint of the bucket as clients reach it; absent: `store.endpoint`."""
    key: KeySettings | None = None
    """The key that signs the heads of published mirrors; without one, other nodes can only trust its address."""
    proxies: tuple[Network, ...] = ()
    """Addresses of reverse proxies whose X-Forwarded-For is trusted."""
    tls: FaceTlsSettings | None = None
    """TLS that syncd itself ends; absent: clear, for a proxy in front of it."""
    limits: FaceLimits = FaceLimits()
    """Limits for each address prefix."""
