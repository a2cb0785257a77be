"""An answer that is read past the parser is one that the parser would have read, and as the parser would have read it."""

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, HttpResponseParser
from hypothesis import given, strategies as st

from transports.http.fast_response import parse_fast_response

PLAIN = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 22:27:00 GMT\r\nContent-Type: text/plain\r\n"
    b'Content-Length: 5\r\nConnection: keep-alive\r\nETag: "x-5"\r\n\r\nhello'
)


def test_a_plain_answer_is_read_with_its_headers_in_lower_case():
    brief = parse_fast_response(PLAIN)
    assert (brief.status, brief.headers["etag"], brief.headers["content-length"]) == (200, '"x-5"', "5")
    assert (brief.is_eof(), brief.at_eof()) == (True, False)
    assert asyncio.run(brief.readany()) == b"hello"
    assert (brief.at_eof(), asyncio.run(brief.readany())) == (True, b"")


def test_a_part_and_an_empty_file_are_plain_too():
    assert parse_fast_response(PLAIN.replace(b"200 OK", b"206 Partial Content")).status == 206
    assert parse_fast_response(PLAIN.replace(b"Length: 5", b"Length: 0").removesuffix(b"hello")).at_eof()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"hello", b"hell"),
        (b"hello", b"hello\r\n"),
        (b"hello", b"helloHTTP/1.1 200 OK\r\n\r\n"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"http/1.1"),
        (b"200 OK", b"404 Not Found"),
        (b"200 OK", b"302 Found"),
        (b"200 OK", b"100 Continue"),
        (b"200 OK", b"2000 OK"),
        (b"200 OK", b"200 O\xffK"),
        (b"Content-Length: 5\r\n", b""),
        (b"Content-Length: 5", b"Content-Length: +5"),
        (b"Content-Length: 5", b"Content-Length: 5, 5"),
        (b"Content-Length: 5", b"Content-Length : 5"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nX-A: 1\r\nx-a: 2"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Content-Length: 5\r\n folded"),
        (b"Content-Length: 5", b"Content-Length: 5\nX: y"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nX: \x00"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nX: caf\xc3\xa9"),
        (b"Content-Length: 5", b"Content-Length: 5\r\n: nameless"),
        (b"keep-alive", b"close"),
        (b"keep-alive", b"upgrade\r\nUpgrade: h2c"),
        (b"ETag", b"X" * 9000),
    ],
)
def test_whatever_is_not_plain_is_left_to_the_parser(old, new):
    piece = PLAIN.replace(old, new)
    assert piece != PLAIN
    assert parse_fast_response(piece) is None


def parsed(piece):
    """Return what aiohttp's parser makes of a piece: status, headers, body; None where it refuses it or wants more."""

    async def feed():
        loop = asyncio.get_running_loop()
        parser = HttpResponseParser(
            ResponseHandler(loop), loop, 1 << 18, response_with_body=True, read_until_eof=True, auto_decompress=False
        )
        try:
            messages, upgraded, tail = parser.feed_data(piece)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or tail:
            return None
        message, payload = messages[0]
        if not payload.is_eof() or message.should_close:
            return None
        headers = {name.lower(): value for name, value in message.headers.items()}
        return message.code, headers, b"" if payload.at_eof() else payload.read_nowait()

    return asyncio.run(feed())


names = st.sampled_from(
    ["Server", "ETag", "X-A", "x-a", "Content-Length", "Connection", "Transfer-Encoding", "Vary", "A b"]
)
values = st.sampled_from(
    ["", "5", "05", "0", "keep-alive", "close", "chunked", '"v"', "a: b", " padded\t", "\x7f", "é", "x\ry"]
)
lines = st.lists(st.tuples(names, st.sampled_from([":", ": ", " : ", ""]), values), max_size=6)


@given(
    st.sampled_from(
        ["HTTP/1.1 200 OK", "HTTP/1.1 206 Partial Content", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 204 No"]
    ),
    lines,
    st.sampled_from(["\r\n", "\r\n", "\n"]),
    st.sampled_from([b"", b"hello", b"hello!"]),
)
def test_what_is_read_is_what_the_parser_reads(status, headers, end, body):
    head = end.join([status, "Content-Length: 5", *(name + mark + value for name, mark, value in headers), "", ""])
    piece = head.encode() + body
    if (brief := parse_fast_response(piece)) is not None:
        assert (brief.status, brief.headers, brief.content) == parsed(piece)


@given(st.integers(0, len(PLAIN) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_an_answer_with_any_bytes_changed_is_read_as_the_parser_reads_it_or_not_at_all(at, new, dropped):
    piece = PLAIN[:at] + new + PLAIN[at + dropped :]
    if (brief := parse_fast_response(piece)) is not None:
        assert (brief.status, brief.headers, brief.content) == parsed(piece)
