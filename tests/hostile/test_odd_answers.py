"""Servers that lie to HEAD, refuse, cap or garble ranges, or compress: the plainer request decides, and is remembered."""

import gzip
import random

import pytest

from syncd.core.errors import Denied, NotFound, RangeRefused, TransientError
from tests.hostile import faults as f
from tests.hostile.http_case import CONTENT, hostile, read
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring, sums
from transports.http.habits import DOUBTS, LASTING, PATIENCE

CHANCE = random.Random(7)
LARGE = CHANCE.randbytes(9 << 20)
TOTAL = len(CONTENT)


def status(code, headers=(), body=b"no"):
    return lambda request, answer: f.Answer(code, list(headers), body, bodiless=request.method == "HEAD")


def part(stop, total, body=CONTENT):
    """Answer as if `[0, stop)` of `total` had been asked for."""
    return lambda request, answer: f.Answer(
        206, [("ETag", '"e"'), ("Content-Range", f"bytes 0-{stop - 1}/{total}")], body[:stop]
    )


REFUSALS = {
    **{str(code): status(code) for code in (400, 401, 403, 405, 406, 416, 500, 501)},
    "416 with the length": status(416, [("Content-Range", f"bytes */{TOTAL}")]),
    "no Content-Range": lambda request, answer: f.Answer(206, [], CONTENT),
    "unknown length": part(TOTAL, "*"),
    "capped": part(1000, TOTAL),
    "another start": lambda request, answer: f.Answer(
        206, [("Content-Range", f"bytes 5-{TOTAL - 1}/{TOTAL}")], CONTENT[5:]
    ),
    "announced shorter": lambda request, answer: f.Answer(
        206, [("Content-Range", f"bytes 0-{TOTAL - 1}/{TOTAL}")], CONTENT[:-1]
    ),
}  # fmt: skip


def is_ranged(request):
    return request.method == "GET" and "range" in request.headers


def is_later(request):
    return is_ranged(request) and not request.headers["range"].startswith("bytes=0-")


def asked(server, path):
    return [(request.method, request.headers.get("range")) for request in server.requests if request.path == path]


async def test_the_answer_of_a_proxy_that_may_have_changed_a_file_is_that_file():
    """203: a promised checksum tells whether it has."""
    async with hostile({"x": CONTENT}) as (server, transport):
        answer = f.Answer(203, [("ETag", '"e"')], CONTENT)
        server.fault("x", f.Instead(lambda request, _: answer), times=None)
        assert await read(transport, "x") == CONTENT


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refused_range_from_the_beginning_is_asked_for_plainly_and_that_is_remembered(refusal):
    async with hostile({"x": CONTENT, "y": CONTENT}) as (server, transport):
        server.fault(None, f.Instead(refusal), times=None, when=is_ranged)
        for path in ("x", "y"):
            async with transport.open(path, stop=1 << 20) as body:
                assert (body.start, body.stop, body.stat.size) == (0, TOTAL, TOTAL)
                assert b"".join([chunk async for chunk in body]) == CONTENT
        assert asked(server, "x") == [("GET", "bytes=0-1048575"), ("GET", None)]
        assert asked(server, "y") == [("GET", None)]


async def test_the_end_of_the_range_in_place_of_the_length_is_not_believed():
    async with hostile() as (server, transport):
        server.fault("x", f.Instead(part(1000, 1000)), when=is_ranged)
        assert await read(transport, "x", stop=1000) == CONTENT
    async with hostile({"x": CONTENT[:1000], "y": CONTENT}) as (server, transport):
        assert await read(transport, "x", stop=1000) == CONTENT[:1000]  # it is so long
        assert await read(transport, "y", stop=10) == CONTENT[:10], "and ranges are asked for as before"


async def test_a_plain_request_may_be_answered_with_the_whole_file_as_a_part():
    async with hostile() as (server, transport):
        server.fault("x", f.Instead(part(TOTAL, TOTAL)))
        assert await read(transport, "x") == CONTENT
        server.fault("x", f.Instead(part(100, TOTAL)))
        with pytest.raises(RangeRefused):
            await read(transport, "x")


NO_MIDDLE = {**{str(code): f.Status(code) for code in (429, 502, 503, 504)}, "no answer": f.CloseUnanswered()}


