"""What strangers can hold of the HTTP server is bounded: connections, time, and lines of the log."""

import asyncio
import contextlib
import logging

import aiohttp
import pytest
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine

from syncd.api.connections import MOST_CONNECTIONS, QUIET, ConnectionLimit, MalformedRequests
from tests.api.conftest import served_by


async def connect(session):
    url = session.served.url.removeprefix("http://")
    host, _, port = url.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def is_closed(reader):
    """Whether the server closes it, and soon."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(120):
            return await reader.read(1) == b""
    return False


@pytest.mark.promise("P9")
async def test_idle_connections_make_room_for_new_ones(control):
    async with served_by(control, most=4) as session:
        idle = [await connect(session) for _ in range(12)]
        assert [await is_closed(reader) for reader, _ in idle[:8]] == [True] * 8
        async with session.get("/livez") as answer:  # takes the place of one more
            assert answer.status == 200
        assert await is_closed(idle[8][0])
        for _, writer in idle:
            writer.close()


async def test_a_connection_with_a_request_in_progress_is_not_closed(control):
    async with served_by(control, most=2) as session, session.get("/api/v1/events") as stream:
        assert stream.status == 200
        others = [await connect(session) for _ in range(6)]
        assert await is_closed(others[0][0])
        assert (await stream.content.readany()).startswith(b"")
        assert not stream.connection.transport.is_closing()
        for _, writer in others:
            writer.close()


async def test_where_all_are_busy_a_new_connection_is_refused(control):
    async with (
        served_by(control, most=1) as session,
        session.get("/api/v1/events") as stream,
        aiohttp.ClientSession(session.served.url) as other,
    ):
        assert stream.status == 200
        with pytest.raises(aiohttp.ClientError):
            await other.get("/livez")


def test_passes_keep_most_of_the_descriptors(monkeypatch):
    for soft, most in ((256, 64), (1024, 256), (65536, MOST_CONNECTIONS), (-1, MOST_CONNECTIONS), (10, 16)):
        monkeypatch.setattr("resource.getrlimit", lambda _kind, soft=soft: (soft, soft))
        assert ConnectionLimit().most == most


async def test_malformed_requests_are_one_short_line(control, caplog):
    async with served_by(control) as session:
        for _ in range(20):
            reader, writer = await connect(session)
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA b: \x00\r\n\r\n")
            assert (await reader.read(12)).startswith(b"HTTP/1.")
            writer.close()
    told = [record for record in caplog.records if "HTTP" in record.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info is None
    assert told[0].levelno == logging.WARNING
    assert "\n" not in told[0].getMessage()
    assert len(told[0].getMessage()) < 120


def test_a_later_line_counts_those_that_were_left_out():
    now = [0.0]
    quiet = MalformedRequests(lambda: now[0])

    def record(error):
        return logging.LogRecord("x", logging.ERROR, "", 0, "Error from %s", ("::1",), (type(error), error, None))

    shown = [quiet.filter(record(BadStatusLine("x"))) for _ in range(5)]
    assert shown == [True, False, False, False, False]
    now[0] = QUIET
    last = record(BadHttpMethod("x"))
    assert quiet.filter(last)
    assert last.getMessage() == "malformed HTTP request from ::1: BadHttpMethod (4 more since the last such line)"
    bug = record(ValueError("a bug"))
    assert quiet.filter(bug)
    assert bug.exc_info is not None
