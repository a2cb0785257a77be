"""Signs people in with an OpenID Connect provider: authorization code with PKCE.

Rules:
1. The request is bound to the browser by a signed cookie of ten minutes: state, nonce and verifier are in it.
2. An ID token counts only if its signature is of a key of the provider, by one of ALGORITHMS, and if issuer, audience,
   time and nonce fit. The algorithm is never the token's choice alone: `none` and HMAC are not among them.
3. An unknown key id makes the keys be read again, at most once a minute: keys are rotated.
4. Answers of the provider are bounded, redirects are not followed, and the access token is thrown away.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec

from manifests.messages import message, plain
from syncd.api.auth.sessions import SignedIn
from syncd.api.errors import HttpError
from syncd.config import SignInSettings, read_secret
from syncd.core import ConfigError

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
CALLBACK = "/login/callback"
FLOW_COOKIE = "syncd_sign_in"
FLOW_LASTS = 600.0  # seconds from the link to the provider until the answer
LEEWAY = 60  # seconds that clocks may differ
DISCOVERY_LASTS = 3_600.0
KEYS_AGAIN = 60.0  # seconds between two readings of the keys for an unknown key id
LARGEST = 256 << 10
TIMEOUT = 15.0
RANK = {"reader": 0, "steward": 1, "operator": 2}


class _Flow(msgspec.Struct, frozen=True, array_like=True):
    state: str
    nonce: str
    verifier: str
    back: str
    until: float


class SignIn:
    """The sign-in with one provider."""

    def __init__(self, settings: SignInSettings, environ: Mapping[str, str], clock: Callable[[], float]) -> None:
        """`clock` is the time of day; `environ` may hold the client's secret. Raises ConfigError."""
        if find_spec("joserfc") is None:
            raise ConfigError(message("api.sign_in: a package is missing: pip install 'syncd[oidc]'"))
        self.settings = settings
        self._environ = environ
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: tuple[float, dict[str, Any]] | None = None
        self._keys: Any = None
        self._keys_read = float("-inf")

    @property
    def title(self) -> str:
        """Return the provider's host, for the link."""
        return urlsplit(self.settings.issuer).netloc

    # -- to the provider ------------------------------------------------------------------------------------------

    async def begin(self, back: str) -> tuple[str, str]:
        """Return the provider's address for a person, and the cookie's value. Raises HttpError."""
        known = await self._discover()
        flow = _Flow(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            back,
            self._clock() + FLOW_LASTS,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.url + CALLBACK,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = known["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", self._sealed(flow)

    def _sealed(self, flow: _Flow) -> str:
        said = msgspec.json.encode(flow, enc_hook=plain)
        return base64.urlsafe_b64encode(hmac.digest(self._key, said, "sha256") + said).decode()

    def _opened(self, cookie: str) -> _Flow | None:
        try:
            raw = base64.b64decode(cookie.encode(), altchars=b"-_", validate=True)
        except ValueError:
            return None
        if not hmac.compare_digest(raw[:32], hmac.digest(self._key, raw[32:], "sha256")):
            return None
        flow = msgspec.json.decode(raw[32:], type=_Flow)
        return flow if self._clock() < flow.until else None

    # -- back from the provider -----------------------------------------------------------------------------------

    async def finish(self, cookie: str, given: Mapping[str, str]) -> tuple[SignedIn, str]:
        """Return who signed in, and the page to go to. Raises HttpError."""
        flow = self._opened(cookie)
        if flow is None or not hmac.compare_digest(flow.state.encode(), given.get("state", "").encode()):
            raise _refused(message("this sign-in was not begun in this browser, or it took too long"))
        if "error" in given:
            raise _refused(message("the provider refused: {error}", error=given["error"][:100]))
        known = await self._discover()
        issuer = given.get("iss")
        if issuer is not None and issuer != known["issuer"]:
            raise _refused(message("the answer is of another provider"))
        claims = await self._claims(await self._token(known, given.get("code", ""), flow), known, flow)
        return self.granted(claims), flow.back

    async def _token(self, known: dict[str, Any], code: str, flow: _Flow) -> str:
        """Return the ID token for a code."""
        settings = self.settings
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.url + CALLBACK,
            "client_id": settings.client_id,
            "code_verifier": flow.verifier,
        }
        headers = {}
        if settings.client_secret is not None:
            secret = read_secret(settings.client_secret, "api.sign_in.client_secret", self._environ)
            pair = f"{_quoted(settings.client_id)}:{_quoted(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            del body["client_id"]
        answer = await self._ask("POST", known["token_endpoint"], data=body, headers=headers)
        found = answer.get("id_token")
        if not isinstance(found, str):
            raise _refused(message("the provider sent no ID token"))
        return found

    async def _claims(self, token: str, known: dict[str, Any], flow: _Flow) -> dict[str, Any]:
        """Return the claims of an ID token once everything about it fits."""
        from joserfc import jwt  # noqa: PLC0415  an extra
        from joserfc.errors import JoseError  # noqa: PLC0415  an extra

        settings = self.settings
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": known["issuer"]},
            sub={"essential": True},
            aud={"essential": True, "value": settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": flow.nonce},
        )
        try:
            for again in (False, True):
                try:
                    claims = dict(
                        jwt.decode(token, await self._key_set(known, again=again), algorithms=ALGORITHMS).claims
                    )
                    break
                except (JoseError, ValueError):
                    if again or self._clock() - self._keys_read < KEYS_AGAIN:
                        raise
            rules.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(message("the ID token is not valid: {cause}", cause=error)) from error
        audience = claims["aud"]
        party = claims.get("azp")
        if (isinstance(audience, list) and len(audience) > 1 and party is None) or (
            party is not None and party != settings.client_id
        ):
            raise _refused(message("the ID token is for another client"))
        return claims

    async def _key_set(self, known: dict[str, Any], *, again: bool) -> Any:
        from joserfc.jwk import KeySet  # noqa: PLC0415  an extra

        if self._keys is None or again:
            self._keys_read = self._clock()
            keys: Any = await self._ask("GET", known["jwks_uri"])
            self._keys = KeySet.import_key_set(keys)
        return self._keys

    def granted(self, claims: Mapping[str, Any]) -> SignedIn:
        """Return the name and the rights of who has these claims. Raises HttpError without any."""
        settings = self.settings
        given = claims.get(settings.claim)
        values = {given} if isinstance(given, str) else set(given) if isinstance(given, list) else set()
        grants = [one for one in settings.grants if one.value in values]
        name = str(claims.get(settings.name) or claims["sub"])[:63]
        if not grants:
            raise HttpError(
                403,
                "Denied",
                message("{name} has no role here", name=name),
                message("ask the operator of this node; api.sign_in.grants in syncd.yaml has the roles"),
            )
        highest = max(RANK[one.role] for one in grants)
        those = [one for one in grants if RANK[one.role] == highest]
        mirrors = (
            None if any(one.mirrors is None for one in those) else sorted({m for o in those for m in o.mirrors or ()})
        )
        return SignedIn(
            name=name,
            role=those[0].role,
            mirrors=tuple(mirrors) if mirrors is not None else None,
            subject=hashlib.sha256(f"{settings.issuer}\n{claims['sub']}".encode()).hexdigest()[:32],
        )

    # -- what the provider says of itself -------------------------------------------------------------------------

    async def _discover(self) -> dict[str, Any]:
        if self._known is not None and self._clock() - self._known[0] < DISCOVERY_LASTS:
            return self._known[1]
        issuer = self.settings.issuer
        found = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise _refused(message("the provider names itself {found}", found=str(found.get("issuer"))[:200]))
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            place = urlsplit(str(found.get(name, "")))
            if place.scheme != urlsplit(issuer).scheme and place.scheme != "https":
                raise _refused(message("the provider's {name} is not encrypted", name=name))
        self._known = (self._clock(), found)
        return found

    async def _ask(
        self, method: str, url: str, *, headers: Mapping[str, str] = MappingProxyType({}), **more: Any
    ) -> dict[str, Any]:
        """Return the JSON object at an address of the provider. Raises HttpError."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as client,
                client.request(
                    method, url, allow_redirects=False, headers={"Accept": "application/json", **headers}, **more
                ) as answer,
            ):
                body = await answer.content.read(LARGEST + 1)
                while len(body) <= LARGEST and (part := await answer.content.read(LARGEST)):
                    body += part
                status = answer.status
            found = msgspec.json.decode(body[: LARGEST + 1]) if len(body) <= LARGEST else None
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise _away(self.title, error) from error
        if status != 200 or not isinstance(found, dict):
            told = found.get("error") if isinstance(found, dict) else None
            raise _away(self.title, message("status {status} {told}", status=status, told=str(told or "")[:100]))
        return found


def _quoted(text: str) -> str:
    """Return a part of HTTP basic authentication as RFC 6749 wants it."""
    return urlencode({"": text})[1:]


def _refused(reason: str) -> HttpError:
    return HttpError(403, "Denied", reason, message("begin again at /login"))


def _away(title: str, cause: object) -> HttpError:
    return HttpError(
        503,
        "Unreachable",
        message("{provider}: the sign-in provider does not answer as expected: {cause}", provider=title, cause=cause),
        message("try again, or log in with a token"),
        retry_after=10,
    )
