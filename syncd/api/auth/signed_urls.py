"""Signed URLs: a link with which a browser or wget reads one path, or one folder, without a token, for a few days.

Rules:
1. The signature covers host, mirror, snapshot, path, end and partner, and the name of the key. They are encoded as one
   JSON list that begins with the purpose, so no two requests have one text, and no other use of a key has it.
2. A link is good for GET and HEAD, for seven days at most, and as long as its partner's token: the verifier looks up
   the partner afterwards.
3. Keys are made here, and used for links and for the forms that lead to them: no checksum of one is one of the other.
   A new key is made each week; an old one verifies until its last link has expired. The file is the service's alone. A
   lost file ends every link, and nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from manifests.messages import plain

LONGEST_LIFE = 7 * 86_400  # seconds of a link
ROTATION = 7 * 86_400  # seconds after which new links use a new key
FORM_LIFE = 3_600  # seconds in which a form may be sent
KEYS_FILE = "url-keys.json"

_PURPOSE = "syncd signed url 1"
_FORM = "syncd access form 1"
_NUMBER = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_MOST = 4_096  # characters of a value in a query

Refusal = Literal["malformed", "unknown key", "forged", "expired", "elsewhere"]


@dataclass(frozen=True, slots=True)
class UrlGrant:
    """What a link allows: one path of a snapshot, or all below it if `path` is "" or ends in a slash."""

    mirror: str
    snapshot: str
    path: str
    until: int
    """When it ends, in seconds since the epoch."""
    partner: str
    """The name of the token in whose name the link was made."""

    def covers(self, mirror: str, snapshot: str, path: str) -> bool:
        """Return True if the link is for this path of this snapshot."""
        is_below = path.startswith(self.path) if self.path == "" or self.path.endswith("/") else path == self.path
        return mirror == self.mirror and snapshot == self.snapshot and is_below


class UrlRefused(Exception):
    """A link that is not good; `why` is for the log and the answer."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why = why


class UrlKey(msgspec.Struct, frozen=True):
    """One key: its 32 bytes in hexadecimal digits, and when it was made."""

    key: str
    made: int

    @property
    def kid(self) -> str:
        """Return its public name."""
        return hashlib.sha256(b"kid\0" + bytes.fromhex(self.key)).hexdigest()[:8]


def sign_url(grant: UrlGrant, host: str, key: UrlKey, now: int) -> dict[str, str]:
    """Return the parameters to add to the link's query; raises ValueError for a life that is over or too long."""
    if not 0 < grant.until - now <= LONGEST_LIFE:
        raise ValueError(f"a link lives up to {LONGEST_LIFE} seconds")
    folder = {"prefix": grant.path} if grant.path == "" or grant.path.endswith("/") else {}
    return {
        "exp": str(grant.until),
        "by": grant.partner,
        "kid": key.kid,
        **folder,
        "sig": _signature(grant, host, key),
    }


def verify_url(
    query: Mapping[str, str], host: str, mirror: str, snapshot: str, path: str, keys: tuple[UrlKey, ...], now: int
) -> UrlGrant:
    """Return what the link of a request allows; raises UrlRefused."""
    exp, partner, kid, sig = (query.get(name, "") for name in ("exp", "by", "kid", "sig"))
    prefix = query.get("prefix")
    if _NUMBER.fullmatch(exp) is None or not partner or max(map(len, (partner, kid, sig, prefix or ""))) > _MOST:
        raise UrlRefused("malformed")
    if prefix is not None and prefix != "" and not prefix.endswith("/"):
        raise UrlRefused("malformed")
    key = next((one for one in keys if hmac.compare_digest(one.kid.encode(), kid.encode())), None)
    if key is None:
        raise UrlRefused("unknown key")
    grant = UrlGrant(mirror, snapshot, path if prefix is None else prefix, int(exp), partner)
    if not hmac.compare_digest(_signature(grant, host, key).encode(), sig.encode()):
        raise UrlRefused("forged")
    if not now < grant.until <= now + LONGEST_LIFE:
        raise UrlRefused("expired")
    if not grant.covers(mirror, snapshot, path):
        raise UrlRefused("elsewhere")
    return grant


def mark_form(key: UrlKey, mirror: str, version: str, now: int) -> str:
    """Return the mark of a form that is shown now, for a mirror and a version of its terms."""
    said = json.dumps([_FORM, mirror, version, now, key.kid])
    return f"{key.kid}.{now}.{_checksum(key, said)}"


def verify_form(mark: str, mirror: str, version: str, keys: tuple[UrlKey, ...], now: int) -> bool:
    """Return True if a mark was made for this mirror and this version, within the last FORM_LIFE seconds."""
    kid, _, rest = mark.partition(".")
    made = rest.partition(".")[0]
    key = next((one for one in keys if hmac.compare_digest(one.kid.encode(), kid.encode())), None)
    if key is None or _NUMBER.fullmatch(made) is None or not 0 <= now - int(made) <= FORM_LIFE:
        return False
    return hmac.compare_digest(mark_form(key, mirror, version, int(made)).encode(), mark.encode())


def _signature(grant: UrlGrant, host: str, key: UrlKey) -> str:
    is_folder = grant.path == "" or grant.path.endswith("/")
    said = json.dumps(
        [
            _PURPOSE,
            "GET",
            host.lower(),
            grant.mirror,
            grant.snapshot,
            is_folder,
            grant.path,
            grant.until,
            grant.partner,
            key.kid,
        ]
    )
    return _checksum(key, said)


def _checksum(key: UrlKey, said: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(bytes.fromhex(key.key), said.encode(), "sha256")).decode().rstrip("=")


def rotated(keys: tuple[UrlKey, ...], now: int) -> tuple[UrlKey, ...]:
    """Return the keys to use from now on, the newest first; the same ones while none is due."""
    kept = tuple(one for one in keys if now - one.made < ROTATION + LONGEST_LIFE and one.made <= now)
    if kept and now - kept[0].made < ROTATION:
        return kept
    return (UrlKey(secrets.token_hex(32), now), *kept)


class UrlKeys:
    """The keys in the state folder; it blocks for a moment when it reads or writes the file."""

    def __init__(self, state: Path) -> None:
        """`state` is the folder of the state, which exists."""
        self._file = state / KEYS_FILE
        self._keys: tuple[UrlKey, ...] = ()

    def signing(self, now: int) -> UrlKey:
        """Return the key for new links; makes one if the newest is too old."""
        keys = rotated(self._keys or self._read(), now)
        if keys != self._keys:
            known = self._read()  # another process may have made one meanwhile
            keys = rotated(known, now)
            if keys != known:
                self._write(keys)
            self._keys = keys
        return keys[0]

    def verifying(self, kid: str, now: int) -> tuple[UrlKey, ...]:
        """Return the keys that verify links; reads the file again for a name that is not known."""
        if not any(one.kid == kid for one in self._keys):
            self._keys = self._read()
        return tuple(one for one in self._keys if now - one.made < ROTATION + LONGEST_LIFE)

    def _read(self) -> tuple[UrlKey, ...]:
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=tuple[UrlKey, ...])
            return tuple(one for one in found if len(bytes.fromhex(one.key)) == 32)
        except (FileNotFoundError, msgspec.DecodeError, binascii.Error, ValueError):
            return ()  # as after its loss: new links get a new key

    def _write(self, keys: tuple[UrlKey, ...]) -> None:
        beside = self._file.with_suffix(f".{secrets.token_hex(4)}")
        with open(beside, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(msgspec.json.encode(keys, enc_hook=plain))
            out.flush()
            os.fsync(out.fileno())
        beside.replace(self._file)
