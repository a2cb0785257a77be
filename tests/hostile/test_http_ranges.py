"""Ranges and versions: a resume never splices. Faults 10 to 12."""

import pytest

from syncd.core.errors import Changed, PermanentError, Unsupported
from syncd.streams.thread_copy import copy_to_sink
from tests.hostile.faults import Chunked, IgnoreRange, Raw, Rewrite, Status, Swap, login_page, wrong_range
from tests.hostile.http_case import CONTENT, at, hostile, read

OTHER = CONTENT[::-1]


@pytest.mark.fault(9, 12)
async def test_a_range_is_bound_to_a_strong_etag_by_if_range_and_the_whole_by_if_match():
    async with hostile() as (server, transport):
        version = server.files["x"].etag
        assert await read(transport, "x", start=5, stop=9, version=version) == CONTENT[5:9]
        assert await read(transport, "x", version=version) == CONTENT
        ranged, whole = (request.headers for request in server.requests)
        assert (ranged["range"], ranged["if-range"], "if-match" in ranged) == ("bytes=5-8", version, False)
        assert (whole["if-match"], "if-range" in whole, "range" in whole) == (version, False, False)


@pytest.mark.promise("P6")
@pytest.mark.fault(12)
@pytest.mark.parametrize("span", [{}, {"start": 5}, {"start": 5, "stop": 9}, {"stop": 9}])
@pytest.mark.parametrize("etag", ["auto", None, 'W/"weak"'])
async def test_a_file_that_changed_is_noticed_before_any_byte(span, etag):
    async with hostile({}) as (server, transport):
        server.put("x", CONTENT, etag=etag)
        version = (await transport.stat("x")).version
        assert version.startswith('"' if etag == "auto" else "modified:")
        server.put("x", OTHER, etag=etag, modified=1_700_000_001.0)
        with pytest.raises(Changed, match=r"^x: "):
            await read(transport, "x", version=version, **span)


@pytest.mark.promise("P6")
@pytest.mark.fault(12)
async def test_a_file_swapped_between_two_ranges_is_noticed():
    async with hostile() as (server, transport):
        server.fault("x", Swap(OTHER))
        async with transport.open("x", stop=100) as body:
            version = body.stat.version
            assert b"".join([chunk async for chunk in body]) == CONTENT[:100]
        with pytest.raises(Changed, match=r"^x: "):
            await read(transport, "x", start=100, version=version)
        server.assert_spent()


async def test_where_upstream_has_no_etag_the_date_and_the_size_bind():
    async with hostile({}) as (server, transport):
        server.put("x", CONTENT, etag=None)
        version = (await transport.stat("x")).version
        assert version == f"modified:{server.files['x'].date}|{len(CONTENT)}"
        assert await read(transport, "x", start=5, version=version) == CONTENT[5:]
        assert server.requests[-1].headers["if-range"] == server.files["x"].date
        server.put("x", CONTENT + b"!", etag=None)  # another size at the same second
        for span in ({}, {"start": 5}):
            with pytest.raises(Changed, match="had 10240 bytes and has 10241 now"):
                await read(transport, "x", version=version, **span)


async def test_without_etag_and_date_there_is_no_version():
    async with hostile({}) as (server, transport):
        server.put("x", CONTENT, etag=None, modified=None)
        stat = await transport.stat("x")
        assert (stat.version, stat.modified, stat.size) == (None, None, len(CONTENT))


@pytest.mark.parametrize(
    "version", ["listed:24-Nov-2026|7", "sha256:00", 'W/"weak"', '"a\r\nX: y"', "modified:never|3"]
)
async def test_a_version_that_http_cannot_check_binds_nothing(version):
    async with hostile() as (server, transport):
        assert await read(transport, "x", start=5, version=version) == CONTENT[5:]
        assert not {"if-range", "if-match", "x"} & set(server.requests[-1].headers)


@pytest.mark.fault(10)
async def test_a_200_to_a_range_is_never_appended():
    async with hostile() as (server, transport):
        server.fault("x", IgnoreRange(), times=2)
        with pytest.raises(Unsupported, match=r"^x: the server ignores ranges"):
            await read(transport, "x", start=5)
        with pytest.raises(Unsupported, match=r"^x: the server ignores ranges"):
            await read(transport, "x", start=5, stop=9, version=server.files["x"].etag)
        server.assert_spent()


@pytest.mark.fault(10)
async def test_a_200_to_a_first_range_brings_the_whole_and_says_so():
    async with hostile() as (server, transport):
        server.fault("x", IgnoreRange())
        async with transport.open("x", stop=9) as body:
            assert (body.start, body.stop, body.stat.size) == (0, len(CONTENT), len(CONTENT))
            assert b"".join([chunk async for chunk in body]) == CONTENT


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "fault",
    [
        wrong_range(0, 4, len(CONTENT)),
        wrong_range(6, 10, len(CONTENT)),
        wrong_range(5, 8, len(CONTENT)),
        wrong_range(5, 20, len(CONTENT)),
        wrong_range(5, 9, 7),
        wrong_range(9, 5, len(CONTENT)),
        Rewrite({"Content-Range": None}),
        Rewrite({"Content-Range": None, "Content-Type": "multipart/byteranges; boundary=x"}),
        Rewrite({"Content-Range": "bytes 5-8/10240, bytes 5-8/10240"}),
        Rewrite({"Content-Range": "lines 5-8/10240"}),
    ],
)
async def test_a_part_other_than_the_one_asked_for_is_not_accepted(fault):
    async with hostile() as (server, transport):
        server.fault("x", fault)
        with pytest.raises(Unsupported, match=r"^x: "):
            await read(transport, "x", start=5, stop=9)
        server.assert_spent()