@pytest.mark.parametrize("fault", NO_MIDDLE.values(), ids=NO_MIDDLE)
async def test_ranges_from_the_middle_that_fail_for_seconds_are_replaced_by_the_whole_file(fault):
    clock = [1_700_000_000.0]
    async with hostile(now=lambda: clock[0]) as (server, transport):
        server.fault("x", fault, times=None, when=is_later)
        assert await read(transport, "x", stop=10) == CONTENT[:10]
        for _ in range(PATIENCE + 1):
            with pytest.raises(TransientError):
                await read(transport, "x", start=10, stop=20)
        assert (("GET", None) in asked(server, "x")) is False, "a busy server refuses for a moment"
        clock[0] += LASTING
        with pytest.raises(RangeRefused, match="serves the whole file"):
            await read(transport, "x", start=10, stop=20)
        assert await read(transport, "x", stop=20) == CONTENT, "it is asked plainly from then on"


async def test_a_server_that_is_busy_for_plain_requests_too_stays_busy():
    clock = [1_700_000_000.0]
    async with hostile(now=lambda: clock[0]) as (server, transport):
        server.fault("x", f.Status(503), times=None)
        for _ in range(3 * PATIENCE):
            clock[0] += LASTING
            with pytest.raises(TransientError):
                await read(transport, "x", start=10, stop=20)
        assert asked(server, "x").count(("GET", None)) == DOUBTS


async def test_a_server_that_has_served_a_range_from_the_middle_is_busy_and_no_more():
    clock = [1_700_000_000.0]
    async with hostile(now=lambda: clock[0]) as (server, transport):
        assert await read(transport, "x", start=10, stop=20) == CONTENT[10:20]
        server.fault("x", f.Status(503), times=None, when=is_later)
        for _ in range(3 * PATIENCE):
            clock[0] += LASTING
            with pytest.raises(TransientError):
                await read(transport, "x", start=10, stop=20)
        assert ("GET", None) not in asked(server, "x")


@pytest.mark.parametrize("code", [401, 403])
async def test_files_that_are_denied_to_plain_requests_too_are_soon_asked_for_once(code):
    files = {f"{n}": CONTENT for n in range(10)}
    async with hostile(files) as (server, transport):
        server.fault(None, f.Status(code), times=None)
        for path in files:
            with pytest.raises(Denied, match=str(code)):
                await read(transport, path, stop=10)
        assert len(server.requests) == 13
    async with hostile({**files, "good": CONTENT}) as (server, transport):
        assert await read(transport, "good", stop=10) == CONTENT[:10]
        server.fault("0", f.Status(code), times=None)
        with pytest.raises(Denied, match=str(code)):
            await read(transport, "0", stop=10)
        assert len(asked(server, "0")) == 1, "the server does serve ranges"


@pytest.mark.parametrize("code", [400, 403, 416, 500, 501])
async def test_a_later_range_that_is_refused_where_a_plain_request_is_not_is_told_apart(code):
    async with hostile() as (server, transport):
        server.fault("x", f.Status(code), times=None, when=is_ranged)
        with pytest.raises(RangeRefused):
            await read(transport, "x", start=50)
    async with hostile() as (server, transport):
        server.fault("x", f.Status(404), times=None)
        with pytest.raises(NotFound):
            await read(transport, "x", start=50)
        assert len(server.requests) == 1


# -- HEAD ---------------------------------------------------------------------------------------------------------


def is_head(request):
    return request.method == "HEAD"


HEADS = {
    **{str(code): status(code) for code in (400, 403, 404, 405, 410, 500, 501)},
    "no length": lambda request, answer: f.Answer(200, [("ETag", '"0"')], b"", bodiless=True),
    "another length": lambda request, answer: f.Answer(200, [("ETag", '"0"')], CONTENT[:7], bodiless=True),
    "another ETag": lambda request, answer: f.Answer(
        200,
        [("ETag", '"other"'), *[one for one in answer.headers if one[0] == "Last-Modified"]],
        CONTENT,
        bodiless=True,
    ),
}


@pytest.mark.parametrize("lie", HEADS.values(), ids=HEADS.keys())
async def test_head_that_lies_is_replaced_by_get_and_not_asked_again(lie):
    async with hostile({"x": CONTENT, "y": CONTENT[:99]}) as (server, transport):
        server.fault(None, f.Instead(lie), times=None, when=is_head)
        for path, size in (("x", TOTAL), ("y", 99)):
            stat = await transport.stat(path)
            assert (stat.size, stat.version, stat.modified) == (size, server.files[path].etag, 1_700_000_000.0)
        assert [method for method, _ in asked(server, "y")] == ["GET"]


async def test_head_that_tells_the_truth_is_trusted_after_two_files_and_an_empty_file_is_asked_for_twice():
    files = {f"{n}": CONTENT for n in range(5)}
    async with hostile({**files, "empty": b""}) as (server, transport):
        for path in files:
            assert (await transport.stat(path)).size == TOTAL
        assert len(server.requests) == 5 + 2
        assert (await transport.stat("empty")).size == 0
        assert len(server.requests) == 7 + 2


