"""What a server on loopback can do to us: each fault is played once, on one exchange, in place of a polite reply.

They are planned with `HostileServer.fault` (tests/hostile/server.py). Nothing here sleeps but `Drip`, and what must not
overtake what was sent before it (20 ms); what hangs, hangs until the client goes away or the server is closed.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

REASONS = {
    200: "OK",
    206: "Partial Content",
    404: "Not Found",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
}


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of an end."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Request:
    """What a client sent; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path).removeprefix("/")


@dataclass
class Answer:
    """What is sent back, if no fault interferes; `Content-Length` is added unless it is there."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    bodiless: bool = False

    def head(self, length: int | None = -1) -> bytes:
        """Write the head; `length` None leaves Content-Length out, -1 is the true one."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Whatever')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if length is not None:
            lines.append(f"Content-Length: {len(self.body) if length == -1 else length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class Exchange:
    """One request, the polite answer to it, and the wire, for a fault to play on."""

    server: Any
    request: Request
    answer: Answer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_over: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> None:
        """Answer politely."""
        body = b"" if self.answer.bodiless else self.answer.body
        await self.send(self.answer.head() + body)

    def close(self) -> None:
        """Close the connection after this answer."""
        self.is_over = True

    def reset(self) -> None:
        """Close it now, with a reset."""
        self.is_over = True
        reset(self.writer)

    async def until_gone(self) -> None:
        """Wait until the client closes the connection."""
        self.is_over = True
        while await self.reader.read(1 << 16):
            pass


class Fault:
    """Something that goes wrong once; `play` is given the exchange in place of a polite reply."""

    async def play(self, exchange: Exchange) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Truncate(Fault):
    """The announced length, but only `after` bytes of it, then a clean close."""

    after: int

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(exchange.answer.head() + exchange.answer.body[: self.after])
        exchange.close()


@dataclass(frozen=True)
class NoLength(Fault):
    """No length at all: the end of the connection is the end of the body, here after `after` bytes; `reset` breaks it."""

    after: int | None = None
    reset: bool = False

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(exchange.answer.head(None) + exchange.answer.body[: self.after])
        exchange.close()
        if self.reset:
            await asyncio.sleep(0.02)  # a reset overtakes what is still on its way
            exchange.reset()


@dataclass(frozen=True)
class Chunked(Fault):
    """The body in chunks of `size`; cut off after `cut` of them, or with a `bad` line after them, or extra bytes."""

    size: int = 1000
    cut: int | None = None
    bad: bytes = b""
    also: bytes = b""

    async def play(self, exchange: Exchange) -> None:
        exchange.answer.headers.append(("Transfer-Encoding", "chunked"))
        await exchange.send(exchange.answer.head(None))
        body = exchange.answer.body + self.also
        parts = [body[at : at + self.size] for at in range(0, len(body), self.size)]
        for part in parts[: self.cut]:
            await exchange.send(b"%x\r\n%b\r\n" % (len(part), part))
        if self.bad:
            await exchange.send(self.bad)
            await exchange.until_gone()
        elif self.cut is not None:
            exchange.close()
        else:
            await exchange.send(b"0\r\n\r\n")


@dataclass(frozen=True)
class Extra(Fault):
    """A whole answer, and `extra` bytes behind it; with `later` they are sent apart, once it is set: this clears it."""

    extra: bytes
    later: asyncio.Event | None = None

    async def play(self, exchange: Exchange) -> None:
        answer = exchange.answer.head() + exchange.answer.body
        if self.later is not None:
            await exchange.send(answer)
            await self.later.wait()
            await exchange.send(self.extra)
            self.later.clear()
        else:
            await exchange.send(answer + self.extra)


@dataclass(frozen=True)
class Raw(Fault):
    """Bytes that are written as they are; then the connection is closed."""

    answer: bytes

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(self.answer)
        exchange.close()


@dataclass(frozen=True)
class Header(Fault):
    """The polite answer with one header more, `times` over."""

    name: str
    value: str
    times: int = 1

    async def play(self, exchange: Exchange) -> None:
        exchange.answer.headers += [(self.name, self.value)] * self.times
        await exchange.reply()


@dataclass(frozen=True)
class Endless(Fault):
    """A body without announced length and without end."""

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(exchange.answer.head(None))
        exchange.close()
        while not exchange.reader.at_eof() and not exchange.writer.is_closing():
            await exchange.send(bytes(1 << 16))


@dataclass(frozen=True)
class Drip(Fault):
    """The polite answer, `step` bytes of the body every `every` seconds."""

    step: int = 1
    every: float = 0.01

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(exchange.answer.head())
        body = exchange.answer.body
        for at in range(0, len(body), self.step):
            if exchange.writer.is_closing():
                break
            await exchange.send(body[at : at + self.step])
            await asyncio.sleep(self.every)


@dataclass(frozen=True)
class Hang(Fault):
    """Silence: before the answer, or after so many bytes of the body; of `answer`, if it is given, or the polite one."""

    after: int | None = None
    answer: Answer | None = None

    async def play(self, exchange: Exchange) -> None:
        answer = self.answer if self.answer is not None else exchange.answer
        if self.after is not None:
            await exchange.send(answer.head() + answer.body[: self.after])
        await exchange.until_gone()


@dataclass(frozen=True)
class Reset(Fault):
    """A reset: before the answer, or after so many bytes of the body."""

    after: int | None = None

    async def play(self, exchange: Exchange) -> None:
        if self.after is not None:
            await exchange.send(exchange.answer.head() + exchange.answer.body[: self.after])
            await asyncio.sleep(0.02)  # a reset overtakes what is still on its way
        exchange.reset()


@dataclass(frozen=True)
class CloseAfter(Fault):
    """The polite answer, which promises to keep the connection, and then a close all the same."""

    async def play(self, exchange: Exchange) -> None:
        await exchange.reply()
        exchange.close()


@dataclass(frozen=True)
class CloseUnanswered(Fault):
    """No answer: the connection is closed in good order, as a server does that was just about to close it."""

    async def play(self, exchange: Exchange) -> None:
        exchange.close()


@dataclass(frozen=True)
class IgnoreRange(Fault):
    """The whole file with status 200, whatever range was asked for."""

    async def play(self, exchange: Exchange) -> None:
        exchange.request.headers.pop("range", None)
        exchange.answer = exchange.server.polite(exchange.request)
        await exchange.reply()


@dataclass(frozen=True)
class Rewrite(Fault):
    """The polite answer with some headers replaced (None takes one out) and perhaps another status or body."""

    headers: dict[str, str | None] = field(default_factory=dict)
    status: int | None = None
    body: bytes | None = None

    async def play(self, exchange: Exchange) -> None:
        answer = exchange.answer
        new = {name.lower() for name in self.headers}
        answer.headers = [(name, value) for name, value in answer.headers if name.lower() not in new]
        answer.headers += [(name, value) for name, value in self.headers.items() if value is not None]
        answer.status = answer.status if self.status is None else self.status
        answer.body = answer.body if self.body is None else self.body
        await exchange.reply()


def wrong_range(start: int, stop: int, total: int | str) -> Rewrite:
    """Return a fault that answers a range with another Content-Range."""
    return Rewrite({"Content-Range": f"bytes {start}-{stop - 1}/{total}"})


def login_page() -> Rewrite:
    """Return a fault that answers 200 with an HTML page where data was expected."""
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>...</form></body></html>"
    return Rewrite({"Content-Type": "text/html", "ETag": None, "Last-Modified": None, "Content-Range": None}, 200, page)


@dataclass(frozen=True)
class Gzip(Fault):
    """The body compressed, although nobody asked for it."""

    async def play(self, exchange: Exchange) -> None:
        exchange.answer.headers.append(("Content-Encoding", "gzip"))
        exchange.answer.body = gzip.compress(exchange.answer.body)
        await exchange.reply()


@dataclass(frozen=True)
class Status(Fault):
    """A status with headers and a short body, e.g. `Status(503, {"Retry-After": "7"})`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"no\n"

    async def play(self, exchange: Exchange) -> None:
        bodiless = exchange.answer.bodiless
        exchange.answer = Answer(self.status, list(self.headers.items()), self.body, bodiless)
        await exchange.reply()


def redirect(location: str, status: int = 302) -> Status:
    """Return a fault that redirects."""
    return Status(status, {"Location": location})


@dataclass(frozen=True)
class Swap(Fault):
    """A polite answer, after which the file has other content (None: is gone)."""

    content: bytes | None

    async def play(self, exchange: Exchange) -> None:
        await exchange.reply()
        path = exchange.request.path
        if self.content is None:
            exchange.server.remove(path)
        else:
            exchange.server.put(path, self.content)


@dataclass(frozen=True)
class Instead(Fault):
    """The answer that `make` returns for the request and the polite answer."""

    make: Callable[[Request, Answer], Answer]

    async def play(self, exchange: Exchange) -> None:
        exchange.answer = self.make(exchange.request, exchange.answer)
        await exchange.reply()
