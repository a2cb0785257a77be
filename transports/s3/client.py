"""Requests to one bucket: signed by botocore, sent by our HTTP client; the answer is a document, a body or an error.

Rules:
1. A bucket in another region, at another endpoint or in the host name is followed there (`bucket_address`), and
   renewed keys are tried once; at most `FOLLOWED` times for a request. Keys that the server accepted before, and
   rejects now, make a store unavailable: they are about to be renewed.
2. A body is sent with its Content-MD5, unless the server verifies its sha256, which is signed: over http always, over
   https if the caller knows it.
3. A store's requests share `MOST_AT_ONCE` connections; a body that is read has one of its own.
4. Answers are bounded: documents by `limit`, files by their announced length.
"""

import asyncio
import base64
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from functools import partial
from urllib.parse import quote

from manifests.messages import message
from syncd.core import (
    CredentialExpired,
    CredentialRefused,
    Guard,
    KeysRejected,
    NetworkPlan,
    NotFound,
    Offline,
    SyncdError,
    TooLarge,
    Unreachable,
)
from transports.http import HttpAnswer, HttpClient, RequestBody, headers as heads, length_of, open_client, pieces_of
from transports.net import open_network
from transports.s3.bucket_address import BucketAddress, object_at, referral
from transports.s3.errors import MAX_ERROR, NoSuchUpload, Writes, failure, hidden_failure
from transports.s3.rights import action
from transports.s3.signing import EMPTY, UNSIGNED, Account, Signing, SigningKeys

HEADER_TIMEOUT = 120.0  # seconds; a server may copy or join gigabytes before it answers
FOLLOWED = 4
MOST_AT_ONCE = 32  # requests of one store; more would only wait for the server, each on a connection of its own
WRITING = frozenset({"PUT", "POST"})
INLINE = 1 << 18  # bytes; longer bodies are hashed in a thread

Query = Mapping[str, str]
NONE: Query = {}


