"""Verifies tokens by their hashes in constant time; invalid ones are delayed, counted and limited.

Rules:
1. A token is never stored, logged or shown; only its hash is compared, and every known hash is compared each time.
2. The answer to an invalid token is delayed. After too many from one address, its tokens are rejected without a
   comparison for a while. The number of such addresses is bounded; the oldest is dropped first.
3. An expired or revoked token is refused as such, and the log has its name.
4. scrypt is slow by design: it runs in a thread, one at a time, and a valid token is recognised for a while by a keyed
   hash that exists in memory only.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from manifests.messages import message
from syncd.api.errors import HttpError
from syncd.config import Token

PREFIX = "syncd_"  # so that scanners for leaked secrets recognise one
ALLOWANCE = 10  # invalid tokens of one address before it is rejected
REGAIN = 30.0  # seconds for one more
ADDRESSES = 1_024  # addresses
WAITING = 16  # delayed answers at the same time
SLOWNESS = 1.0  # seconds of delay after an invalid token
TELL_EVERY = 60.0  # seconds between two lines of the log about one ended token
SHORTEST, LONGEST = 12, 256  # characters of a token that a person chooses, and of any
KNOWN = 256  # cached tokens that scrypt has verified

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1


def make_token() -> tuple[str, str]:
    """Return a new token of 256 random bits, and its sha256."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def scrypt(token: str, salt: bytes | None = None) -> str:
    """Return salt and hash of a token that a person chose; takes some 50 ms and 16 MiB."""
    salt = salt if salt is not None else secrets.token_bytes(16)
    found = hashlib.scrypt(token.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, dklen=32)
    return f"{salt.hex()}.{found.hex()}"


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


def _always() -> bool:
    return True


class Tokens:
    """The configured tokens, and the addresses that sent invalid ones."""

    def __init__(
        self,
        tokens: Iterable[Token],
        *,
        clock: Callable[[], float],
        slowness: float = SLOWNESS,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is monotonic, in seconds; `now` the time of day; `slowness` is the delay after an invalid token."""
        self.refused = 0
        """The number of invalid tokens since the start."""
        self._clock = clock
        self._now = now
        self._told: dict[str, float] = {}
        self._slowness = slowness
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._waiting = 0
        self._one_scrypt = asyncio.Lock()
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._tokens: tuple[Token, ...] = ()
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """Use the tokens of a changed configuration."""
        self._tokens = tuple(tokens)
        self._known.clear()

    @property
    def any_operator(self) -> bool:
        """Return True if a token has the role operator."""
        return any(token.role == "operator" for token in self._tokens)

    def current(self, name: str, mark: str) -> Token | None:
        """Return the token of that name if it is the one whose `mark` was given at login."""
        found = self.named(name)
        return found if found is not None and hmac.compare_digest(fingerprint(found), mark) else None

    def named(self, name: str) -> Token | None:
        """Return the token of that name, if it is neither expired nor revoked."""
        found = next((token for token in self._tokens if token.name == name), None)
        return found if found is not None and found.state(self._at()) == "good" else None

    def lasting(self, name: str) -> Callable[[], bool]:
        """Return what tells whether the token of that name is still the one of now, and good; no token lasts."""
        token = self.named(name)
        if token is None:
            return _always
        mark = fingerprint(token)
        return lambda: self.current(name, mark) is not None

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    async def authenticate(self, given: str, address: str) -> Token:
        """Return the entry of a token. Raises HttpError: 401 after a delay, or 429."""
        place = _client_network(address)
        allowance = self._allowance(place)
        if allowance.left < 1:
            raise self._too_many()
        allowance.left -= 1  # before the comparison, which may wait, so that concurrent attempts count
        if len(given) <= LONGEST and (found := await self._find(given)) is not None:
            if found.state(self._at()) != "good":
                raise self._ended(found)
            allowance.left += 1
            return found
        self.refused += 1
        if self._waiting >= WAITING:
            raise self._too_many()
        self._waiting += 1
        try:
            await asyncio.sleep(self._slowness)
        finally:
            self._waiting -= 1
        raise HttpError(
            401,
            "Denied",
            message("the token is unknown"),
            message("send the token that `syncd token` printed, as in Authorization: Bearer syncd_…"),
            WWW_Authenticate='Bearer realm="syncd"',
        )

    def _ended(self, token: Token) -> HttpError:
        """Return the refusal of an expired or revoked token, and log it, at most once a minute for each name."""
        self.refused += 1
        reason = (
            message("the token of {name} was revoked", name=token.name)
            if token.revoked is not None
            else message("the token of {name} expired after {day}", name=token.name, day=str(token.until))
        )
        if self._clock() - self._told.get(token.name, float("-inf")) >= TELL_EVERY:
            self._told[token.name] = self._clock()
            logging.getLogger("syncd.tokens").warning("refused: %s", reason)
        return HttpError(
            401,
            "Denied",
            reason,
            message("ask the operator of this node for a new one"),
            WWW_Authenticate='Bearer realm="syncd", error="invalid_token"',
        )

    def _too_many(self) -> HttpError:
        return HttpError(
            429,
            "Denied",
            message("too many invalid tokens were sent from this address"),
            message("wait, then send a valid token"),
            retry_after=int(REGAIN),
        )  # fmt: skip

    def _allowance(self, place: str) -> _Allowance:
        now = self._clock()
        found = self._allowances.pop(place, None) or _Allowance(ALLOWANCE, now)
        found.left = min(ALLOWANCE, found.left + (now - found.at) / REGAIN)
        found.at = now
        self._allowances[place] = found
        if len(self._allowances) > ADDRESSES:
            self._allowances.popitem(last=False)
        return found

    async def _find(self, given: str) -> Token | None:
        plain = hashlib.sha256(given.encode(errors="replace")).hexdigest()
        found = None
        for token in self._tokens:
            if token.sha256 is not None and hmac.compare_digest(token.sha256, plain):
                found = token
        chosen = [token for token in self._tokens if token.scrypt is not None]
        if found is not None or not chosen:
            return found
        seen = hmac.digest(self._key, given.encode(errors="replace"), "sha256")
        if (name := self._known.get(seen)) is not None:
            return next((token for token in chosen if token.name == name), None)
        async with self._one_scrypt:
            for token in chosen:
                assert token.scrypt is not None
                salt = bytes.fromhex(token.scrypt.partition(".")[0])
                if hmac.compare_digest(await asyncio.to_thread(scrypt, given, salt), token.scrypt):
                    found = token
        if found is not None:
            self._known[seen] = found.name
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return found


def fingerprint(token: Token) -> str:
    """Return a value that differs from that of a later token of the same name, and does not reveal its hash."""
    return hashlib.sha256(f"{token.name}\n{token.role}\n{token.sha256}\n{token.scrypt}".encode()).hexdigest()[:32]


def _client_network(address: str) -> str:
    """Return the address, or the /64 network of one of version 6, because one host has all of it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
