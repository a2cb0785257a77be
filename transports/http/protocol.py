"""The protocol of one connection: aiohttp's, with a parser only for an answer that needs one (`fast_response`)."""

import asyncio
import ssl
from typing import cast

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from transports.http.bulk_body import BulkBody
from transports.http.fast_response import parse_fast_response
from transports.http.tls import TlsTransport

BUFFER = 1 << 18  # bytes; a connection whose body is not read holds at most about three times as many
MAX_LINE = 16 << 10  # bytes of one header
MAX_HEADERS = 128


class HttpProtocol(ResponseHandler):
    """aiohttp's protocol, with two differences.

    An error of the parser within a body breaks the body too. A body that did not arrive completely with its head waits
    (`held`) until the exchange has decided how it is read. The parser is made when an answer needs one.
    """

    body: StreamReader | BulkBody | None = None
    held = False
    _awaits = False
    _bodiless = False

    def await_answer(self, *, bodiless: bool) -> None:
        """Expect an answer; `bodiless` is True if it has no body (HEAD)."""
        self.body = None
        self._awaits, self._bodiless = True, bodiless

    def data_received(self, data: bytes) -> None:
        """Parse bytes that have arrived."""
        if self._awaits:
            self._awaits = False
            brief = None if self._bodiless else parse_fast_response(data)
            if brief is not None:
                self.feed_data((brief, EMPTY_PAYLOAD))  # type: ignore[arg-type]  # `begin` awaits either
                return
            self.set_response_params(
                skip_payload=self._bodiless,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=BUFFER,
                max_line_size=MAX_LINE,
                max_field_size=MAX_LINE,
                max_headers=MAX_HEADERS,
            )
        expected = self._payload
        super().data_received(data)
        begun = self._payload
        if begun is not expected and begun is not None and not begun.is_eof() and self.transport is not None:
            self.held = True
            self.transport.pause_reading()

    def resume_parsing(self) -> None:
        """Read the body that waits through the parser."""
        if self.held:
            self.held = False
            if self.transport is not None and not self._reading_paused:
                self.transport.resume_reading()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Break the awaited answer, and the body that is being read."""
        super().set_exception(exc, *cause)
        body = self.body
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class TlsHttpProtocol(HttpProtocol):
    """The protocol of a connection with TLS. No request may be sent before `handshake` has returned."""

    _secured: TlsTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put TLS between the connection and this protocol."""
        self._secured = TlsTransport(cast("asyncio.Transport", transport), self)
        super().connection_made(self._secured)

    async def handshake(self, context: ssl.SSLContext, host: str) -> None:
        """Agree with the server `host` on keys. Raises ssl.SSLError, ConnectionError."""
        assert self._secured is not None
        await self._secured.handshake(context, host.rstrip("."))
