"""How an origin is reached: directly or through a proxy, and with which authorities (`syncd.core.NetworkPlan`).

Rules:
1. A proxy is the operator's own, and may be on a private address. It resolves the names of upstreams, so a name may
   lead to a private address that only the proxy knows. A private address that stands in a url is refused here.
2. Certificates are verified against the usual authorities and those of `network.ca`.
"""

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

from manifests.messages import message
from syncd.core import ConfigError, NetworkPlan, Proxy, Unsafe, as_address
from transports.net.ip_policy import is_public, refusal

MAX_ROUTES = 1024  # origins
_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_usual: list[ssl.SSLContext] = []  # the context of `usual_ssl_context`


class Network:
    """The routes to origins."""

    def __init__(self, plan: NetworkPlan) -> None:
        self.plan = plan
        self.source_address = plan.source_address
        self.family = _FAMILIES.get(plan.prefer)
        """The preferred family of addresses, or None."""
        self._proxies: dict[str, Proxy | None] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._certificates = {one.origin: one for one in plan.certificates}
        self._has_own = bool(plan.ca or plan.certificates)

    def proxy_for(self, origin: str) -> Proxy | None:
        """Return the proxy of an origin, or None."""
        try:
            return self._proxies[origin]
        except KeyError:
            if len(self._proxies) >= MAX_ROUTES:
                self._proxies.clear()
            found = self._proxies[origin] = self.plan.proxy_for(origin)
            return found

    def check(self, origin: str, label: str, *, allowed: bool) -> None:
        """Raise Unsafe if the host of an origin behind a proxy is itself a private address; `allowed` permits it."""
        host = (urlsplit(origin).hostname or "").lower()
        address = as_address(host)
        shown = str(address) if address is not None else host
        is_local = host == "localhost" or host.endswith(".localhost")
        if not allowed and (is_local or (address is not None and not is_public(shown))):
            raise Unsafe(message("{label}: {refusal}", label=label, refusal=refusal(origin, shown)))

    async def ssl_context(self, origin: str) -> ssl.SSLContext | None:
        """Return the context of TLS with an origin; None if it is the usual one. Raises ConfigError."""
        if not self._has_own:
            return None
        certificate = self._certificates.get(origin)
        key = origin if certificate is not None else ""
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = await asyncio.to_thread(self._make_context, key)
        return context

    async def any_ssl_context(self, origin: str) -> ssl.SSLContext:
        """Return the context of TLS with an origin, the usual one or ours."""
        found = await self.ssl_context(origin)
        return found if found is not None else await usual_ssl_context()

    def _make_context(self, origin: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        plan = self.plan
        if plan.ca:
            try:
                context.load_verify_locations(plan.ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    message("network.ca: {path}: no readable certificates (PEM): {cause}", path=plan.ca, cause=error)
                ) from error
        if (own := self._certificates.get(origin)) is not None:
            try:
                context.load_cert_chain(own.certificate, own.key or None, password=own.passphrase or "")
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    message(
                        "network.certificates: {path}: no certificate with its private key (PEM): {cause}",
                        path=own.certificate,
                        cause=error,
                    )
                ) from error
        return context


async def usual_ssl_context() -> ssl.SSLContext:
    """Return the context with the authorities of the system, which are read once."""
    return _usual[0] if _usual else await asyncio.to_thread(_read_authorities)


def _read_authorities() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    _usual.append(context)
    return context


def open_network(plan: NetworkPlan | None) -> Network | None:
    """Return the network of a plan; None if everything is reached directly."""
    return None if plan is None or plan.is_plain else Network(plan)
