"""Credentials, region and endpoint of an S3 server, as boto3 finds them, and requests signed by botocore.

Rules:
1. boto3 is imported for the first request that needs it, and runs in a thread: profiles, single sign-on and instance
   roles may use the network. Credentials that expire are asked for again each minute; botocore renews them in time.
   Keys that a server rejects are read again from their files, once for all, for GRACE seconds: another program may be
   about to write them. Then nothing is sent with them for REJECTED_FOR seconds, unless they change.
2. Only `host` and the `x-amz-*` headers are signed. Bodies over https are unsigned (TLS and Content-MD5 protect them);
   over http their sha256 is signed.
"""

import asyncio
import functools
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, cast

from manifests.messages import message
from manifests.origins import origin_of
from syncd.core import ConfigError, Credential, Denied, NetworkPlan
from transports.s3.boto_network import botocore_session
from transports.s3.bucket_address import (
    Addressing,
    BucketAddress,
    Referral,
    bucket_address,
    referred_endpoint,
    region_of,
)

REFRESH = 60.0  # seconds until credentials that may expire are asked for again
GRACE = 5.0  # seconds in which rejected keys may still be replaced
READ_EVERY = 0.5  # seconds between two readings of the keys
REJECTED_FOR = 10.0  # seconds
EMPTY = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Account:
    """How to authenticate: with a Credential, a profile, the credentials that boto3 finds, or not at all."""

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    anonymous: bool = False
    credential: Credential | None = None
    addressing: Addressing = "auto"


class SigningKeys(Protocol):
    """Keys that sign requests."""

    credentials: Any


@dataclass(slots=True)
class Rejection:
    """Keys that the server rejects, and until when nothing is sent with them."""

    signer: SigningKeys
    until: float
    reason: str
    read_at: float = float("-inf")