@pytest.mark.fault(11)
async def test_another_total_is_another_version_where_the_size_binds():
    async with hostile({}) as (server, transport):
        server.put("x", CONTENT, etag=None)
        version = (await transport.stat("x")).version
        server.fault("x", wrong_range(5, 9, len(CONTENT) + 1))
        with pytest.raises(Changed, match="had 10240 bytes and has 10241 now"):
            await read(transport, "x", start=5, stop=9, version=version)


@pytest.mark.fault(11)
@pytest.mark.parametrize("etag", ["auto", None])
async def test_a_part_that_does_not_say_its_version_is_no_part_of_it(etag):
    async with hostile({}) as (server, transport):
        server.put("x", CONTENT, etag=etag)
        version = (await transport.stat("x")).version
        server.fault("x", Rewrite({"ETag": None, "Last-Modified": None}))
        with pytest.raises(Unsupported, match="without a version"):
            await read(transport, "x", start=5, version=version)


async def test_a_part_with_an_unknown_total_is_read():
    async with hostile() as (server, transport):
        server.fault("x", wrong_range(5, 9, "*"))
        async with transport.open("x", start=5, stop=9) as body:
            assert (body.stat.size, body.start, body.stop) == (None, 5, 9)
            assert b"".join([chunk async for chunk in body]) == CONTENT[5:9]


async def test_a_part_that_nobody_asked_for_is_not_the_whole():
    async with hostile() as (server, transport):
        server.fault("x", Rewrite({"Content-Range": "bytes 0-9/10240"}, 206, CONTENT[:10]))
        with pytest.raises(Unsupported, match="not asked for"):
            await read(transport, "x")


async def test_a_range_in_chunks_is_a_range():
    async with hostile() as (server, transport):
        server.fault("x", Chunked(size=7))
        assert await read(transport, "x", start=100, stop=200) == CONTENT[100:200]


async def test_a_stop_past_the_end_is_cut_to_it_and_a_start_past_the_end_is_unsupported():
    async with hostile() as (_, transport):
        async with transport.open("x", start=10_000, stop=99_999) as body:
            assert (body.start, body.stop) == (10_000, len(CONTENT))
            assert b"".join([chunk async for chunk in body]) == CONTENT[10_000:]
        with pytest.raises(Unsupported, match=r"^x: upstream cannot serve bytes"):
            await read(transport, "x", start=len(CONTENT))


async def test_an_empty_file_has_no_bytes_and_no_error_in_any_range_from_its_start():
    async with hostile({"x": b""}) as (server, transport):
        for span in ({}, {"stop": 0}, {"stop": 10}):
            async with transport.open("x", **span) as body:
                assert (body.stat.size, body.start, body.stop) == (0, 0, 0)
                assert [chunk async for chunk in body] == []
        server.fault("x", Status(416, {"Content-Range": "bytes */77"}))
        assert await read(transport, "x", stop=10) == b""  # the plain request decides


PAGE = b"<html>416 Requested Range Not Satisfiable</html>"
NOTHING_THERE: dict[str, str | None] = {"Content-Range": "bytes */0"}


@pytest.mark.parametrize("span", [{}, {"stop": 10}])
@pytest.mark.parametrize("way", ["iterated", "poured"])
@pytest.mark.parametrize(
    ("fault", "connections"),
    [
        (Rewrite(NOTHING_THERE, 416, PAGE), 1),
        (Rewrite(NOTHING_THERE, 416, bytes(1 << 20)), 2),  # too long to be read for nothing
        (Raw(b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\n\r\n" + PAGE), 2),
        (Raw(b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 99\r\n\r\n" + PAGE), 2),  # broken off
    ],
    ids=["page", "long", "endless", "cut"],
)
async def test_the_page_that_comes_with_no_such_range_is_no_part_of_the_empty_file(fault, connections, way, span):
    async with hostile({"x": b"", "y": CONTENT}) as (server, transport):
        server.fault("x", fault)
        async with transport.open("x", **span) as body:
            assert (body.stat.size, body.start, body.stop) == (0, 0, 0)
            given = []
            if way == "poured":
                assert [count async for count in copy_to_sink(body, given.append)] == []
            else:
                given = [chunk async for chunk in body]
            assert given == []
        assert await read(transport, "y") == CONTENT
        assert server.connections == connections
        server.assert_spent()


async def test_a_login_page_is_given_as_what_it_says_it_is_for_the_transfer_to_judge():
    async with hostile() as (server, transport):
        server.fault("x", login_page(), times=2)
        async with transport.open("x") as body:
            assert body.headers["content-type"] == "text/html"
            assert body.stat.size != len(CONTENT)
        with pytest.raises(Unsupported):
            await read(transport, "x", start=5)


async def test_a_digest_that_the_answer_promises_is_part_of_the_claim():
    async with hostile() as (server, transport):
        promised = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, md5=:AAAA:, sha-512=:c2hvcnQ=:"
        server.fault("x", Rewrite({"Repr-Digest": promised}))
        stat = await transport.stat("x")
        assert stat.digests == {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}


async def test_head_that_is_not_answered_is_replaced_by_a_get_of_one_byte():
    async with hostile() as (server, _):
        for status in (403, 405, 501):
            server.fault("x", Status(status), when=lambda request: request.method == "HEAD")
            async with at(server) as transport:
                stat = await transport.stat("x")
            assert (stat.path, stat.size, stat.version) == ("x", len(CONTENT), server.files["x"].etag)
        server.assert_spent()


async def test_an_unexpected_not_modified_is_an_error():
    async with hostile() as (server, transport):
        server.fault("x", Status(304, body=b""))
        with pytest.raises(PermanentError, match="304"):
            await read(transport, "x")
