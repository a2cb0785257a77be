"""How upstreams are reached: `network` in syncd.yaml, and the usual variables (HTTPS_PROXY, NO_PROXY, ...).

Rules:
1. `network.proxy` overrides the variables; `direct` ignores them. `no_proxy` applies to both, NO_PROXY only to the
   variables.
2. A password is read from its location when a pass begins, as every secret.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.origins import normalise_origin
from manifests.yaml import STRICT, KeyConflict, validated
from syncd.config.credentials import Secret, read_origin
from syncd.config.secrets import read_secret
from syncd.core import ClientCertificate, ConfigError, NetworkPlan, Proxy, as_address, parse_proxy

DIRECT = "direct"
_RULE = re.compile(r"\*|[A-Za-z0-9._*:\[\]/-]{1,253}")


def _proxy_url(given: Any) -> Any:
    if isinstance(given, str) and given != DIRECT:
        parse_proxy(given, secret_allowed=False)
    return given


def _short_form(given: Any) -> Any:
    """Return the long form of a proxy that is written as its url."""
    return {"url": given} if isinstance(given, str) else given


def _separated(given: Any) -> Any:
    """Return the list of a text that is written as in NO_PROXY."""
    return [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given


def _rule(given: Any) -> Any:
    if isinstance(given, str) and _RULE.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a host, a domain or a network"),
            message("write it as in mirror.example.org, .example.org or 10.0.0.0/8"),
        )
    return given


def _address(given: Any) -> Any:
    if isinstance(given, str):
        try:
            return str(ipaddress.ip_address(given))
        except ValueError as error:
            raise InvalidValue(
                message("is not an IP address"), message("write an address of this machine, as in 192.0.2.7")
            ) from error
    return given


class ProxySettings(BaseModel):
    """A proxy: `http://host:port` or `socks5://host:port`, with a login if it wants one. The url alone is enough."""

    model_config = STRICT

    url: Annotated[str, BeforeValidator(_proxy_url)]
    """`http://host:port` or `socks5://host:port`, without a password; `direct` uses no proxy."""
    username: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The user name; it is not secret."""
    password: Secret | None = None
    """Where the password is."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_proxy_clashes(raw)) if isinstance(raw, Mapping) else ())


def _proxy_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if (raw.get("username") is None) != (raw.get("password") is None):
        yield KeyConflict("", message("has only one of username and password"), message("write both, or neither"))


class ClientCertificateSettings(BaseModel):
    """A client certificate, which one origin wants to see."""

    model_config = STRICT

    origin: Annotated[str, BeforeValidator(read_origin)]
    """`https://host[:port]`."""
    certificate: Path
    """A PEM file with the certificate, and those of its authorities if the server needs them."""
    key: Path | None = None
    """A PEM file with the private key, if it is not in the same file."""
    passphrase: Secret | None = None
    """Where the passphrase of the key is, if it has one."""


PROXY = Annotated[ProxySettings, BeforeValidator(_short_form, json_schema_input_type=str | ProxySettings)]


class NetworkSettings(BaseModel):
    """How upstreams are reached. By default directly, or by the proxies of the environment."""

    model_config = STRICT

    proxy: PROXY | None = None
    """The proxy for everything; by default the variables HTTPS_PROXY, HTTP_PROXY, FTP_PROXY and ALL_PROXY."""
    no_proxy: Annotated[
        tuple[Annotated[str, BeforeValidator(_rule)], ...],
        BeforeValidator(_separated, json_schema_input_type=str | tuple[str, ...]),
    ] = ()
    """Hosts, domains (`.example.org`), addresses and networks (`10.0.0.0/8`) that are reached directly."""
    proxies: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")], PROXY] = {}
    """Further proxies, by the name that `via` of a source uses."""
    ca: Path | None = None
    """A PEM file of certificate authorities that are trusted besides the usual ones."""
    certificates: tuple[ClientCertificateSettings, ...] = ()
    """Client certificates, each for one origin."""
    prefer: Literal["ipv4", "ipv6"] | None = None
    """The addresses to try first; by default both at once."""
    source_address: Annotated[str, BeforeValidator(_address)] | None = None
    """The address of this machine from which to connect."""


def network_plan(settings: NetworkSettings, environ: Mapping[str, str]) -> NetworkPlan:
    """Return how upstreams are reached, with the secrets of proxies. Blocks. Raises ConfigError."""
    http = https = other = None
    no_proxy = settings.no_proxy
    if settings.proxy is not None:
        http = https = other = _proxy(settings.proxy, "network.proxy", environ)
    else:
        http = _of_variable(environ, "HTTP_PROXY", "ALL_PROXY")
        https = _of_variable(environ, "HTTPS_PROXY", "ALL_PROXY")
        other = _of_variable(environ, "FTP_PROXY", "ALL_PROXY")
        rules = (one.strip() for one in (_variable(environ, "NO_PROXY")[1]).split(","))
        no_proxy += tuple(rule for rule in rules if rule)
    return NetworkPlan(
        http=http,
        https=https,
        other=other,
        no_proxy=no_proxy,
        ca=str(settings.ca) if settings.ca is not None else "",
        certificates=tuple(
            ClientCertificate(
                one.origin,
                str(one.certificate),
                str(one.key) if one.key is not None else "",
                read_secret(one.passphrase, f"network.certificates.{number}.passphrase", environ)
                if one.passphrase is not None
                else "",
            )
            for number, one in enumerate(settings.certificates)
        ),
        prefer=settings.prefer or "",
        source_address=settings.source_address or "",
        is_explicit=settings.proxy is not None,
    )


def plan_via(
    plan: NetworkPlan,
    via: str | None,
    settings: NetworkSettings,
    environ: Mapping[str, str],
    *,
    where: str,
    allow_private: frozenset[str] = frozenset(),
) -> NetworkPlan:
    """Return the plan of one source: `via` is `direct`, a name of `network.proxies`, a proxy's url, or None.

    A url in a manifest is no word of the operator: on a private address it needs to be in `allow_private`.
    """
    if via is None:
        return plan
    if via == DIRECT:
        return plan.with_proxy(None)
    if (named := settings.proxies.get(via)) is not None:
        return plan.with_proxy(_proxy(named, f"network.proxies.{via}", environ))
    if "://" not in via:
        known = ", ".join(sorted(settings.proxies)) or "none"
        raise ConfigError(
            message(
                "{where}: {via!r} is not among network.proxies of syncd.yaml, known are {known}: add it",
                where=where,
                via=via,
                known=known,
            )
        )
    try:
        proxy = parse_proxy(via, secret_allowed=False)
    except InvalidValue as error:
        raise ConfigError(message("{where}: {cause}", where=where, cause=error)) from error
    origin = f"{'http' if proxy.scheme == 'http' else 'https'}://{proxy.address}"
    allowed = normalise_origin(origin) in allow_private
    return plan.with_proxy(Proxy(proxy.scheme, proxy.host, proxy.port, is_trusted=allowed))


def is_internal(endpoint: str | None) -> bool:
    """Return True if the host of a store's endpoint is itself a private address, which no proxy is asked for."""
    host = urlsplit(endpoint or "").hostname or ""
    address = as_address(host)
    return host == "localhost" or (address is not None and not address.is_global)


def _proxy(settings: ProxySettings, where: str, environ: Mapping[str, str]) -> Proxy | None:
    if settings.url == DIRECT:
        return None
    found = parse_proxy(settings.url, secret_allowed=False)
    if settings.username is None or settings.password is None:
        return found
    password = read_secret(settings.password, f"{where}.password", environ)
    return Proxy(found.scheme, found.host, found.port, settings.username, password)


def _of_variable(environ: Mapping[str, str], *names: str) -> Proxy | None:
    for wanted in names:
        name, text = _variable(environ, wanted)
        if not text:
            continue
        try:
            return parse_proxy(text, secret_allowed=True)
        except InvalidValue as error:
            raise ConfigError(message("{name}: {cause}", name=name, cause=error)) from error
    return None


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable, in lower case or upper case as all programs take them, and its value or ""."""
    for one in (name.lower(), name):
        if environ.get(one):
            return one, environ[one]
    return name, ""
