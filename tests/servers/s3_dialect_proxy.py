"""A proxy that speaks a dialect of S3 in front of a real server; see `s3_dialects`."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tests.servers.loopback import LoopbackServer
from tests.servers.s3_dialects import Asked, Dialect, Speaker
from tests.servers.s3_proxy import length_of

REGION = "us-east-1"


@dataclass
class DialectProxy(LoopbackServer):
    """Listens on `url`; `refuse`, if given, may answer before the dialect does."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    dialect: Dialect
    refuse: Callable[[Asked], bytes | None] | None = None
    seen: list = field(default_factory=list)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def count(self, method, part=""):
        return sum(asked.method == method and part in asked.target for asked in self.seen)

    async def __aenter__(self):
        self.speaker = Speaker(self.dialect, self.bucket)
        return await super().__aenter__()

    async def _serve(self, reader, writer):
        place = urlsplit(self.endpoint)
        behind, onward = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                asked = Asked(method, target, headers_of(head), await reader.readexactly(length_of(head)))
                self.seen.append(asked)
                answer = self.refuse(asked) if self.refuse is not None else None
                if answer is None:
                    answer = self.speaker.refuse(asked)
                if answer is None:
                    answer = await self._ask(asked, behind, onward)
                elif method == "HEAD":
                    answer = answer[: answer.index(b"\r\n\r\n") + 4]
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer[:2000].lower():
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # cancelled: the proxy ends
            pass
        finally:
            for end in (writer, onward):
                end.close()

    async def _ask(self, asked, behind, onward):
        target, headers, body = self.speaker.request(asked)
        headers = {name: value for name, value in headers.items() if name not in {"authorization", "x-amz-date"}}
        headers |= {"host": urlsplit(self.endpoint).netloc, "content-length": str(len(body))}
        headers |= signed(asked.method, target, headers, body, self.access_key, self.secret_key)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        onward.write(f"{asked.method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        await onward.drain()
        head = await behind.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        given = headers_of(head)
        body = b"" if asked.method == "HEAD" or status in {204, 304} else await body_of(behind, given)
        given, body = self.speaker.response(asked, given, body)
        if asked.method != "HEAD" and status not in {204, 304}:
            given.pop("transfer-encoding", None)
            given["content-length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def headers_of(head):
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in lines}


async def body_of(reader, headers):
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    chunks = []
    while size := int((await reader.readline()).strip() or b"0", 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(chunks)


def signed(method, target, headers, body, access_key, secret_key):
    """Return the headers of signature version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    given = {name: value for name, value in headers.items() if name == "host" or name.startswith("x-amz-")}
    given |= {"x-amz-date": now, "x-amz-content-sha256": payload}
    names = ";".join(sorted(given))
    path, _, query = target.partition("?")
    lines = "".join(f"{name}:{given[name]}\n" for name in sorted(given))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for word in (now[:8], REGION, "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "x-amz-date": now,
        "x-amz-content-sha256": payload,
        "authorization": f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}",
    }


def garble_first_part(monkeypatch, proxy: DialectProxy) -> None:
    """Let the server get another first byte of the first part than was sent, and nothing to notice it by."""
    plain = proxy.speaker.request

    def garbled(asked):
        target, headers, body = plain(asked)
        if asked.part == 1:
            headers = {name: value for name, value in headers.items() if name != "content-md5"}
            body = b"x" + body[1:]
        return target, headers, body

    monkeypatch.setattr(proxy.speaker, "request", garbled)
