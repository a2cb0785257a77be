"""The protocol of one connection: aiohttp's, with a parser only for an answer that needs one (`fast_response`)."""

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from transports.http.bulk_body import BulkBody
from transports.http.fast_response import parse_fast_response

BUFFER = 1 << 18  # bytes; a connection that nobody reads holds at most about three times as many
MAX_LINE = 16 << 10  # bytes of one header
MAX_HEADERS = 128


class HttpProtocol(ResponseHandler):
    """aiohttp's protocol, with two gaps closed.

    What breaks the parser in mid-body also breaks the body; and a body that did not come whole with its head waits for
    whoever asked (`held`), who then decides how it is read. The parser is made when an answer needs one.
    """

    body: StreamReader | BulkBody | None = None
    held = False
    _awaits = False
    _bodiless = False

    def await_answer(self, *, bodiless: bool) -> None:
        """Take what comes next for an answer; `bodiless` says that it has no body (HEAD)."""
        self.body = None
        self._awaits, self._bodiless = True, bodiless

    def data_received(self, data: bytes) -> None:
        """Take bytes that came."""
        if self._awaits:
            self._awaits = False
            brief = None if self._bodiless else parse_fast_response(data)
            if brief is not None:
                self.feed_data((brief, EMPTY_PAYLOAD))  # type: ignore[arg-type]  # `begin` waits for either in one place
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
        """Have the body that waits read as any other."""
        if self.held:
            self.held = False
            if self.transport is not None and not self._reading_paused:
                self.transport.resume_reading()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Break the answer that is awaited, and the body that is under way."""
        super().set_exception(exc, *cause)
        body = self.body
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)
