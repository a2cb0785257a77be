"""An HTTP client on aiohttp's client session: built on public names only, and slower than `connections`.

It is used when aiohttp no longer has a private name that `connections` needs (`open_client`). Each request has a
connection of its own: the session cannot be asked whether bytes followed an answer on a connection that it reuses, and
such bytes would be taken for the answer to the next request.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from manifests.messages import message
from syncd.core import Interrupted, Refused, Sink, SyncdError, Unreachable, Unsupported
from transports.http import headers as heads
from transports.http.ports import StallLimit
from transports.http.request_body import RequestBody, blocks, length_of
from transports.net import (
    Network,
    SocketPolicy,
    StallDetector,
    basic_credentials,
    connection_error,
    current,
    make_socket,
    one_line,
    proxy_refusal,
    valid_until,
)

BUFFER = 1 << 18  # bytes
MAX_LINE = 16 << 10  # bytes of one header
MAX_HEADERS = 128
DNS_TTL = 60  # seconds
THREADS = 32  # that write bodies into files, at most
awaited: ContextVar[tuple[asyncio.Timeout, float]] = ContextVar("awaited")  # the deadline of an answer, its seconds
_OURS = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)  # written by our callers, or not at all


class SessionClient:
    """A client session; satisfies `ports.HttpClient`."""

    def __init__(
        self,
        *,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        stall_limit: StallLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
        network: Network | None = None,
    ) -> None:
        """Timeouts are in seconds; `allow_private` are the origins that may be on private addresses."""
        self._network = network
        self.clock = clock
        self.stall_limit = stall_limit if stall_limit is not None else StallLimit()
        self.certificates: dict[str, float] = {}
        self._allow_private = allow_private
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._header_timeout = header_timeout
        self._session: aiohttp.ClientSession | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._open: set[SessionAnswer] = set()

    async def ask(
        self,
        origin: str,
        request: bytes,
        *,
        label: str,
        bodiless: bool = False,
        body: RequestBody = b"",
        guard: Callable[[], None] | None = None,
    ) -> "SessionAnswer":
        """Send a request; see `ports.HttpClient`."""
        del bodiless  # the session knows it by the method
        if guard is not None:
            guard()
        session = self._session if self._session is not None else self._start()
        first, *lines = request.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, _, value = line.partition(": ")
            fields.add(name, value)
        network, proxy, more = self._network, None, dict[str, Any]()
        is_allowed, source = origin in self._allow_private, ""
        if network is not None:
            proxy, source = network.proxy_for(origin), network.source_address
            if (context := await network.ssl_context(origin)) is not None:
                more["ssl"] = context
        if network is not None and proxy is not None:
            if proxy.scheme != "http":
                raise Unsupported(
                    message("{label}: no SOCKS proxy with this version of aiohttp: install an older one", label=label)
                )
            network.check(origin, label, allowed=is_allowed)
            name, _, value = basic_credentials(proxy).rstrip("\r\n").partition(": ")
            login = {name: value} if name else {}
            more |= {"proxy": f"http://{proxy.address}", "proxy_headers": login}
            if origin.startswith("http:"):  # the request itself goes to the proxy
                fields.update(login)
        policy = SocketPolicy(is_allowed or proxy is not None, source)
        token = current.set(policy)
        limit = self._header_timeout
        try:
            async with asyncio.timeout(None) as deadline:
                awaited.set((deadline, limit))
                response = await session.request(
                    method,
                    URL(origin + target, encoded=True),
                    headers=fields,
                    data=_pieces(body, guard) if body else None,
                    allow_redirects=False,
                    **more,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable(
                message(
                    "{label}: no connection to {origin} within {connect_timeout:g} s",
                    label=label,
                    origin=origin,
                    connect_timeout=self._connect_timeout,
                )
            ) from error
        except TimeoutError as error:
            raise Unreachable(
                message("{label}: {origin} gave no answer in {limit:g} s", label=label, origin=origin, limit=limit)
            ) from error
        except aiohttp.ClientHttpProxyError as error:
            assert proxy is not None
            raise proxy_refusal(proxy, error.status, error.message, origin, label) from error
        except aiohttp.ClientResponseError as error:
            raise Refused(
                message(
                    "{label}: {origin} sent an invalid HTTP response: {line}",
                    label=label,
                    origin=origin,
                    line=one_line(error),
                )
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, UnicodeError) as error:
            raise connection_error(error, policy, origin, label) from error
        except (aiohttp.ClientError, OSError) as error:
            if policy.refused and not policy.made:
                raise connection_error(error, policy, origin, label) from error
            raise Refused(
                message(
                    "{label}: {origin} closed the connection without an answer: {line}",
                    label=label,
                    origin=origin,
                    line=one_line(error),
                )
            ) from error
        finally:
            current.reset(token)
        if proxy is not None and response.status == 407:
            response.close()
            raise proxy_refusal(proxy, 407, response.reason or "", origin, label)
        answer = SessionAnswer(self, response, origin, label)
        self._open.add(answer)
        try:
            answer.begin()
        except SyncdError:
            answer.close()
            raise
        return answer

    def threads(self) -> Executor:
        """Return the threads in which sinks run."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="session-sink")
        return self._threads

    def forget(self, answer: "SessionAnswer") -> None:
        """Drop an answer that is closed."""
        self._open.discard(answer)

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        for answer in tuple(self._open):
            answer.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # closed sockets leave the loop in its next turn

    def _start(self) -> aiohttp.ClientSession:
        certificates = self.certificates

        class SessionResponse(aiohttp.ClientResponse):
            """A response that records the certificate and the protocol before a short body releases them."""

            async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
                """Read the head of the answer."""
                expiry = valid_until(connection.transport)
                if expiry is not None:
                    certificates[str(self.url.origin())] = expiry
                self.spoken = connection.protocol
                _extend()
                return await super().start(connection)

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                force_close=True,
                ttl_dns_cache=DNS_TTL,
                ssl=self._ssl_context if self._ssl_context is not None else True,
                socket_factory=make_socket,
            ),
            response_class=SessionResponse,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
            skip_auto_headers=_OURS,
            auto_decompress=False,
            read_bufsize=BUFFER,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        return self._session


