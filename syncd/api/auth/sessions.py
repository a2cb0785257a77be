"""Sessions of the page: a signed cookie that scripts cannot read and other sites cannot send.

Rules:
1. The key exists in memory only: a restart of the daemon ends every session, and no secret is on disk.
2. A session names the token it came from; it ends with that token, or after twelve hours.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable

import msgspec

from manifests.messages import plain
from syncd.api.auth.tokens import Tokens, fingerprint
from syncd.config import Token

COOKIE = "syncd_session"
LASTS = 12 * 3_600  # seconds
_LONGEST = 1_024


class _LoginSession(msgspec.Struct, frozen=True, array_like=True):
    name: str
    mark: str
    until: float


class Sessions:
    """Creates and verifies sessions."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        """`clock` is the time of day, in seconds since the epoch."""
        self._tokens = tokens
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def begin(self, token: Token) -> str:
        """Return the cookie's value for the owner of `token`."""
        said = msgspec.json.encode(_LoginSession(token.name, fingerprint(token), self._clock() + LASTS), enc_hook=plain)
        return base64.urlsafe_b64encode(self._sign(said) + said).decode()

    def owner(self, cookie: str) -> tuple[Token, float] | None:
        """Return the token of a session and its end, if the session is valid."""
        if len(cookie) > _LONGEST:
            return None
        try:
            raw = base64.b64decode(cookie.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        signature, said = raw[:32], raw[32:]
        if not hmac.compare_digest(signature, self._sign(said)):
            return None
        session = msgspec.json.decode(said, type=_LoginSession)
        token = self._tokens.current(session.name, session.mark)
        return (token, session.until) if token is not None and self._clock() < session.until else None

    def _sign(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, "sha256")