class Bucket:
    """A bucket at an endpoint. `allow_private` is None if any address is allowed: for the store's own endpoint."""

    def __init__(
        self,
        name: str,
        account: Account,
        *,
        user_agent: str,
        allow_private: frozenset[str] | None,
        requester_pays: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        header_timeout: float = HEADER_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        network: NetworkPlan | None = None,
    ) -> None:
        self.name = name
        self._signing = Signing(name, account, clock, network)
        self._network = open_network(network)
        self._allow_private = allow_private
        self._ssl = ssl_context
        self._header_timeout = header_timeout
        self._common = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        if requester_pays:
            self._common["x-amz-request-payer"] = "requester"
        self._connections: dict[str, HttpClient] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE) if allow_private is None else None
        self.sends_md5 = True
        """Whether a body is sent with its Content-MD5; False for a server that does not know it."""
        self.guard: Guard | None = None
        """Called before each request that changes something is sent, and before its last bytes."""
        self.certificates: dict[str, float] = {}
        """The expiry of the certificate that each origin presented last, in seconds since the epoch."""

    def slot(self) -> AbstractAsyncContextManager[object]:
        """Return what limits the requests of a store that are under way at once; nothing else is awaited within."""
        return self._slots if self._slots is not None else nullcontext()

    async def url(self, key: str) -> str:
        """Return the url of a key, for messages."""
        place = await self._signing.place()
        return place.origin + place.base + quote(key, safe="/-_.~")

    async def signed_link(self, method: str, key: str, seconds: int, query: Query, endpoint: str) -> str:
        """Return a link that is good for one request of a key by others. Raises ConfigError, Denied."""
        place = await self._signing.place_at(endpoint)
        target = place.base + quote(key, safe="/-_.~")
        return await self._signing.sign_link(method, f"{place.origin}{target}", query, seconds)

    async def object_at(self, url: str) -> tuple[str, str] | None:
        """Return bucket and key of a url at the same endpoint, None if it is elsewhere."""
        return object_at(url, self.name, await self._signing.place())

    async def send(
        self,
        method: str,
        key: str,
        path: str,
        *,
        query: Query = NONE,
        headers: Mapping[str, str] = NONE,
        body: RequestBody = b"",
        md5: bytes | None = None,
        sha256: str = "",
        needs_md5: bool = True,
        renews: bool = True,
    ) -> HttpAnswer:
        """Send one request and return its answer, a success; the caller closes it. `path` begins the messages.

        `md5` and `sha256` are checksums of the body, if they are known; without `needs_md5` the server verifies it
        by its sha256. Without `renews`, keys that are rejected are not read again.

        Raises the errors of `errors.failure`, Refused, Denied, Unsafe, and Unreachable (Offline for the store's own
        endpoint).
        """
        if not sha256 and body and (await self._signing.place()).origin.startswith("http:"):
            sha256 = await sha256_of(body)
        if body and md5 is None and needs_md5 and self.sends_md5:
            md5 = await md5_of(body)
        digests = (md5 if needs_md5 else None, sha256 or (UNSIGNED if body else EMPTY))
        for left in reversed(range(FOLLOWED)):
            if reason := await self._signing.rejected():
                raise self._without_keys(reason)
            used = await self._signing.place()
            answer, signer = await self._send(method, key, path, query, headers, body, digests, used)
            if answer.status < 300:
                self._signing.was_accepted = True
                return answer
            with closing(answer):
                document = await self._reason(method, key, path, headers, answer, used)
                if left and await self._signing.follow(referral(answer.status, answer.headers, document), used):
                    continue
                retry_after = heads.retry_after(answer.headers, time.time())
                writes: Writes = "copy" if "x-amz-copy-source" in headers else "body" if method in WRITING else ""
                right = action(method, key, query)
                failed = failure(answer.status, document, path, retry_after, action=right, writes=writes)
                if "uploadId" in query and isinstance(failed, NotFound):  # Ceph answers NoSuchKey for an upload
                    raise NoSuchUpload(message("{path}: the multipart upload no longer exists", path=path))
                if isinstance(failed, CredentialRefused) and renews:
                    answer.close()
                    if await self._signing.renew(signer, str(failed)) and left:
                        continue
                    if self._signing.was_accepted:
                        raise self._without_keys(str(failed)) from failed
                raise failed
        raise AssertionError("the last try returns or raises")

    async def _reason(
        self, method: str, key: str, path: str, headers: Mapping[str, str], answer: HttpAnswer, place: BucketAddress
    ) -> bytes:
        """Return the document of an error. That of a HEAD has none: a GET of one byte is answered with the reason."""
        if method != "HEAD":
            return await self._document(answer, path, MAX_ERROR)
        if answer.status not in {301, 307, 400, 401, 403}:
            return b""
        answer.close()
        one_byte = {**headers, "Range": "bytes=0-0"}
        again, _ = await self._send("GET", key, path, NONE, one_byte, b"", (None, EMPTY), place)
        with closing(again):
            return b"" if again.status < 300 else await self._document(again, path, MAX_ERROR)

    def _without_keys(self, reason: str) -> SyncdError:
        """Return the error for rejected keys that have not changed."""
        told = message("{reason}; the keys were read again and have not changed: renew them", reason=reason)
        if self._allow_private is None:
            return KeysRejected(told)
        if self._signing.is_given:
            return CredentialRefused(told)  # whose secret is read again by the source
        return CredentialExpired(told, origins=frozenset({f"s3://{self.name}"}))

    async def read(
        self,
        method: str,
        key: str,
        path: str,
        *,
        query: Query = NONE,
        headers: Mapping[str, str] = NONE,
        body: RequestBody = b"",
        md5: bytes | None = None,
        sha256: str = "",
        needs_md5: bool = True,
        limit: int = MAX_ERROR,
    ) -> tuple[dict[str, str], bytes]:
        """As `send`, and read the document of the answer; an error in a body of status 200 is raised, too."""
        asked = self.send(
            method, key, path, query=query, headers=headers, body=body, md5=md5, sha256=sha256, needs_md5=needs_md5
        )
        async with self.slot():
            with closing(await asked) as answer:
                document = await self._document(answer, path, limit)
                hidden = hidden_failure(document, path, writes="copy" if method in WRITING else "")
                if hidden is not None:
                    raise hidden
                return answer.headers, document

    async def chunks(self, answer: HttpAnswer) -> AsyncIterator[bytes]:
        """Yield an answer's body to its announced end. Raises Interrupted if it breaks off, stalls or is too long."""
        while chunk := await answer.read():
            yield chunk
        answer.finish()

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._connections.values():
            await client.aclose()

    async def _send(
        self,
        method: str,
        key: str,
        path: str,
        query: Query,
        headers: Mapping[str, str],
        body: RequestBody,
        digests: tuple[bytes | None, str],
        place: BucketAddress,
    ) -> tuple[HttpAnswer, SigningKeys | None]:
        target = place.base + quote(key, safe="/-_.~")
        if query:
            target += "?" + "&".join(f"{name}={quote(query[name], safe='-_.~')}" for name in sorted(query))
        sent = {"Host": place.host, **self._common, **headers}
        if body or method in {"PUT", "POST"}:
            sent["Content-Length"] = str(length_of(body))
        if body and digests[0] is not None and self.sends_md5:
            sent["Content-MD5"] = base64.b64encode(digests[0]).decode()
        signer = await self._signing.sign(method, target, sent, digests[1], place)
        head = "".join([f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {sent[name]}\r\n" for name in sent), "\r\n"])
        connections = self._open(place)
        try:
            answer = await connections.ask(
                place.origin,
                head.encode(),
                label=path,
                bodiless=method == "HEAD",
                body=body,
                guard=partial(self.guard, path) if self.guard is not None and _is_change(method, query) else None,
            )
        except Unreachable as error:
            if self._allow_private is None:  # the store itself
                raise Offline(str(error)) from error
            raise
        return answer, signer

    def _open(self, place: BucketAddress) -> HttpClient:
        client = self._connections.get(place.origin)
        if client is None:
            allowed = self._allow_private
            if allowed is None or place.endpoint in allowed:  # a bucket is no other place than its endpoint
                allowed = frozenset({place.origin})
            client = self._connections[place.origin] = open_client(
                allow_private=allowed,
                ssl_context=self._ssl,
                header_timeout=self._header_timeout,
                network=self._network,
            )
            client.certificates = self.certificates
        return client

    async def _document(self, answer: HttpAnswer, path: str, limit: int) -> bytes:
        document = bytearray()
        async for chunk in self.chunks(answer):
            document += chunk
            if len(document) > limit:
                raise TooLarge(
                    message(
                        "{path}: an answer of more than {limit} bytes, longer than expected", path=path, limit=limit
                    )
                )
        return bytes(document)


def split_url(url: str) -> tuple[str, str]:
    """Return bucket and key prefix (ending in `/`, or empty) of `s3://bucket/prefix/`. Raises ValueError."""
    rest = url.removeprefix("s3://")
    bucket, _, root = rest.partition("/")
    if rest == url or not bucket or "//" in f"/{root}" or any(mark in rest for mark in "?#@"):
        raise ValueError(message("{url}: not an S3 address: give s3://bucket/prefix/", url=url))
    return bucket, root if not root or root.endswith("/") else f"{root}/"


async def md5_of(body: RequestBody) -> bytes:
    """Return the MD5 of a body, in a thread if it is long."""
    return (await _hashed(hashlib.md5(usedforsecurity=False), body)).digest()


async def sha256_of(body: RequestBody) -> str:
    """Return the sha256 of a body in hex, in a thread if it is long."""
    return (await _hashed(hashlib.sha256(), body)).hexdigest()


async def _hashed(hashing: "hashlib._Hash", body: RequestBody) -> "hashlib._Hash":
    if length_of(body) <= INLINE:
        return _hash(hashing, body)
    return await asyncio.to_thread(_hash, hashing, body)


def _hash(hashing: "hashlib._Hash", body: RequestBody) -> "hashlib._Hash":
    for piece in pieces_of(body):
        hashing.update(piece)
    return hashing


def _is_change(method: str, query: Query) -> bool:
    """Return True if a request changes an object; beginning, filling and ending an upload change none."""
    if method in {"GET", "HEAD"} or "uploads" in query or "partNumber" in query:
        return False
    return method != "DELETE" or "uploadId" not in query
