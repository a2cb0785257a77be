"""Holds the token of one credential: requested once for all its users, and renewed before it expires.

Rules:
1. All that wait for a token share one request. They hold no slot meanwhile, and the request has a slot of its own
   (`syncd.wrappers.Governors.side`): the token's server may be the data's own.
2. The password is sent only to the token's url; the token is sent only to the origins of the credential.
3. A token is renewed by its refresh token while that is valid: publishers limit the number of logins.
4. A refusal is remembered for a while: fifty requests with a wrong password would lock the account. So is a failure of
   the server, for AWAY_FOR seconds: it has been retried already.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import msgspec

from manifests.messages import message
from syncd.core import (
    Credential,
    CredentialExpired,
    PermanentError,
    Refused,
    TokenOutdated,
    TransientError,
    Unreachable,
)
from syncd.sources.credential_keeper import CredentialKeeper, Reread

Ask = Callable[[str, bytes], Awaitable[bytes]]
"""Posts a form to a url and returns the response. Raises PermanentError, TransientError."""

EARLY = 60.0  # seconds before its expiry at which a token is renewed, or a fifth of its lifetime if that is less
SHORTEST = 1.0  # seconds for which any token is used
RENEW_EVERY = 1.0  # seconds between two renewals of tokens that were rejected
REFUSED_FOR = 60.0  # seconds
AWAY_FOR = 10.0  # seconds
MAX_TOKEN = 16 << 10  # characters
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _TokenResponse(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    refresh_token: str = ""
    refresh_expires_in: float | None = None
    token_type: str = "Bearer"  # noqa: S105  a kind, no secret


class TokenBroker(CredentialKeeper):
    """The shared token of an oauth credential; satisfies `syncd.core.Broker`."""

    def __init__(
        self,
        credential: Credential,
        ask: Ask,
        learn: Callable[[str], None] = lambda secret: None,  # noqa: ARG005  told to nobody
        clock: Callable[[], float] = time.monotonic,
        *,
        reread: Reread | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`learn` receives every token, to remove it from output."""
        super().__init__(credential, reread, clock=clock, sleep=sleep)
        self._ask = ask
        self._learn = learn
        self._token = self._refresh = ""
        self._renew_at = self._refresh_until = float("inf")
        self._renewed = float("-inf")
        self._accepted = -1
        self._failed: tuple[float, Unreachable | Refused] | None = None
        self._denied: tuple[float, str] | None = None

    def token(self) -> str:
        """Return the token without waiting. Raises TokenOutdated."""
        if not self._token or self._clock() >= self._renew_at:
            raise TokenOutdated(message("credentials.{name}: waits for a token", name=self.credential.name))
        return self._token

    def begin_pass(self, credential: Credential) -> None:
        """Take the secret that was read for a new pass; a token that is valid stays in use."""
        self._expired = ""
        if credential != self.credential:
            self.credential, self._denied = credential, None
            self._drop_token()
            self._refresh = ""

    async def ready(self) -> None:
        """Wait until there is a valid token. Raises CredentialExpired, Unreachable, Refused."""
        async with self._turn:
            await self._ensure()

    def accepted(self, generation: int) -> None:
        """Record that a server accepted the token of `generation`."""
        self._accepted = max(self._accepted, generation)

    async def renew(self, seen: int) -> bool:
        """Request another token than that of `seen`; return False if that one was never accepted."""
        async with self._turn:
            if self.generation != seen:
                return True
            if self._accepted != seen:
                return False
            if (wait := self._renewed + RENEW_EVERY - self._clock()) > 0:
                await self._sleep(wait)
            self._drop_token()
            await self._ensure()
            return True

    async def give_up(self, seen: int, reason: str) -> bool:
        """Give up the credential unless there is another token than that of `seen`; return True if there is."""
        async with self._turn:
            if self.generation == seen:
                self._give_up(reason)
            return self.generation != seen

    def _drop_token(self) -> None:
        self._token = ""
        self.generation += 1

    async def _ensure(self) -> None:
        """Request a token unless there is a valid one. The caller has the turn."""
        self.check()
        if self._token and self._clock() < self._renew_at:
            return
        if self._failed is not None and (wait := self._failed[0] + AWAY_FOR - self._clock()) > 0:
            raise type(self._failed[1])(str(self._failed[1]), retry_after=wait)
        self._failed = None
        if self._denied is not None and self._clock() - self._denied[0] < REFUSED_FOR and not await self._read_again():
            raise CredentialExpired(self._denied[1], origins=self.origins)
        self._denied = None
        try:
            if not await self._refreshed():
                await self._log_in()
        except (Unreachable, Refused) as error:
            self._failed = (self._clock(), error)
            raise

    async def _refreshed(self) -> bool:
        """Return True if the refresh token gave another token."""
        if not self._refresh or self._clock() >= self._refresh_until:
            return False
        refresh, self._refresh = self._refresh, ""
        try:
            await self._accept({"grant_type": "refresh_token", "refresh_token": refresh})
        except PermanentError:
            return False  # it expired early, or all sessions were closed: log in
        except TransientError:
            self._refresh = refresh
            raise
        return True

    async def _log_in(self) -> None:
        while True:
            credential = self.credential
            grant = {"grant_type": "client_credentials"}
            if credential.username:
                grant = {"grant_type": "password", "username": credential.username, "password": credential.secret}
            try:
                await self._accept(grant)
            except PermanentError as error:
                if await self._read_again():
                    continue  # with the password that was written meanwhile
                told = message(
                    "credentials.{name}: no token for it: {cause}: check name, password and client_id",
                    name=credential.name,
                    cause=error,
                )
                self._denied = (self._clock(), told)
                raise CredentialExpired(told, origins=self.origins) from error
            return

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
        self.generation += 1
        self._renewed = asked
        self._renew_at = _until(asked, answer.expires_in)
        if answer.refresh_token:
            self._refresh = answer.refresh_token
            self._refresh_until = _until(asked, answer.refresh_expires_in)


def _until(asked: float, seconds: float | None) -> float:
    """Return when to renew a token; one without a lifetime is renewed after a refusal."""
    if seconds is None or seconds <= 0:
        return float("inf")
    return asked + max(SHORTEST, seconds - min(EARLY, seconds / 5))
