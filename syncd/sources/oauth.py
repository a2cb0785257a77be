"""Holds the token of one credential: requested once for all its users, and renewed before it expires.

Rules:
1. All that wait for a token share one request.
2. The password is sent only to the token's url; the token is sent only to the origins of the credential.
3. A token is renewed by its refresh token while that is valid: publishers limit the number of logins.
4. A refusal is remembered for a while: fifty requests with a wrong password would lock the account.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import msgspec

from manifests.messages import message
from syncd.core import Credential, Denied, PermanentError, Unreachable

Ask = Callable[[str, bytes], Awaitable[bytes]]
"""Posts a form to a url and returns the response. Raises PermanentError, TransientError."""

EARLY = 60.0  # seconds before its expiry at which a token is renewed, or a fifth of its lifetime if that is less
REFUSED_FOR = 60.0  # seconds
MAX_TOKEN = 16 << 10  # characters
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _TokenResponse(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    refresh_token: str = ""
    refresh_expires_in: float | None = None
    token_type: str = "Bearer"  # noqa: S105  a kind, no secret


class TokenBroker:
    """The shared token of an oauth credential."""

    def __init__(
        self,
        credential: Credential,
        ask: Ask,
        learn: Callable[[str], None] = lambda secret: None,  # noqa: ARG005  told to nobody
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`learn` receives every token, to remove it from output."""
        self.credential = credential
        self._ask = ask
        self._learn = learn
        self._clock = clock
        self._turn = asyncio.Lock()
        self._token = self._refresh = ""
        self._renew_at = self._refresh_until = float("inf")
        self._refused: tuple[float, str] | None = None

    async def token(self, spent: str = "") -> str:
        """Return a valid token other than `spent`. Raises Denied, Unreachable."""
        if self._is_good(spent):
            return self._token
        async with self._turn:
            if not self._is_good(spent):  # no other task renewed it meanwhile
                await self._fetch()
            return self._token

    def _is_good(self, spent: str) -> bool:
        return bool(self._token) and self._token != spent and self._clock() < self._renew_at

    async def _fetch(self) -> None:
        if self._refused is not None and self._clock() - self._refused[0] < REFUSED_FOR:
            raise Denied(self._refused[1])
        self._refused = None
        credential = self.credential
        if self._refresh and self._clock() < self._refresh_until:
            refresh, self._refresh = self._refresh, ""
            try:
                await self._accept({"grant_type": "refresh_token", "refresh_token": refresh})
            except PermanentError:
                pass  # it expired early, or all sessions were closed: log in
            else:
                return
        grant = {"grant_type": "client_credentials"}
        if credential.username:
            grant = {"grant_type": "password", "username": credential.username, "password": credential.secret}
        try:
            await self._accept(grant)
        except PermanentError as error:
            told = message(
                "credentials.{name}: no token for it: {cause}: check name, password and client_id",
                name=credential.name,
                cause=error,
            )
            self._refused = (self._clock(), told)
            raise Denied(told) from error

    async def _accept(self, grant: dict[str, str]) -> None:
        credential = self.credential
        who = {"client_id": credential.client}
        if credential.token:
            who["client_secret"] = credential.token
        asked = self._clock()
        body = await self._ask(credential.at, urlencode({**who, **grant}).encode())
        try:
            answer = msgspec.json.decode(body, type=_TokenResponse)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # `from None`: the original may quote the response
            raise Unreachable(
                message("credentials.{name}: {at} returned no token", name=credential.name, at=credential.at)
            ) from None
        for secret in (answer.access_token, answer.refresh_token):
            self._learn(secret)
        if _TOKEN.fullmatch(answer.access_token) is None or len(answer.access_token) > MAX_TOKEN:
            raise Unreachable(
                message(
                    "credentials.{name}: the token of {at} is not valid in a header",
                    name=credential.name,
                    at=credential.at,
                )
            )
        self._token = answer.access_token
        self._renew_at = _until(asked, answer.expires_in)
        if answer.refresh_token:
            self._refresh = answer.refresh_token
            self._refresh_until = _until(asked, answer.refresh_expires_in)


def _until(asked: float, seconds: float | None) -> float:
    """Return when to renew a token; one without a lifetime is renewed after a refusal."""
    return float("inf") if seconds is None or seconds <= 0 else asked + seconds - min(EARLY, seconds / 5)
