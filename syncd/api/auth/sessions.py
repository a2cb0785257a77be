"""Sessions of the page: a signed cookie that scripts cannot read and other sites cannot send.

Rules:
1. The key exists in memory only: a restart of the daemon ends every session, and no secret is on disk.
2. A session names the token it came from; it ends with that token, or after twelve hours. That of a person who signed
   in has the person's rights, and ends after `api.sign_in.session`.
3. A session that was logged out stays ended, even if its cookie was kept.
"""

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from manifests.messages import plain
from syncd.api.auth.tokens import Tokens, fingerprint
from syncd.config import Role, Token

COOKIE = "syncd_session"
LASTS = 12 * 3_600  # seconds
ENDED = 10_000  # ended sessions that are remembered
_LONGEST = 3_072


class _LoginSession(msgspec.Struct, frozen=True, array_like=True, tag="token"):
    name: str
    mark: str
    until: float


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A person who signed in with a provider."""

    name: str
    role: Role
    mirrors: tuple[str, ...] | None
    """Globs of the mirrors that the role is limited to."""
    subject: str
    """What tells people of one name apart."""


class _PersonSession(msgspec.Struct, frozen=True, array_like=True, tag="person"):
    who: SignedIn
    number: str
    until: float


_decode = msgspec.json.Decoder(_LoginSession | _PersonSession).decode


class Sessions:
    """Creates and verifies sessions."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        """`clock` is the time of day, in seconds since the epoch."""
        self._tokens = tokens
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, token: Token) -> str:
        """Return the cookie's value for the owner of `token`."""
        return self._sealed(_LoginSession(token.name, fingerprint(token), self._clock() + LASTS))

    def begin_person(self, who: SignedIn, lasts: float) -> str:
        """Return the cookie's value for a person who signed in."""
        return self._sealed(_PersonSession(who, secrets.token_hex(8), self._clock() + min(lasts, LASTS)))

    def end(self, cookie: str) -> None:
        """Let a session never be valid again."""
        if self.owner(cookie) is not None:
            self._ended[cookie] = None
            if len(self._ended) > ENDED:
                self._ended.popitem(last=False)

    def _sealed(self, session: _LoginSession | _PersonSession) -> str:
        said = msgspec.json.encode(session, enc_hook=plain)
        return base64.urlsafe_b64encode(self._sign(said) + said).decode()

    def owner(self, cookie: str) -> tuple[Token, float] | None:
        """Return the token of a session and its end, if the session is valid."""
        if len(cookie) > _LONGEST or cookie in self._ended:
            return None
        try:
            raw = base64.b64decode(cookie.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        signature, said = raw[:32], raw[32:]
        if not hmac.compare_digest(signature, self._sign(said)):
            return None
        session = _decode(said)
        if isinstance(session, _PersonSession):
            who = session.who
            person = Token.model_construct(name=who.name, role=who.role, mirrors=who.mirrors, sha256=who.subject)
            return (person, session.until) if self._clock() < session.until else None
        token = self._tokens.current(session.name, session.mark)
        return (token, session.until) if token is not None and self._clock() < session.until else None

    def _sign(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, "sha256")
