"""Bodies that break, stall, lie about their length or come in another coding: faults 1 to 9, 14, 15."""

import asyncio
import gzip

import pytest

from syncd.core.errors import Interrupted, Refused, Unreachable, Unsupported
from tests.hostile.faults import (
    Chunked,
    CloseAfter,
    CloseUnanswered,
    Drip,
    Endless,
    Extra,
    Gzip,
    Hang,
    Header,
    NoLength,
    Raw,
    Reset,
    Rewrite,
    Truncate,
)
from tests.hostile.http_case import CONTENT, at, hostile, read
from tests.hostile.server import HostileServer


async def sent_later(extra):
    """Have the extra bytes sent, and wait until they are here."""
    extra.set()
    while extra.is_set():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


@pytest.mark.fault(1)
async def test_a_body_shorter_than_announced_is_interrupted_after_what_came():
    async with hostile() as (server, transport):
        server.fault("x", Truncate(after=100))
        async with transport.open("x") as body:
            chunks = aiter(body)
            assert await anext(chunks) == CONTENT[:100]
            with pytest.raises(Interrupted, match=r"^x: .*broke off after 100 of 10240"):
                await anext(chunks)
        assert await read(transport, "x") == CONTENT
        server.assert_spent()


@pytest.mark.fault(9)
@pytest.mark.parametrize("after", [1, 100])
async def test_a_reset_in_mid_body_is_interrupted(after):
    async with hostile() as (server, transport):
        server.fault("x", Reset(after=after))
        with pytest.raises(Interrupted, match=r"^x: "):
            await read(transport, "x")
        server.assert_spent()


@pytest.mark.fault(2)
async def test_a_body_that_ends_with_its_connection_is_read_and_says_that_its_size_is_unknown():
    async with hostile() as (server, transport):
        server.fault("x", NoLength())
        async with transport.open("x") as body:
            assert (body.stat.size, body.stop) == (None, None)
            assert b"".join([chunk async for chunk in body]) == CONTENT


@pytest.mark.fault(2, 9)
async def test_a_reset_is_no_end_of_a_body_without_length():
    async with hostile() as (server, transport):
        server.fault("x", NoLength(after=100, reset=True))
        with pytest.raises(Interrupted, match=r"^x: .*reset"):
            await read(transport, "x")


async def test_chunks_are_read_and_their_connection_is_used_again():
    async with hostile() as (server, transport):
        server.fault("x", Chunked(), times=2)
        assert await read(transport, "x") == CONTENT
        assert await read(transport, "x") == CONTENT
        assert server.connections == 1
        server.assert_spent()


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    "fault", [Chunked(cut=3), Chunked(cut=3, bad=b"ZZ\r\n"), Chunked(cut=0, bad=b"-5\r\nhello\r\n")]
)
async def test_chunks_that_are_cut_or_nonsense_are_interrupted_at_once(fault):
    async with hostile() as (server, transport):
        server.fault("x", fault)
        async with asyncio.timeout(120):
            with pytest.raises((Interrupted, Refused), match=r"^x: "):
                await read(transport, "x")
        assert await read(transport, "x") == CONTENT
        server.assert_spent()


@pytest.mark.fault(4)
async def test_a_part_longer_than_its_range_is_cut_off_with_an_error():
    async with hostile() as (server, transport):
        server.fault("x", Chunked(also=b"more"))
        with pytest.raises(Interrupted, match=r"^x: more (bytes|than)"):
            assert len(await read(transport, "x", start=10, stop=20)) == 10
        assert await read(transport, "x", start=10, stop=20) == CONTENT[10:20]
        assert server.connections == 2


