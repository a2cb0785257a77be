"""Authenticates and authorises requests, checks the Host header, and sets security headers.

Rules:
1. Requests with an unknown Host header are rejected (DNS rebinding): only addresses, localhost, the name in `listen`
   and `api.hosts` are answered. An address cannot be rebound.
2. A token is sent in a header, which no other site can make a browser send. A session is sent in a cookie, so its
   changes must also come from the daemon's own page, according to the Origin header.
3. X-Forwarded-* headers are trusted only from the proxies in the configuration.
4. Who may not see every mirror is given a Control that has no others (`syncd.api.limited_control`).
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from manifests.access import Caller
from manifests.messages import message
from syncd.api.auth.oidc import SignIn
from syncd.api.auth.sessions import COOKIE, Sessions
from syncd.api.auth.tokens import Tokens, fingerprint
from syncd.api.errors import HttpError
from syncd.config import ApiSettings, Role, Token
from syncd.control import Actor, Door

SAFE = frozenset({"GET", "HEAD"})
_FORWARDED = (
    hdrs.FORWARDED,
    hdrs.X_FORWARDED_FOR,
    hdrs.X_FORWARDED_HOST,
    hdrs.X_FORWARDED_PROTO,
    "X-Real-IP",
    hdrs.VIA,
)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers do not send the Origin of a form either
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """The sender of a request: the token's name and role, both "" if unknown; `until` is the end of a session."""

    name: str = ""
    role: Role | None = None
    until: float | None = None
    mirrors: tuple[str, ...] | None = None
    """Globs of the mirrors that the token is limited to."""
    door: Door = "api"
    token: str = ""
    """What tells tokens of one name apart."""
    uid: int | None = None
    """The number of the user of this machine, at a socket."""

    @property
    def actor(self) -> Actor:
        """Return the sender, for the audit log."""
        return Actor(self.name, self.door, uid=self.uid, token=self.token)


class AccessControl:
    """Decides which requests are allowed."""

    nobody = Identity()

    def __init__(
        self,
        settings: ApiSettings,
        listen: str,
        tokens: Tokens,
        sessions: Sessions,
        sign_in: SignIn | None = None,
    ) -> None:
        """`listen` is the configured address, host:port; without `sign_in`, only tokens are taken."""
        host = _host_of(listen)
        self.tokens = tokens
        self.sessions = sessions
        self.sign_in = sign_in
        self.open = settings.read in {"open", "all"} or (settings.read is None and _is_loopback(host))
        """True if reading needs no token."""
        self._is_local = _is_loopback(host)
        self._shows_all = settings.read == "all"
        self._hosts = {"localhost", host, *settings.hosts}
        self._proxies = tuple(ipaddress.ip_network(one) for one in settings.proxies)

    def check_host(self, request: web.Request) -> None:
        """Reject a request for an unknown host name."""
        host = _host_of(request.headers.get(hdrs.HOST, ""))
        if host not in self._hosts and not _is_address(host):
            raise HttpError(
                421, "Denied", message("{host!r} is not a host name of this daemon", host=host[:80]),
                message("use localhost or an address, or add the name to api.hosts in syncd.yaml"),
            )  # fmt: skip

    async def identify(self, request: web.Request) -> Identity:
        """Return the sender of a request. Raises HttpError for an invalid token."""
        if (given := request.headers.get(hdrs.AUTHORIZATION)) is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer":
                raise HttpError(
                    401,
                    "Denied",
                    message("the Authorization header is not Bearer"),
                    message("send Authorization: Bearer syncd_…"),
                    WWW_Authenticate='Bearer realm="syncd"',
                )  # fmt: skip
            found = await self.tokens.authenticate(token.strip(), self.address(request))
            return _identity(found, None, "api")
        cookie = request.cookies.get(COOKIE)
        session = self.sessions.owner(cookie) if cookie is not None else None
        if session is None:
            return Identity()
        if request.method not in SAFE:
            self.check_origin(request)
        return _identity(*session, "page")

    def check_origin(self, request: web.Request) -> None:
        """Reject a change that another site's page may have made the browser send."""
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        ours = origin is not None and urlsplit(origin).netloc.lower() == request.headers.get(hdrs.HOST, "").lower()
        if not ours or site not in {None, "same-origin"}:
            raise HttpError(
                403, "Denied", message("the request does not come from this daemon's own page"),
                message("use the page itself, or a token in the Authorization header"),
            )  # fmt: skip

    def caller(self, request: web.Request, identity: Identity) -> Caller | None:
        """Return as whom a request reads; None: it may see every mirror.

        Without a token, only a request from this machine may: one that came through a proxy names another host, or
        says so in a header.
        """
        if identity.role in {"reader", "operator"} and identity.mirrors is None:
            return None
        is_direct = not any(name in request.headers for name in _FORWARDED)
        if identity.role is None and is_direct and (self._shows_all or self._is_from_here(request)):
            return None
        return Caller(identity.name, identity.role or "", identity.mirrors)

    def _is_from_here(self, request: web.Request) -> bool:
        return self._is_local and _is_loopback(_host_of(request.headers.get(hdrs.HOST, "")))

    def admit(self, identity: Identity, needs: Role | None) -> None:
        """Reject a request without the needed role."""
        if needs is None or identity.role == "operator" or (needs == "reader" and (self.open or identity.role)):
            return
        if needs == "steward" and identity.role == "steward":  # of which mirrors, `LimitedControl` decides
            return
        if identity.role is not None:
            raise HttpError(
                403,
                "Denied",
                message(
                    "{name} has the role {role}, and this needs the role {needs}",
                    name=identity.name,
                    role=identity.role,
                    needs=needs,
                ),
                message("ask an operator"),
            )
        todo = message("send Authorization: Bearer syncd_…; `syncd token NAME` creates a token")
        if needs in {"steward", "operator"} and not self.tokens.any_operator:
            todo = message(
                "create one: `syncd token NAME --role operator`, and add the line that it prints to syncd.yaml"
            )
        raise HttpError(
            401,
            "Denied",
            message("this needs a token with the role {needs}", needs=needs),
            todo,
            WWW_Authenticate='Bearer realm="syncd"',
        )

    def address(self, request: web.Request) -> str:
        """Return the client's address."""
        found = request.remote or ""
        chain = [one.strip() for one in ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")]
        while chain and self._is_proxy(found) and chain[-1]:
            found = chain.pop()
        return found

    def is_secure(self, request: web.Request) -> bool:
        """Return True if the browser's own connection uses TLS."""
        if self._is_proxy(request.remote or ""):
            return request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        return request.secure

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


def _identity(token: Token, until: float | None, door: Door) -> Identity:
    ends = token.ends.timestamp() if token.ends is not None else None
    until = min(filter(None, (until, ends)), default=None)
    return Identity(token.name, token.role, until, token.mirrors, door, fingerprint(token))


def _host_of(authority: str) -> str:
    """Return the host of host:port, without brackets, in lower case."""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        is_whole = (bracket and not rest) or (rest.startswith(":") and _is_port(rest[1:]))
        return host.lower() if is_whole and ":" in host else authority.lower()
    host, colon, port = authority.rpartition(":")
    return (host if colon and _is_port(port) else authority).lower().removesuffix(".")


def _is_port(text: str) -> bool:
    """Return True for the number of a port that can exist."""
    return len(text) <= 5 and text.isascii() and text.isdecimal() and int(text) <= 65_535


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