async def test_a_missing_file_is_missing_only_if_a_plain_request_says_so_too():
    async with hostile() as (server, transport):
        with pytest.raises(NotFound):
            await transport.stat("gone")
        assert asked(server, "gone") == [("HEAD", None), ("GET", "bytes=0-0"), ("GET", None)]
        server.fault("x", f.Status(404), times=2)
        assert (await transport.stat("x")).size == TOTAL


async def test_servers_with_etags_of_their_own_are_told_apart_by_time_and_size():
    turn = 0

    def moody(request, answer):
        nonlocal turn
        turn += 1
        answer.headers = [(name, f'"{turn % 3}"' if name == "ETag" else value) for name, value in answer.headers]
        return answer

    async with hostile() as (server, transport):
        server.fault("x", f.Instead(moody), times=None)
        versions = {(await transport.stat("x")).version for _ in range(4)}
        assert versions == {f"modified:{server.files['x'].date}|{TOTAL}"}


async def test_a_weak_etag_shows_a_change_where_there_is_no_time():
    async with hostile() as (server, transport):
        server.put("x", CONTENT, etag='W/"1"', modified=None)
        assert (await transport.stat("x")).version == 'W/"1"'


# -- whole passes -------------------------------------------------------------------------------------------------


async def passes(tmp_path, server, reader, count=1, close=True):
    mirroring = HttpMirroring(tmp_path, server, reader=reader)
    results = [await mirroring.run() for _ in range(count)]
    reasons = await mirroring.reasons()
    await mirroring.close()
    return mirroring, results, {path: failure.reason for path, failure in reasons.items()}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_a_large_file_arrives_in_one_stream_where_ranges_are_refused(tmp_path, reader, refusal):
    files = {"d/large.bin": LARGE}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}
    async with HostileServer({**files, **lists}) as server:
        server.fault("d/large.bin", f.Instead(refusal), times=None, when=is_ranged)
        mirroring, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.complete, reasons) == (True, {})
    assert mirroring.natural()["d/large.bin"] == LARGE


LATER = {
    **{str(code): f.Status(code) for code in (400, 403, 416, 501)},
    "the whole file": f.IgnoreRange(),
    "capped": f.Instead(
        lambda request, answer: f.Answer(
            206, [*[one for one in answer.headers if one[0] != "Content-Range"], _capped(answer)], answer.body[:1000]
        )
    ),
    "no version": f.Rewrite({"ETag": None, "Last-Modified": None}),
}


def _capped(answer):
    span, _, total = dict(answer.headers)["Content-Range"].removeprefix("bytes ").partition("/")
    start = int(span.partition("-")[0])
    return ("Content-Range", f"bytes {start}-{start + 999}/{total}")


@pytest.mark.parametrize("refusal", LATER.values(), ids=LATER.keys())
async def test_a_large_file_whose_later_ranges_are_odd_is_read_again_in_one_stream(tmp_path, refusal):
    files = {"d/large.bin": LARGE}
    async with HostileServer(files) as server:
        server.fault("d/large.bin", refusal, times=None, when=is_later)
        mirroring, (result,), reasons = await passes(tmp_path, server, "autoindex")
    assert (result.complete, reasons) == (True, {})
    assert mirroring.natural() == files


@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_a_total_that_only_ranges_announce_wrongly_costs_one_plain_request(tmp_path, reader):
    files = {"d/large.bin": LARGE, "d/small.bin": CONTENT}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}

    def wrong(request, answer):
        start, _, stop = dict(answer.headers)["Content-Range"].removeprefix("bytes ").partition("/")[0].partition("-")
        answer.headers = [one for one in answer.headers if one[0] != "Content-Range"]
        answer.headers.append(("Content-Range", f"bytes {start}-{stop}/{int(stop) + 1}"))
        return answer

    async with HostileServer({**files, **lists}) as server:
        server.fault("d/large.bin", f.Instead(wrong), times=None, when=is_ranged)
        mirroring, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.complete, reasons) == (True, {})
    assert mirroring.natural()["d/large.bin"] == LARGE