@pytest.mark.fault(4)
@pytest.mark.parametrize("extra", [b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
@pytest.mark.parametrize("later", [False, True])
async def test_bytes_behind_an_answer_never_reach_the_next_read(extra, later):
    async with hostile({"x": CONTENT, "y": b"other"}) as (server, transport):
        taken = asyncio.Event()
        server.fault("x", Extra(extra, taken if later else None))
        if later:
            assert await read(transport, "x") == CONTENT
            await sent_later(taken)
        else:
            with pytest.raises((Interrupted, Refused), match=r"^x: "):
                await read(transport, "x")
        assert await read(transport, "y") == b"other"
        assert server.connections == 2
        server.assert_spent()


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "fault",
    [
        Header("Content-Length", "10240"),
        Header("Content-Length", "7"),
        Header("X-Bomb", "b" * 8000, times=200),
        Header("X-Long", "b" * 70_000),
        Header("X-Ctrl", "a\x00b"),
        Header("X-Ctrl", "a\x1bb"),
        Header("X-Cr", "a\rb"),
        Header("Transfer-Encoding", "chunked"),
        Raw(b"<html>this is no HTTP</html>"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    ],
)
async def test_a_broken_head_is_refused_so_that_the_origin_is_left_in_peace_for_a_while(fault):
    async with hostile() as (server, transport):
        server.fault("x", fault)
        with pytest.raises(Refused, match=r"^x: "):
            await read(transport, "x")
        assert await read(transport, "x") == CONTENT
        server.assert_spent()


@pytest.mark.fault(14, 15)
@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
async def test_a_transfer_coding_that_would_have_to_be_unpacked_is_refused(coding):
    async with hostile() as (server, transport):
        server.fault("x", Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\nxxxxx" % coding.encode()))
        with pytest.raises((Unsupported, Refused), match=r"^x: "):
            await read(transport, "x")


async def test_headers_in_the_old_character_set_are_no_fault():
    async with hostile() as (server, transport):
        server.fault("x", Header("Content-Disposition", 'attachment; filename="\xe9t\xe9"'))
        async with transport.open("x") as body:
            assert body.headers["content-disposition"] == 'attachment; filename="été"'


async def test_headers_that_come_twice_are_joined():
    async with hostile() as (server, transport):
        twice = b'HTTP/1.1 200 OK\r\nVia: a\r\nContent-Length: 2\r\nvia: b\r\nVIA: c\r\nETag: "e"\r\n\r\nxy'
        server.fault("x", Raw(twice))
        async with transport.open("x") as body:
            assert (body.headers["via"], body.stat.version) == ("a, b, c", '"e"')
            assert b"".join([chunk async for chunk in body]) == b"xy"
        server.assert_spent()


async def test_early_hints_are_not_the_answer():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with hostile() as (server, transport):
        server.fault("x", Raw(early + early + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
        assert await read(transport, "x") == b"hello"
        server.fault("x", Raw(early * 20 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
        with pytest.raises(Unsupported, match=r"^x: "):
            await read(transport, "x")


async def test_a_switch_to_another_protocol_is_refused():
    async with hostile() as (server, transport):
        server.fault(
            "x", Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nx")
        )
        with pytest.raises((Unsupported, Refused), match=r"^x: "):
            await read(transport, "x")
        assert await read(transport, "x") == CONTENT


@pytest.mark.fault(6)
async def test_an_endless_body_stops_when_the_reader_stops_and_its_connection_is_gone():
    async with hostile() as (server, transport):
        server.fault("x", Endless())
        async with transport.open("x") as body:
            came = 0
            async for chunk in body:
                came += len(chunk)
                if came > len(CONTENT):
                    break
        assert await read(transport, "x") == CONTENT
        assert server.connections == 2


@pytest.mark.fault(14)
async def test_an_answer_that_is_compressed_although_asked_not_to_be_is_taken_as_it_comes():
    async with hostile() as (server, transport):
        server.fault("x", Gzip())
        assert gzip.decompress(await read(transport, "x")) == CONTENT
        assert server.requests[0].headers["accept-encoding"] == "identity"
        assert await read(transport, "x") == CONTENT


@pytest.mark.fault(7)
async def test_a_dripping_body_is_cut_off_as_stalled():
    async with hostile(floor=(2_000, 1.0)) as (server, transport):
        server.fault("x", Drip(step=1, every=0.01))
        async with asyncio.timeout(120):
            with pytest.raises(Interrupted, match=r"^x: .*stalled, \d+ bytes in 1 s"):
                await read(transport, "x")
        assert await read(transport, "x") == CONTENT


@pytest.mark.fault(7)
async def test_a_slow_body_above_the_floor_is_left_alone():
    async with hostile(floor=(1_000, 1.0)) as (server, transport):
        server.fault("x", Drip(step=400, every=0.1))  # for two windows and more
        assert await read(transport, "x") == CONTENT


async def test_a_slow_reader_is_not_blamed_on_upstream():
    async with hostile({"x": bytes(8 << 20)}, floor=(100_000_000, 0.5)) as (_, transport):
        count = 0
        async with transport.open("x") as body:
            async for chunk in body:
                count += len(chunk)
                await asyncio.sleep(0.04)
        assert count == 8 << 20


@pytest.mark.fault(8)
async def test_silence_in_mid_body_is_cut_off_as_stalled():
    async with hostile(floor=(1, 1.0)) as (server, transport):
        server.fault("x", Hang(after=10))
        async with asyncio.timeout(120):
            with pytest.raises(Interrupted, match="stalled"):
                await read(transport, "x")


@pytest.mark.fault(8)
async def test_silence_before_the_answer_is_unreachable():
    async with hostile(header_timeout=1.0) as (server, transport):
        server.fault("x", Hang())
        async with asyncio.timeout(120):
            with pytest.raises(Unreachable, match=r"^x: .*no answer in 1 s"):
                await read(transport, "x")
        assert await read(transport, "x") == CONTENT


@pytest.mark.parametrize("fault", [Reset(), CloseUnanswered()])
async def test_a_fresh_connection_that_dies_without_an_answer_is_refused(fault):
    async with hostile() as (server, transport):
        server.fault("x", fault)
        with pytest.raises(Refused, match=r"^x: .*without an answer"):
            await read(transport, "x")
        assert server.connections == 1


@pytest.mark.parametrize("fault", [Reset(), CloseUnanswered()])
async def test_a_kept_connection_that_dies_without_an_answer_is_replaced_at_once(fault):
    async with hostile() as (server, transport):
        assert await read(transport, "x") == CONTENT
        server.fault("x", fault)
        assert await read(transport, "x") == CONTENT
        assert server.connections == 2
        server.assert_spent()


async def test_a_kept_connection_that_was_closed_in_the_meantime_is_not_used():
    async with hostile() as (server, transport):
        server.fault("x", CloseAfter())
        assert await read(transport, "x") == CONTENT
        assert await read(transport, "x") == CONTENT
        assert server.connections == 2


@pytest.mark.promise("P9")
async def test_a_body_that_nobody_reads_does_not_fill_the_memory():
    async with hostile({"x": bytes(64 << 20)}) as (_, transport), transport.open("x") as body:
        await asyncio.sleep(0.05)
        first = await anext(aiter(body))
        assert len(first) < 4 << 20


async def test_a_cancelled_read_closes_its_connection_and_stays_cancelled():
    async with hostile() as (server, transport):
        server.fault("x", Hang(after=10))
        first = asyncio.Event()

        async def reading():
            async with transport.open("x") as body:
                async for _ in body:
                    first.set()

        task = asyncio.create_task(reading())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await read(transport, "x") == CONTENT
        assert server.connections == 2


async def test_closing_the_transport_ends_its_reads():
    async with hostile() as (server, transport):
        server.fault("x", Hang(after=10))
        async with transport.open("x") as body:
            chunks = aiter(body)
            assert await anext(chunks) == CONTENT[:10]
            await transport.aclose()
            with pytest.raises(Interrupted, match=r"^x: "):
                await anext(chunks)
        await transport.aclose()


async def test_a_length_of_a_part_that_is_not_its_range_is_interrupted():
    async with hostile() as (server, transport):
        server.fault("x", Rewrite(body=CONTENT[10:15]))
        with pytest.raises(Interrupted, match="10 bytes is announced as 5"):
            await read(transport, "x", start=10, stop=20)


LONG = bytes(range(256)) * (12 << 10)  # 3 MiB: read past the parser


async def test_long_bodies_follow_one_another_on_one_connection():
    async with hostile({"x": LONG, "y": b"short"}) as (server, transport):
        for _ in range(3):
            assert await read(transport, "x") == LONG
            assert await read(transport, "x", start=1, stop=2 << 20) == LONG[1 : 2 << 20]
            assert await read(transport, "y") == b"short"
        assert server.connections == 1


@pytest.mark.fault(1, 8, 9)
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Truncate(after=2 << 20), "broke off after 2097152 of 3145728 bytes"),
        (Reset(after=2 << 20), "broke off after 2097152 of 3145728 bytes"),
        (Hang(after=2 << 20), "broke off after 2097152 of 3145728 bytes: stalled"),
        (Truncate(after=1000), "broke off after 1000 of 3145728 bytes"),
    ],
)
async def test_a_long_body_that_breaks_is_interrupted_after_all_that_came(fault, why):
    async with hostile({"x": LONG}, floor=(1, 1.0)) as (server, transport):
        server.fault("x", fault)
        with pytest.raises(Interrupted, match=rf"^x: {why}"):
            await read(transport, "x")
        assert await read(transport, "x") == LONG
        server.assert_spent()


@pytest.mark.fault(4)
@pytest.mark.parametrize("extra", [b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
@pytest.mark.parametrize("later", [False, True])
async def test_bytes_behind_a_long_answer_never_reach_the_next_read(extra, later):
    async with hostile({"x": LONG, "y": b"other"}) as (server, transport):
        taken = asyncio.Event()
        server.fault("x", Extra(extra, taken if later else None))
        if later:
            assert await read(transport, "x") == LONG
            await sent_later(taken)
        else:
            with pytest.raises(Interrupted, match=r"^x: more (bytes|than)"):
                await read(transport, "x")
        assert await read(transport, "y") == b"other"
        assert server.connections == 2


async def test_a_long_body_that_is_left_takes_its_connection_along():
    async with hostile({"x": LONG, "y": b"other"}) as (server, transport):
        async with transport.open("x") as body:
            assert await anext(aiter(body))
        assert await read(transport, "y") == b"other"
        assert server.connections == 2


async def test_a_kept_connection_that_dies_after_a_long_body_is_replaced():
    async with hostile({"x": LONG}) as (server, transport):
        server.fault("x", CloseAfter())
        for _ in range(2):
            assert await read(transport, "x") == LONG
        server.fault("x", CloseUnanswered())
        assert await read(transport, "x") == LONG
        assert server.connections == 3


async def test_many_long_bodies_at_once_stay_apart(authority):
    files = {str(number): bytes([number]) * ((2 << 20) + number) for number in range(8)}
    async with (
        HostileServer(files, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(2):
            for path, content in files.items():
                group.create_task(_compare(transport, path, content))


async def _compare(transport, path, content):
    assert await read(transport, path) == content
