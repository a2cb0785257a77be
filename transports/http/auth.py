"""Authentication of HTTP requests: what a credential adds to them, for each origin only what belongs to it.

Rules:
1. A secret is sent to the credential's own origins only (`origin`, `also`). The password of a login is sent to the
   origin of the login (`at`) only. A token of a broker is sent to the credential's origins only.
2. Cookies are kept only for a credential that logs in through redirects. Each is sent back to the origin that set it,
   whatever its Domain attribute.
3. Only one request logs in at a time. The others wait, and continue with the cookies of that login.
4. After a refused login none is tried for a while: servers lock accounts after several.
"""

import asyncio
import base64
import re
import time
from collections.abc import Callable

from manifests.messages import message
from manifests.origins import origin_of
from syncd.core import Broker, ConfigError, Credential, CredentialRefused, Denied

REFUSED_FOR = 60.0  # seconds for which a refused login is not tried again
MAX_COOKIES = 50  # of one origin
MAX_COOKIE = 4096  # characters
_COOKIE = re.compile(r"(?:^|, )(?=[^;,=\s]+=)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")
_GONE = re.compile(r";\s*(?:max-age\s*=\s*(?:0|-\d+)\s*(?:;|$)|expires\s*=[^;]*\b(?:1970|0001)\b)", re.IGNORECASE)


class HttpAuth:
    """The headers that one credential adds to requests."""

    def __init__(
        self, credential: Credential | None, broker: Broker | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`broker` provides the tokens of a credential whose scheme is oauth."""
        self.credential = credential
        self._clock = clock
        self._broker = broker
        self.origins: frozenset[str] = frozenset()
        self._at = ""
        self._cookies: dict[str, dict[str, str]] = {}
        self._turn = asyncio.Lock()
        self._refusal: tuple[float, str] | None = None
        self.logins = 0
        if credential is not None:
            self.origins = frozenset(_one_form(origin) for origin in (credential.origin, *credential.also))
            self._at = _one_form(credential.at) if credential.scheme == "login" else ""
        self.moves = credential is not None and credential.scheme in ("oauth", "login")
        """True if the added headers can differ from request to request."""

    def static_header(self, origin: str) -> str:
        """Return the header of every request to an origin."""
        credential = self.credential
        if credential is None:
            return ""
        if credential.scheme == "login":
            return _basic(credential) if origin == self._at else ""
        if origin not in self.origins or credential.scheme == "oauth":
            return ""
        if credential.scheme == "basic":
            return _basic(credential)
        if credential.scheme == "bearer":
            return f"Authorization: Bearer {credential.secret}\r\n"
        if credential.scheme == "header":
            return f"{credential.header}: {credential.secret}\r\n"
        raise ConfigError(
            message(
                "{name}: a credential for {scheme} cannot be used over http",
                name=credential.name,
                scheme=credential.scheme,
            )
        )

    def dynamic_header(self, origin: str) -> str:
        """Return the header of the next request to an origin. Raises TokenOutdated."""
        if self._broker is not None and origin in self.origins:
            return f"Authorization: Bearer {self._broker.token()}\r\n"
        kept = self._cookies.get(origin)
        if not kept:
            return ""
        return f"Cookie: {'; '.join(f'{name}={value}' for name, value in kept.items())}\r\n"

    # -- logins through redirects ---------------------------------------------------------------------------------

    def store_cookies(self, origin: str, written: str | None) -> bool:
        """Store the cookies that an answer sets, if the credential logs in there. Return True if any changed."""
        if not self._at or not written or (origin not in self.origins and origin != self._at):
            return False
        kept = self._cookies.setdefault(origin, {})
        before = dict(kept)
        for one in _COOKIE.split(written):
            name, equals, value = (part.strip() for part in one.partition(";")[0].partition("="))
            if not equals or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
                continue
            if _GONE.search(one) is not None:
                kept.pop(name, None)
            elif len(name) + len(value) <= MAX_COOKIE and (name in kept or len(kept) < MAX_COOKIES):
                kept[name] = value
        return kept != before

    def is_login(self, origin: str, target: str) -> bool:
        """Return True if a redirect leads to the origin of the login."""
        return bool(self._at) and target == self._at and origin != self._at

    async def begin_login(self, known: int) -> bool:
        """Wait for the turn to log in. Return False if a login succeeded since `known`: then ask again.

        After True, the caller must call `end_login`. Raises Denied for REFUSED_FOR seconds after a refused login.
        """
        await self._turn.acquire()
        if self.logins != known:
            self._turn.release()
            return False
        if self._refusal is not None and self._clock() - self._refusal[0] < REFUSED_FOR:
            self._turn.release()
            raise CredentialRefused(self._refusal[1])
        self._refusal = None
        return True

    def end_login(self, refusal: str = "", *, is_in: bool = False) -> None:
        """End the turn. `is_in` is True after a success; `refusal` is the message for the requests that wait."""
        if is_in:
            self.logins += 1
        elif refusal:
            self._refusal = (self._clock(), refusal)
        self._turn.release()

    def denied(self, label: str, status: int, origin: str, *, is_signed: bool = False) -> Denied:
        """Return the error for the statuses 401, 403 and 407; `is_signed` is True for a link with a signature."""
        credential = self.credential
        if is_signed and (credential is None or origin not in self.origins) and status != 407:
            return Denied(
                message(
                    "{label}: {origin} answers {status} to a signed link: it has ended, or was never valid",
                    label=label,
                    origin=origin,
                    status=status,
                )
            )
        if credential is None:
            return Denied(
                message(
                    "{label}: {origin} answers {status} and no credential is set: name one under credentials",
                    label=label,
                    origin=origin,
                    status=status,
                )
            )
        if self._at:
            todo = message("check its password, and that the account has access to this dataset")
            told = message(
                "{label}: {origin} answers {status} to the login with credential {name}: {todo}",
                label=label,
                origin=origin,
                status=status,
                name=credential.name,
                todo=todo,
            )
            return CredentialRefused(told) if status == 401 and origin == self._at else Denied(told)
        if origin not in self.origins:
            return Denied(
                message(
                    "{label}: {origin} answers {status}; credential {name} is for {bound}",
                    label=label,
                    origin=origin,
                    status=status,
                    name=credential.name,
                    bound=credential.origin,
                )
            )
        told = message(
            "{label}: {origin} answers {status} to credential {name}: is it still valid?",
            label=label,
            origin=origin,
            status=status,
            name=credential.name,
        )
        return CredentialRefused(told, is_sure=False) if status == 401 else Denied(told)


def _basic(credential: Credential) -> str:
    pair = base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()
    return f"Authorization: Basic {pair}\r\n"


def _one_form(origin: str) -> str:
    """Return an origin of the configuration in its canonical form; an invalid one is returned as it is."""
    try:
        return origin_of(origin)
    except ValueError:
        return origin
