"""Removes secrets from messages and records: secrets that their position in a text reveals, and known secrets.

Rules:
1. The message of every failure goes through `redact`, so no log, Catalogue or store holds secrets.
2. Secrets that syncd has read (`Secrets`) are removed from all output, wherever they stand.
"""

import re
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from manifests.messages import Message

HIDDEN = "***"
PASSING = 256  # short-lived secrets that are remembered: the newest
SHORTEST = 4  # characters: removing a shorter secret would remove ordinary words

_PLACES = ("_FILE", "_DIR", "_DIRECTORY", "_PATH", "_URI", "_URL")  # variables that say where a secret is
_TELLING = re.compile(r"(?i)authoriz|cookie|passw|secret|token|signature|credential|api[-_]?key|access[-_]?key")
_PARAMETERS = (
    r"x-[a-z]+-(?:signature|credential|security-token)|signature|sig|policy|key-pair-id|[a-z_-]*accesskeyid|"
    r"[a-z_-]*token|[a-z_-]*key|[a-z_-]*secret|auth|hdnea|hdnts|jwt|session(?:id)?|passw(?:or)?d|pwd|"
    r"sign|hmac|verify|ticket"
)
_SIGNED = re.compile(
    rf"(?i)[?&;](?:{_PARAMETERS}|x-[a-z]+-(?:expires|date)|expire[sd]?|expiry|exp|se|e|until|deadline|valid-?to|hash|md5)="
)
_STANDING: tuple[tuple[re.Pattern[str], str], ...] = (
    # user and password in a url; even a password with a slash, after which the rest is no url any more
    (re.compile(r"(?<=://)(?:[^/\s@]+|[^/\s@:]+:(?!\d{1,5}[/?#])[^\s@]+)@"), f"{HIDDEN}@"),
    # signed urls, and keys given as parameters
    (re.compile(rf"(?i)([?&;](?:{_PARAMETERS})=)[^&;\s\"']+"), rf"\1{HIDDEN}"),
    # headers; a word of small letters alone is ordinary speech ("basic authentication")
    (
        re.compile(r"\b((?i:basic|bearer|negotiate))\s+(?=\S*[^a-z\s])[A-Za-z0-9+/=._~-]{8,}"),
        rf"\1 {HIDDEN}",
    ),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)\b(['\"]?\s*[:=]\s*['\"]?)[^'\"\s][^'\"\n]*"),
        rf"\1\2{HIDDEN}",
    ),
)


def is_secret_name(name: str) -> bool:
    """Return True if the value of this name (a header, a variable, a field) is a secret."""
    return _TELLING.search(name) is not None


def redact(text: str) -> str:
    """Return `text` without the secrets that their position reveals."""
    if isinstance(text, Message):
        return text.mapped(redact)
    for pattern, instead in _STANDING:
        text = pattern.sub(instead, text)
    return text


def is_signed(url: str) -> bool:
    """Return True if a url seems to carry a signature, a token or its own end: it may be valid for a while only."""
    return "?" in url and _SIGNED.search(url) is not None


class Secrets:
    """The secrets that this process has read, to remove them from output. Never prints them."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Start with the secrets in `known`."""
        self._known: set[str] = set()
        self._passing: deque[str] = deque(maxlen=PASSING)
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Remove `secret` from all later output."""
        if len(secret) >= SHORTEST:
            self._known.add(secret)

    def learn_for_now(self, secret: str) -> None:
        """Remove a short-lived `secret`, such as a token, until PASSING newer ones are known."""
        if len(secret) >= SHORTEST:
            self._passing.append(secret)

    def learn_credential(self, username: str, secret: str, token: str = "") -> None:
        """Remove a credential in every form in which it is sent."""
        for form in (secret, token, quote(secret, safe=""), b64encode(f"{username}:{secret}".encode()).decode()):
            self.learn(form)
        for line in secret.splitlines()[1:]:  # a private key
            self.learn(line)

    def redact(self, text: str) -> str:
        """Return `text` without secrets, known ones and those that their position reveals."""
        if isinstance(text, Message):
            return text.mapped(self.redact)
        for secret in sorted({*self._known, *self._passing}, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return redact(text)


def of_environment(environ: Mapping[str, str]) -> Secrets:
    """Return the values of environment variables whose names say that they are secret, as AWS_SECRET_ACCESS_KEY."""
    return Secrets(
        value
        for name, value in environ.items()
        if is_secret_name(name) and not name.endswith(_PLACES) and len(value) >= 8
    )