class Signing:
    """Finds the bucket and signs requests to it."""

    def __init__(
        self,
        bucket: str,
        account: Account,
        clock: Callable[[], float] = time.monotonic,
        network: NetworkPlan | None = None,
    ) -> None:
        """`network` has the proxies for what boto3 itself asks, as STS; instance metadata are asked for directly."""
        self._network = network
        self.bucket = bucket
        self._account = account
        self._addressing: Addressing = account.addressing
        self._endpoint = ""  # that the server refers to
        self._clock = clock
        self._place: BucketAddress | None = None
        self._session: Any = None
        self._credentials: Any = None
        self._taken = 0.0
        self._signer: Any = None
        self._finding = asyncio.Lock()
        self._rejected: Rejection | None = None
        self.is_given = account.credential is not None
        self.was_accepted = False
        """True if the server has accepted a request of this process."""

    async def place(self) -> BucketAddress:
        """Find the bucket's endpoint and region. Raises ConfigError, Denied."""
        if self._place is None:
            async with self._finding:
                if self._place is None:
                    self._place = await asyncio.to_thread(self._find, self._account.region)
        return self._place

    async def follow(self, hint: Referral, used: BucketAddress) -> bool:
        """Go where the server says that the bucket is; return False if it says nothing new. Raises Denied.

        `used` is where the request was sent: another one may have followed the same referral meanwhile.
        """
        if hint == Referral():
            return False
        async with self._finding:
            if self._place is not None and self._place != used:
                return True
            account, endpoint = self._account, ""
            if hint.endpoint and not (account.endpoint is None and hint.region):  # AWS has an endpoint for each region
                endpoint = referred_endpoint(self.bucket, used, hint.endpoint)
            is_virtual = hint.is_virtual or hint.endpoint.lower().startswith(f"{self.bucket}.")
            if account.addressing == "auto" and is_virtual and self._addressing == "auto":
                self._addressing = "virtual"
            self._endpoint = endpoint or self._endpoint
            found = await asyncio.to_thread(self._find, hint.region or region_of(endpoint) or used.region)
            if found == used:
                return False
            self._place, self._signer = found, None
            return True

    async def renew(self, spent: "SigningKeys | None", reason: str) -> bool:
        """Read rejected keys again; return True if they differ from those of `spent`. `reason` is the rejection."""
        if spent is None or self._account.anonymous:
            return False
        async with self._finding:
            ends = self._clock() + (GRACE if self.was_accepted and not self.is_given else 0.0)
            while self._signer is None or self._signer.credentials == spent.credentials:
                if self._rejected is not None and self._clock() < self._rejected.until:
                    return False
                if await self._read_again(spent):
                    break
                if self._clock() >= ends:
                    self._rejected = Rejection(spent, self._clock() + REJECTED_FOR, reason)
                    return False
                await asyncio.sleep(READ_EVERY)
        return True

    async def rejected(self) -> str:
        """Return why no request is sent with the present keys, or ""; they are read again first."""
        found = self._rejected
        if found is None or self._clock() >= found.until:
            return ""
        if self._clock() >= found.read_at + READ_EVERY:
            found.read_at = self._clock()
            async with self._finding:
                if await self._read_again(found.signer):
                    self._rejected = None
                    return ""
        return found.reason

    async def _read_again(self, spent: "SigningKeys") -> bool:
        self._session = self._credentials = None
        try:
            frozen = await asyncio.to_thread(self._freeze)
        except (Denied, ConfigError):  # the file is being written
            return False
        if frozen == spent.credentials:
            return False
        self._signer = _signer_type()(frozen, "s3", self._place.region if self._place is not None else "")
        self._taken, self._rejected = self._clock(), None
        return True

    async def sign(
        self, method: str, target: str, headers: dict[str, str], payload: str, place: BucketAddress
    ) -> "SigningKeys | None":
        """Add date, payload digest and Authorization to `headers`; `target` is path and query as they will be sent.

        Returns the keys that signed.
        """
        if self._account.anonymous:
            return None
        signer = self._signer
        if signer is None or self._clock() - self._taken > REFRESH:
            signer = await self._renew()
        signer.add_auth(_SignableRequest(method, place, target, headers, payload))
        return cast("SigningKeys", signer)

    async def place_at(self, endpoint: str) -> BucketAddress:
        """Return the bucket's place as clients elsewhere reach it, at `endpoint`; at our own endpoint for ""."""
        place = await self.place()
        return bucket_address(self.bucket, endpoint, place.region, self._addressing) if endpoint else place

    async def sign_link(self, method: str, url: str, query: Mapping[str, str], seconds: int) -> str:
        """Return `url` with a signature in its query, good for one method and so many seconds. Raises Denied."""
        from botocore.auth import S3SigV4QueryAuth  # noqa: PLC0415  slow to import, and not always needed
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415  as above

        if self._signer is None or self._clock() - self._taken > REFRESH:
            await self._renew()
        place = await self.place()
        request = AWSRequest(method=method, url=url, params=dict(query))
        S3SigV4QueryAuth(self._signer.credentials, "s3", place.region, expires=seconds).add_auth(request)
        return str(request.url)

    async def _renew(self) -> Any:
        place = await self.place()
        async with self._finding:
            if self._signer is None or self._clock() - self._taken > REFRESH:
                frozen = await asyncio.to_thread(self._freeze)
                self._signer = _signer_type()(frozen, "s3", place.region)
                self._taken = self._clock()
        return self._signer

    def _freeze(self) -> Any:
        """Get the current credentials. Blocks."""
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415  slow to import, and not always needed
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  as above

        given = self._account.credential
        if given is not None:
            if given.scheme != "s3":
                raise Denied(
                    message(
                        "s3://{bucket}: the credential {name} is for http, not for S3",
                        bucket=self.bucket,
                        name=given.name,
                    )
                )
            return ReadOnlyCredentials(given.username, given.secret, given.token or None)
        try:
            if self._credentials is None:
                self._credentials = self._open_session().get_credentials()
            if self._credentials is None:
                raise Denied(
                    message(
                        "s3://{bucket}: boto3 finds no credentials: set AWS_PROFILE or the keys, or read it "
                        "with `anonymous: true`",
                        bucket=self.bucket,
                    )
                )
            return self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise Denied(message("s3://{bucket}: no credentials: {cause}", bucket=self.bucket, cause=error)) from error

    def _find(self, region: str | None) -> BucketAddress:
        """Find endpoint and region. Blocks."""
        account = self._account
        endpoint = self._endpoint or account.endpoint
        if endpoint is None or region is None:
            session = self._open_session()
            region = region or session.region_name or "us-east-1"
        if endpoint is None:
            endpoint = self._aws_endpoint(region)
        return self._bound(bucket_address(self.bucket, endpoint, region, self._addressing), endpoint)

    def _bound(self, place: BucketAddress, endpoint: str) -> BucketAddress:
        """Return `place` if the credential belongs to it: to the bucket or to the origin of the endpoint."""
        given = self._account.credential
        if given is not None and given.origin not in {f"s3://{self.bucket}", origin_of(endpoint)}:
            raise Denied(
                message(
                    "s3://{bucket}: the credential {name} is for {origin}, not for {endpoint}",
                    bucket=self.bucket,
                    name=given.name,
                    origin=given.origin,
                    endpoint=endpoint,
                )
            )
        return place

    def _open_session(self) -> Any:
        if self._session is None:
            import boto3  # noqa: PLC0415  slow to import, and not always needed
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415  as above

            try:
                profile = self._account.profile
                inner = botocore_session(self._network, profile)
                self._session = boto3.Session(profile_name=profile, botocore_session=inner)
            except BotoCoreError as error:
                raise ConfigError(message("s3://{bucket}: {cause}", bucket=self.bucket, cause=error)) from error
        return self._session

    def _aws_endpoint(self, region: str) -> str:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  slow to import, and not always needed

        try:
            return str(self._open_session().client("s3", region_name=region).meta.endpoint_url)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                message(
                    "s3://{bucket}: no endpoint in region {region}: {cause}",
                    bucket=self.bucket,
                    region=region,
                    cause=error,
                )
            ) from error