@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_servers_behind_one_name_with_etags_of_their_own_do_not_hold_up_a_large_file(tmp_path, reader):
    files = {"d/large.bin": LARGE}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}
    turn = 0

    def moody(request, answer):
        nonlocal turn
        turn += 1
        tag = f'"{turn % 3}"'
        headers = [(name, tag if name == "ETag" else value) for name, value in answer.headers]
        if request.headers.get("if-range", tag) != tag:
            headers = [one for one in headers if one[0] != "Content-Range"]
            return f.Answer(200, headers, LARGE)
        return f.Answer(answer.status, headers, answer.body)

    async with HostileServer({**files, **lists}) as server:
        server.fault("d/large.bin", f.Instead(moody), times=None, when=lambda request: request.method == "GET")
        mirroring, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.complete, reasons) == (True, {})
    assert mirroring.natural()["d/large.bin"] == LARGE


@pytest.mark.parametrize("path", ["d/large.bin", "d/small.bin", "SHA256SUMS"])
async def test_a_break_where_ranges_are_ignored_starts_the_file_again_in_the_same_pass(tmp_path, path):
    files = {"d/large.bin": LARGE, "d/small.bin": CONTENT}
    served = {**files, "SHA256SUMS": sums(files)}
    broken = []

    def is_first(request):
        if broken or request.method != "GET":
            return False
        broken.append(request)
        return True

    async with HostileServer(served) as server:
        server.fault(path, f.Truncate(after=len(served[path]) // 2), when=is_first)
        server.fault(None, f.IgnoreRange(), times=None, when=is_ranged)
        mirroring, (result,), reasons = await passes(tmp_path, server, "checksums")
    assert (result.complete, reasons) == (True, {})
    assert {p: c for p, c in mirroring.natural().items() if p in files} == files


async def test_a_file_left_half_by_a_server_that_then_ignores_ranges_starts_again(tmp_path):
    files = {"d/large.bin": LARGE}
    later = False
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        server.fault("d/large.bin", f.Status(503), times=None, when=lambda request: is_later(request) and not later)
        assert not (await mirroring.run()).complete
        async with mirroring.open() as (_, catalogue):
            assert catalogue.journal.all_inflight(1)
        later = True
        server.fault("d/large.bin", f.IgnoreRange(), times=None, when=is_ranged)
        assert (await mirroring.run()).complete
        await mirroring.close()
    assert mirroring.natural()["d/large.bin"] == LARGE


# -- files that a list names without more -------------------------------------------------------------------------


def sitemap(server, *paths):
    """Publish a list that names files, and says nothing else of them."""
    rows = "".join(f"<url><loc>{server.url(path)}</loc></url>" for path in paths)
    page = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'
    server.put("sitemap.xml", page.encode())


@pytest.mark.parametrize("lie", HEADS.values(), ids=HEADS.keys())
async def test_a_listed_file_is_fetched_and_followed_whatever_head_says_of_it(tmp_path, lie):
    async with HostileServer({"x": CONTENT}) as server:
        sitemap(server, "x")
        server.fault("x", f.Instead(lie), times=None, when=is_head)
        mirroring = HttpMirroring(tmp_path, server, reader="resourcesync")
        assert ((await mirroring.run()).complete, mirroring.natural()) == (True, {"x": CONTENT})
        assert (await mirroring.run()).kept == 1
        server.put("x", CONTENT[::-1])
        assert ((await mirroring.run()).replaced, mirroring.natural()) == (1, {"x": CONTENT[::-1]})
        await mirroring.close()


@pytest.mark.promise("P5")
@pytest.mark.parametrize("code", [400, 403, 404, 500])
async def test_a_file_that_cannot_be_asked_for_makes_the_inventory_incomplete_and_is_kept(tmp_path, code):
    async with HostileServer({"x": CONTENT, "y": CONTENT, "z": CONTENT}) as server:
        sitemap(server, "x", "y", "z")
        mirroring = HttpMirroring(tmp_path, server, reader="resourcesync")
        assert (await mirroring.run()).complete
        sitemap(server, "x", "y")
        refused = True
        server.fault("x", f.Status(code), times=None, when=lambda request: refused)
        result = await mirroring.run()
        assert (result.complete, result.removed, set(mirroring.natural())) == (False, 0, {"x", "y", "z"})
        refused = False
        result = await mirroring.run()
        assert (result.complete, result.removed, set(mirroring.natural())) == (True, 1, {"x", "y"})
        await mirroring.close()


async def test_a_dead_link_that_was_never_held_fails_alone(tmp_path):
    async with HostileServer({"x": CONTENT, "y": CONTENT}) as server:
        sitemap(server, "x", "y")
        mirroring = HttpMirroring(tmp_path, server, reader="resourcesync")
        await mirroring.run()
        sitemap(server, "x", "dead")
        result = await mirroring.run()
        assert (result.failed, result.removed, set(mirroring.natural())) == (1, 1, {"x"})
        await mirroring.close()


@pytest.mark.parametrize("turns", [[1], [1, 2], [1, 2, 3], [1, 1, 2, 2, 3, 3, 3]])
async def test_an_etag_of_each_server_behind_a_name_is_no_reason_to_fetch_a_file_again(tmp_path, turns):
    count = 0

    def moody(request, answer):
        nonlocal count
        count += 1
        tag = f'"{turns[count % len(turns)]}-{dict(answer.headers)["ETag"][1:-1]}"'
        return f.Answer(
            answer.status,
            [(name, tag if name == "ETag" else value) for name, value in answer.headers],
            answer.body,
            answer.bodiless,
        )

    async with HostileServer({"x": CONTENT}) as server:
        sitemap(server, "x")
        server.fault("x", f.Instead(moody), times=None)
        mirroring = HttpMirroring(tmp_path, server, reader="resourcesync")
        await mirroring.run()
        assert [(await mirroring.run()).kept for _ in range(5)] == [1] * 5
        server.put("x", CONTENT[::-1], modified=1_700_000_060.0)
        assert (await mirroring.run()).replaced == 1
        await mirroring.close()


# -- content codings ----------------------------------------------------------------------------------------------


def labelled(coding):
    return f.Rewrite({"Content-Encoding": coding})


PACKED = gzip.compress(CONTENT, mtime=0)


@pytest.mark.fault(14)
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "compress"])
@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_a_label_on_stored_bytes_changes_nothing(tmp_path, reader, coding):
    files = {"d/a.vcf.gz": PACKED, "d/b.TGZ": PACKED, "d/c.csv.Z": CONTENT, "d/large.gz": LARGE}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}
    async with HostileServer({**files, **lists}) as server:
        server.fault(None, labelled(coding), times=None, when=lambda request: request.path in files)
        mirroring, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.complete, reasons) == (True, {})
    assert {path: body for path, body in mirroring.natural().items() if path in files} == files


