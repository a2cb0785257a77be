"""How upstreams are reached: proxies, authorities, client certificates and addresses, as plain values."""

import ipaddress
import re
import socket
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import msgspec

from manifests.errors import InvalidValue
from manifests.messages import message

PROXY_SCHEMES = ("http", "socks5", "socks5h")
_PORTS = {"http": 3128, "socks5": 1080, "socks5h": 1080}
_TARGET_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 21, "sftp": 22}
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Proxy(msgspec.Struct, frozen=True):
    """A proxy: HTTP (CONNECT, or absolute urls for plain http) or SOCKS5. It may hold a password."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    is_trusted: bool = True
    """True if it may be on a private address: the operator named it."""

    def __repr__(self) -> str:
        return f"Proxy({self.shown})"

    @property
    def address(self) -> str:
        """The host and the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The proxy as messages name it, without its password."""
        return self.address if self.scheme == "http" else f"{self.scheme}://{self.address}"


class ClientCertificate(msgspec.Struct, frozen=True):
    """The certificate that one origin wants to see: paths of PEM files, and the passphrase of the key or ""."""

    origin: str
    certificate: str
    key: str = ""
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"ClientCertificate({self.origin})"


class NetworkPlan(msgspec.Struct, frozen=True):
    """How upstreams are reached. The default is: directly."""

    http: Proxy | None = None
    """The proxy for plain http."""
    https: Proxy | None = None
    """The proxy for https."""
    other: Proxy | None = None
    """The proxy for ftp, ftps and sftp."""
    no_proxy: tuple[str, ...] = ()
    ca: str = ""
    certificates: tuple[ClientCertificate, ...] = ()
    prefer: str = ""
    source_address: str = ""
    is_explicit: bool = False
    """True if the configuration or a manifest names a proxy or `direct`: then the environment does not count."""

    @property
    def is_plain(self) -> bool:
        """Return True if every origin is reached directly, as the system does it."""
        return self == NetworkPlan(no_proxy=self.no_proxy, is_explicit=self.is_explicit)

    @property
    def is_default(self) -> bool:
        """Return True if nothing is configured, and nothing in the environment."""
        return self.is_plain and not self.is_explicit

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the password of each proxy, and the passphrases, to remove them from output."""
        for proxy in (self.http, self.https, self.other):
            if proxy is not None and proxy.password:
                yield proxy.username, proxy.password
        for certificate in self.certificates:
            if certificate.passphrase:
                yield "", certificate.passphrase

    def proxy_for(self, origin: str) -> Proxy | None:
        """Return the proxy of `scheme://host[:port]`, or None if it is reached directly."""
        parts = urlsplit(origin)
        proxy = {"http": self.http, "https": self.https}.get(parts.scheme, self.other)
        if proxy is None:
            return None
        host = (parts.hostname or "").lower()
        port = parts.port or _TARGET_PORTS.get(parts.scheme, 0)
        return None if any(_matches(rule, host, port) for rule in self.no_proxy) else proxy

    def with_proxy(self, proxy: Proxy | None) -> "NetworkPlan":
        """Return the same plan with one proxy for everything, or with none."""
        return msgspec.structs.replace(self, http=proxy, https=proxy, other=proxy, no_proxy=(), is_explicit=True)


def _matches(rule: str, host: str, port: int) -> bool:
    """Return True if a rule of no_proxy names a host: `*`, a name, a suffix, an address or a network, with a port."""
    if rule == "*":
        return True
    name, colon, of_port = rule.rpartition(":")
    if colon and of_port.isdigit() and (name.count(":") == 0 or name.endswith("]")):
        if int(of_port) != port:
            return False
        rule = name
    rule = rule.strip("[]").lower()
    address = as_address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    suffix = rule.removeprefix("*").lstrip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is in itself, in whatever form (`127.1`, `0x7f000001`); None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except (OSError, UnicodeError):
        return None


def parse_proxy(text: str, *, secret_allowed: bool) -> Proxy:
    """Return the proxy of `http://[user:password@]host[:port]` or `socks5://…`. Raises InvalidValue."""
    todo = message("write it as in http://proxy.example.org:3128 or socks5://proxy.example.org:1080")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    login, _, place = rest.rpartition("@")  # a password in a variable may hold any character
    try:
        parts = urlsplit(f"{scheme}://{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidValue(message("is not the url of a proxy"), todo) from error
    if parts.scheme not in PROXY_SCHEMES:
        raise InvalidValue(message("is not the url of an HTTP or SOCKS5 proxy"), todo)
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidValue(message("is not the url of a proxy"), todo)
    username, _, password = login.partition(":")
    if password and not secret_allowed:
        raise InvalidValue(
            message("a secret is not allowed here"), message("write {url: …, username: …, password: {file: /path}}")
        )
    return Proxy(
        parts.scheme,
        host,
        port or _PORTS[parts.scheme],
        unquote(username),
        unquote(password),
    )