class _SignableRequest:
    """The part of a request that botocore's signer uses; botocore's own class costs more than the signature."""

    __slots__ = ("body", "context", "headers", "method", "params", "url")

    def __init__(self, method: str, place: BucketAddress, target: str, headers: dict[str, str], payload: str) -> None:
        self.method = method
        self.url = place.origin + target
        self.headers = headers
        self.context = {"payload": payload, "host": place.host}
        self.params: Mapping[str, str] = {}
        self.body = b""


class _Signed(dict[str, str]):
    """The headers that are signed, each once."""

    def get_all(self, name: str) -> tuple[str, ...]:
        return (self[name],)


@functools.cache
def _signer_type() -> Any:
    """Make the signer's class: botocore's own, with a cache of what it computes for each request."""
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415  slow to import, and not always needed

    class Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
        _key = ("", b"")

        def payload(self, request: _SignableRequest) -> str:
            return request.context["payload"]

        def headers_to_sign(self, request: _SignableRequest) -> _Signed:
            signed = _Signed((name, value) for name, value in request.headers.items() if name.startswith("x-amz-"))
            signed["host"] = request.context["host"]
            signed["x-amz-date"] = request.headers["X-Amz-Date"]
            signed["x-amz-content-sha256"] = request.context["payload"]
            if self.credentials.token:
                signed["x-amz-security-token"] = self.credentials.token
            return signed

        def signature(self, string_to_sign: str, request: _SignableRequest) -> str:
            day = request.context["timestamp"][:8]
            if self._key[0] != day:
                key = f"AWS4{self.credentials.secret_key}".encode()
                for part in (day, self._region_name, self._service_name, "aws4_request"):
                    key = hmac.digest(key, part.encode(), "sha256")
                self._key = (day, key)
            return hmac.digest(self._key[1], string_to_sign.encode(), "sha256").hex()

    return Signer