async def test_an_object_that_is_stored_compressed_under_a_plain_name_is_taken_where_its_size_is_promised(tmp_path):
    files = {"d/table.csv": PACKED}
    async with HostileServer(files) as server:
        server.fault("d/table.csv", labelled("gzip"), times=None)
        mirroring, (result,), _ = await passes(tmp_path, server, "autoindex")
    assert (result.complete, mirroring.natural()) == (True, files)


async def test_a_checksum_of_the_compressed_bytes_under_a_plain_name_is_met(tmp_path):
    files = {"d/table.csv": PACKED}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        server.fault("d/table.csv", labelled("gzip"), times=None)
        mirroring, (result,), reasons = await passes(tmp_path, server, "checksums")
    assert (result.complete, reasons, mirroring.natural()["d/table.csv"]) == (True, {}, PACKED)


class Pack(f.Fault):
    """Compress whatever is sent, and announce no ranges."""

    async def play(self, exchange):
        request, file = exchange.request, exchange.server.files[exchange.request.path]
        headers = [("Content-Encoding", "gzip"), ("ETag", 'W/"packed"')]
        exchange.answer = f.Answer(200, headers, gzip.compress(file.content), bodiless=request.method == "HEAD")
        await exchange.reply()


@pytest.mark.fault(14)
@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_what_a_server_compresses_on_the_way_is_decompressed(tmp_path, reader):
    files = {"d/table.csv": b"a,b\n" * 3000, "d/large.csv": b"a,b\n" * (2 << 20), "d/empty.csv": b""}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}
    async with HostileServer({**files, **lists}) as server:
        server.fault(None, Pack(), times=None, when=lambda request: request.path in server.files)
        mirroring, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.complete, reasons) == (True, {})
    assert {path: body for path, body in mirroring.natural().items() if path in files} == files


@pytest.mark.fault(14)
@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_a_coding_that_cannot_be_undone_is_named_in_the_reason(tmp_path, reader):
    files = {"d/table.csv": b"a,b\n" * 3000}
    lists = {"SHA256SUMS": sums(files)} if reader == "checksums" else {}
    async with HostileServer({**files, **lists}) as server:
        packed = f.Rewrite({"Content-Encoding": "br", "Content-Range": None}, status=200, body=b"packed" * 99)
        server.fault("d/table.csv", packed, times=None)
        _, (result,), reasons = await passes(tmp_path, server, reader)
    assert (result.failed, list(reasons)) == (1, ["d/table.csv"])
    assert "br" in reasons["d/table.csv"]
    assert "compressed" in reasons["d/table.csv"]
