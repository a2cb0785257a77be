"""An OpenID Connect provider on loopback: discovery, authorization code with PKCE, keys that rotate, and bad answers."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

KINDS: dict[str, Any] = {
    "RS256": lambda: RSAKey.generate_key(2048, private=True),
    "ES256": lambda: ECKey.generate_key("P-256", private=True),
}


def _b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Provider:
    """One provider; a test changes its fields to make it answer otherwise."""

    def __init__(self, client_id="syncd", secret=""):
        self.client_id, self.secret = client_id, secret
        self.claims = {"sub": "42", "preferred_username": "lin", "groups": ["stewards"]}
        self.change = {}
        """Claims that replace those of a valid token; None removes one."""
        self.algorithm, self.keys, self.published = "RS256", [], []
        self.codes, self.asked, self.key_reads = {}, [], 0
        self.signer: Any = None
        self.issuer = ""
        self.named = None

    def rotate(self, algorithm="RS256", *, publish=True):
        """Sign with another key from now on."""
        key = KINDS[algorithm]()
        key = type(key).import_key({**key.as_dict(private=True), "kid": secrets.token_hex(4), "alg": algorithm})
        self.algorithm, self.signer = algorithm, key
        if publish:
            self.published = [key]
        return key

    def token(self, nonce):
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 300, "nonce": nonce, **self.claims,
            **self.change,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return ".".join((_b64(b'{"alg": "none"}'), _b64(json.dumps(claims).encode()), ""))
        if self.algorithm == "HS256":  # the public key as the secret: what a confused client would accept
            parts = [_b64(json.dumps(one).encode()) for one in ({"alg": "HS256", "kid": self.signer.kid}, claims)]
            signed = hmac.digest(self.signer.as_pem(private=False), ".".join(parts).encode(), "sha256")
            return ".".join((*parts, _b64(signed)))
        return jwt.encode(
            {"alg": self.algorithm, "kid": self.signer.kid}, claims, self.signer, algorithms=[self.algorithm]
        )

    async def discover(self, _request):
        return web.json_response({
            "issuer": self.named or self.issuer, "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
        })  # fmt: skip

    async def jwks(self, _request):
        self.key_reads += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.published]})

    async def authorize(self, request):
        """Sign the person in at once."""
        asked = dict(request.query)
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == self.client_id
        code = secrets.token_hex(8)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer, "session_state": "x"})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    async def exchange(self, request):
        form = await request.post()
        asked = self.codes.pop(form["code"], None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        given = request.headers.get("Authorization", "")
        wanted = "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode() if self.secret else ""
        if asked is None or proof != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if given != wanted:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": self.token(asked["nonce"])})


@asynccontextmanager
async def oidc_provider(**more):
    """Run a provider within the block."""
    provider = Provider(**more)
    await asyncio.to_thread(provider.rotate)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discover)
    app.router.add_get("/jwks", provider.jwks)
    app.router.add_get("/auth", provider.authorize)
    app.router.add_post("/token", provider.exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.issuer = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        yield provider
    finally:
        await runner.cleanup()
