"""Who sends a request: a stranger, a token's owner, or one who has a partner's signed link."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from manifests.access import ANYONE, Caller
from syncd.api import (
    LONGEST_LIFE,
    AcceptedTerms,
    HttpError,
    Tokens,
    UrlGrant,
    UrlKeys,
    UrlRefused,
    mark_form,
    sign_url,
    verify_form,
    verify_url,
)
from syncd.config import ServeSettings, Token
from syncd.face.answers import Reject
from syncd.face.asked import Asked
from syncd.face.pacing import TokenBucket, TokenPace

_OF_LINK = ("exp", "by", "kid", "prefix", "sig")


class Callers:
    """The tokens of a node, and what each may take in a second."""

    def __init__(self, tokens: Tokens, state: Path, settings: ServeSettings) -> None:
        """`state` is the folder with the keys of signed links, and with the acceptances of terms."""
        self._tokens, self._keys, self._terms = tokens, UrlKeys(state), AcceptedTerms(state)
        self._host = urlsplit(settings.url).netloc
        self._buckets: dict[str, tuple[int, TokenBucket]] = {}

    def replace(self, tokens: Iterable[Token]) -> None:
        """Use the tokens of a changed configuration."""
        self._tokens.replace(tokens)

    async def identify(self, asked: Asked) -> None:
        """Note who sends a request, by its Authorization header. Raises Reject for a token that is not good."""
        given = asked.request.headers.get("Authorization")
        if given is None:
            return
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":  # a signature of S3, or a password: the answer is a stranger's
            return
        await self.authenticate(asked, token.strip())

    async def accept_link(self, asked: Asked, mirror: str, snapshot: str, path: str, now: float) -> None:
        """Note who signed the link of a request for a path, if it is signed. Raises Reject for one that is not good."""
        query = asked.query
        if "sig" not in query:
            return
        keys = await asyncio.to_thread(self._keys.verifying, query.get("kid", ""), int(now))
        try:
            allowed = verify_url(query, self._host, mirror, snapshot, path, keys, int(now))
        except UrlRefused as error:
            raise Reject(404 if asked.caller is ANYONE and error.why == "malformed" else 403) from error
        token = self._tokens.named(allowed.partner)
        if token is None:
            raise Reject(403)
        await self._know(asked, token)
        if "prefix" in query:
            asked.link = urlencode({name: query[name] for name in _OF_LINK})

    async def authenticate(self, asked: Asked, token: str) -> None:
        """Note whose token a form has. Raises Reject for one that is not good."""
        try:
            await self._know(asked, await self._tokens.authenticate(token, asked.address))
        except HttpError as error:
            headers = {name.replace("-", "_"): value for name, value in error.headers.items()}
            raise Reject(error.status, **headers) from error

    async def form_mark(self, mirror: str, version: str, now: float) -> str:
        """Return the mark of a form for a mirror and a version of its terms, good for an hour."""
        key = await asyncio.to_thread(self._keys.signing, int(now))
        return mark_form(key, mirror, version, int(now))

    async def is_form_mark(self, mark: str, mirror: str, version: str, now: float) -> bool:
        """Return True if a form is one of ours, for this mirror and this version of its terms."""
        keys = await asyncio.to_thread(self._keys.verifying, mark.partition(".")[0], int(now))
        return verify_form(mark, mirror, version, keys, int(now))

    async def accept_terms(self, partner: str, mirror: str, version: str, now: float) -> None:
        """Record an acceptance; it is on the disk when this returns."""
        await asyncio.to_thread(self._terms.accept, partner, mirror, version, now)

    async def signed_link(self, caller: Caller, mirror: str, snapshot: str, now: float) -> tuple[dict[str, str], float]:
        """Return what to add to the address of a snapshot's files, and until when it is good."""
        until = int(now) + LONGEST_LIFE
        if caller.until is not None:
            until = min(until, int(caller.until.timestamp()))
        key = await asyncio.to_thread(self._keys.signing, int(now))
        return sign_url(UrlGrant(mirror, snapshot, "", until, caller.name), self._host, key, int(now)), float(until)

    async def _know(self, asked: Asked, token: Token) -> None:
        accepted = await asyncio.to_thread(self._terms.versions, token.name)
        asked.caller = Caller(token.name, token.role, token.mirrors, accepted, token.ends)
        bucket = None
        if token.rate is not None:
            known = self._buckets.get(token.name)
            if known is None or known[0] != token.rate:
                known = self._buckets[token.name] = (token.rate, TokenBucket(float(token.rate), burst=1.0))
            bucket = known[1]
        asked.pace = TokenPace(self._tokens.lasting(token.name), bucket)