class SessionAnswer:
    """One response of the session; satisfies `ports.HttpAnswer`."""

    def __init__(self, client: SessionClient, response: aiohttp.ClientResponse, origin: str, label: str) -> None:
        self._client = client
        self._response = response
        self._origin = origin
        self._label = label
        limit = client.stall_limit
        self._detector = StallDetector(label, (limit.rate, limit.window), client.clock)
        self._protocol = getattr(response, "spoken", None)
        self.status = response.status
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        self.is_delimited = True
        self.received = 0

    def begin(self) -> None:
        """Read the headers. Raises Refused for control characters, Unsupported for an unknown transfer coding."""
        self.headers = headers = heads.joined(self._response.headers, f"{self._label}: {self._origin}")
        coding = heads.transfer_coding(headers)
        if self.status < 200 or coding not in (None, "chunked"):
            raise Unsupported(
                message(
                    "{label}: {origin} answered {status} with transfer coding {coding}",
                    label=self._label,
                    origin=self._origin,
                    status=self.status,
                    coding=coding,
                )
            )
        self.length = heads.length(headers)
        self.is_delimited = self.length is not None or coding is not None

    async def read(self) -> bytes:
        """Return the next bytes of the body; see `ports.HttpAnswer`."""
        try:
            chunk = await self._detector.read(self._response.content.readany)
        except SyncdError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise Interrupted(
                message("{label}: {far}: {line}", label=self._label, far=self._so_far(), line=one_line(error))
            ) from error
        self.received += len(chunk)
        return chunk

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Pass the body to `sink` in a thread; yield the number of bytes after each step."""
        loop, threads = asyncio.get_running_loop(), self._client.threads()
        while chunk := await self.read():
            await loop.run_in_executor(threads, sink, memoryview(chunk))
            yield len(chunk)

    def is_at_end(self) -> bool:
        """Return True if every byte of the body was read."""
        return self._response.content.at_eof()

    def finish(self) -> None:
        """Raise Interrupted if the body was cut short, or if more bytes followed it."""
        error = self._protocol.exception() if self._protocol is not None else None
        if isinstance(error, aiohttp.http.HttpProcessingError):
            raise Interrupted(
                message(
                    "{label}: more than the announced {received} bytes arrived",
                    label=self._label,
                    received=self.received,
                )
            )
        if not self.is_delimited and isinstance(error, aiohttp.ClientOSError):
            raise Interrupted(
                message("{label}: {far}: the connection was reset", label=self._label, far=self._so_far())
            )

    async def drain_and_close(self) -> None:
        """Close an answer whose body is not needed."""
        self.close()

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._response.close()
        self._client.forget(self)

    def discard_connection(self) -> None:
        """Do nothing: no connection is reused."""

    def _so_far(self) -> str:
        if self.length is None:
            return message("broke off after {received} bytes", received=self.received)
        return message("broke off after {received} of {length} bytes", received=self.received, length=self.length)


async def _pieces(body: RequestBody, guard: Callable[[], None] | None) -> AsyncIterator[memoryview]:
    """Yield a body; the time for an answer starts again with each piece that is sent."""
    left = length_of(body)
    for block in blocks(body, BUFFER, 0):
        for piece in block:
            left -= len(piece)
            if guard is not None and not left:
                guard()
            yield piece
            _extend()


def _extend() -> None:
    """Start the time for an answer again."""
    deadline, limit = awaited.get()
    with suppress(RuntimeError):  # it has passed
        deadline.reschedule(asyncio.get_running_loop().time() + limit)
