"""Stands between us and a real S3 server, forwards what it gets, and does wrong what a test asks it to, once each.

A fault is a function of method, target and body that says whether the request is meant; what happens then is its `act`:
an answer of our own, the server's answer never delivered (`lost`), or the server's answer replaced after it acted.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.servers.loopback import LoopbackServer

Meant = Callable[[str, str], bool]


def answer(status, body, *headers):
    head = [f"HTTP/1.1 {status} X", "Content-Type: application/xml", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def error(status, code, *headers):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>"
    return answer(status, body.encode(), *headers)


SLOW_DOWN = error(503, "SlowDown", "Retry-After: 7")


@dataclass
class Fault:
    meant: Meant
    reply: bytes | None  # None: the connection is cut
    after: bool = False  # the server gets the request first, and acts on it
    times: int = 1
    rewrite: Callable[[bytes], bytes] | None = None  # of the request's head
    garbled: Callable[[bytes], bytes] | None = None  # what the server gets instead of the body
    delay: float = 0.0  # seconds before anything happens
    answers: bool = True  # False: instead of the reply, nothing comes, and the connection stays
    passes: bool = False  # the server's own answer is passed on; for a delay

    @property
    def acts_before(self):
        return self.rewrite is not None or self.garbled is not None


@dataclass
class Proxy(LoopbackServer):
    endpoint: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    tls: bool | ssl.SSLContext = False
    connections: int = 0

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def fail(self, meant, reply=None, **more):
        self.faults.append(Fault(meant, reply, **more))

    def assert_spent(self):
        left = [fault for fault in self.faults if fault.times > 0]
        assert not left, f"{len(left)} faults were never reached; seen: {self.seen[-20:]}"

    def count(self, method, part=""):
        return sum(one == method and part in target for one, target in self.seen)

    def _security(self):
        return self.tls if isinstance(self.tls, ssl.SSLContext) else None

    async def _serve(self, reader, writer):
        self.connections += 1
        parts = urlsplit(self.endpoint)
        behind, onward = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        try:
            while await self._one(reader, writer, behind, onward):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, onward):
                end.close()

    async def _one(self, reader, writer, behind, onward):
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.seen.append((method, target))
        body = await reader.readexactly(length_of(head))
        fault = next((one for one in self.faults if one.times > 0 and one.meant(method, target)), None)
        if fault is not None:
            fault.times -= 1
            await asyncio.sleep(fault.delay)
            if fault.rewrite is not None:
                head = fault.rewrite(head)
            elif fault.garbled is not None:
                body = fault.garbled(body)
            elif not fault.after and not fault.passes:
                return await self._reply(writer, fault.reply)
        onward.write(head + body)
        await onward.drain()
        forward = None if fault is None or fault.acts_before or fault.passes else fault
        if not await self._answer(behind, None if forward is not None else writer, method):
            return False
        if forward is not None and not forward.answers:
            await reader.read()  # until the client gives up
            return False
        return True if forward is None else await self._reply(writer, forward.reply)

    async def _reply(self, writer, reply):
        if reply is None:
            writer.transport.abort()
            return False
        writer.write(reply)
        await writer.drain()
        return b"connection: close" not in reply.lower()

    async def _answer(self, behind, writer, method):
        """Pass the server's answer on, or swallow it; False if the connection ends with it."""
        head = await behind.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await behind.readuntil(b"\r\n\r\n")
        if writer is not None:
            writer.write(head)
        status = int(head[9:12])
        if method != "HEAD" and status not in (204, 304):
            if b"chunked" in head.lower():
                while True:
                    line = await behind.readline()
                    chunk = await behind.readexactly(int(line, 16) + 2)
                    if writer is not None:
                        writer.write(line + chunk)
                    if line.strip() == b"0":
                        break
            else:
                left = length_of(head)
                while left:
                    chunk = await behind.read(min(left, 1 << 16))
                    if not chunk:
                        return False
                    left -= len(chunk)
                    if writer is not None:
                        writer.write(chunk)
                        await writer.drain()
        if writer is not None:
            await writer.drain()
        return b"connection: close" not in head.lower()


def length_of(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
