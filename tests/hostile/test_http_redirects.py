"""Redirects and secrets: who is followed where, and what goes along. Faults 21 to 23."""

import base64

import pytest

from syncd.core.errors import Denied, NotFound, Unsafe
from syncd.core.ports import Credential
from tests.hostile.faults import Status, redirect
from tests.hostile.http_case import CONTENT, at, hostile, read
from tests.hostile.server import HostileServer

SECRET = "s3cret"


def basic(origin):
    return Credential("mine", origin, "basic", SECRET, username="me")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_to_its_end_and_the_body_says_where_it_came_from(status):
    async with hostile() as (server, transport):
        server.fault("old", redirect("../x?a=b%20c", status))
        async with transport.open("old", start=5) as body:
            assert b"".join([chunk async for chunk in body]) == CONTENT[5:]
            assert body.url == server.url("x") + "?a=b%20c"
        assert server.requests[1].headers["range"] == "bytes=5-"
        assert server.connections == 1


@pytest.mark.fault(21, 23)
@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://example.org/x", "neither http nor https"),
        ("data:text/plain,hello", "neither http nor https"),
        ("javascript:alert(1)", "neither http nor https"),
        ("http://", ""),
        ("http://me:pw@example.org/x", "names a user"),
        ("http://[::1", ""),
        ("http://exa mple.org:99999/", ""),
        ("https://example.org:port/", ""),
        ("", "without a Location header"),
        ("old", "in a loop"),
        ("http://169.254.169.254/latest/meta-data/", "private address 169.254.169.254"),
        ("http://127.0.0.2/", "--allow-private http://127.0.0.2"),
        ("http://localhost:1/", "private address"),
        ("http://[::ffff:127.0.0.1]:1/", "private address"),
        ("http://0.0.0.0:1/", "private address"),
        ("http://2130706433/", "canonical"),
        (f"http://{'a' * 64}.invalid/", "not a valid address"),
        ("http://a..invalid/", "not a valid address"),
        ("http://0x7f000001/", "private address"),
    ],
)
async def test_a_redirect_to_where_nothing_good_can_be_is_refused(location, why):
    async with hostile() as (server, transport):
        server.fault("old", redirect(location))
        with pytest.raises(Unsafe, match=rf"^old: .*({why})"):
            await read(transport, "old")
        server.assert_spent()


@pytest.mark.fault(21)
async def test_a_chain_is_followed_for_ten_hops_and_no_further():
    async with hostile({"10": CONTENT, "11": CONTENT}) as (server, transport):
        for hop in range(10):
            server.fault(str(hop), redirect(str(hop + 1)))
        assert await read(transport, "0") == CONTENT
        for hop in range(11):
            server.fault(str(hop), redirect(str(hop + 1)))
        with pytest.raises(Unsafe, match=r"^0: redirected more than 10 times"):
            await read(transport, "0")
        server.assert_spent()


@pytest.mark.fault(21)
async def test_a_circle_of_two_is_refused():
    async with hostile() as (server, transport):
        server.fault("a", redirect("b"))
        server.fault("b", redirect("a"))
        with pytest.raises(Unsafe, match="in a loop"):
            await read(transport, "a")


@pytest.mark.promise("P10")
@pytest.mark.fault(21)
async def test_https_is_never_left_for_http(authority):
    async with (
        HostileServer({"x": CONTENT}, ssl_context=authority.server) as safe,
        HostileServer({"x": CONTENT}) as plain,
        at(safe, plain, ssl_context=authority.client) as transport,
    ):
        assert await read(transport, "x") == CONTENT
        safe.fault("x", redirect(plain.url("x")))
        with pytest.raises(Unsafe, match="from https to http"):
            await read(transport, "x")
        assert plain.requests == []


@pytest.mark.promise("P10")
@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("credential", "name", "value"),
    [
        (basic, "authorization", "Basic " + base64.b64encode(b"me:s3cret").decode()),
        (lambda origin: Credential("mine", origin, "bearer", SECRET), "authorization", "Bearer s3cret"),
        (lambda origin: Credential("mine", origin, "header", SECRET, header="X-Api-Key"), "x-api-key", "s3cret"),
    ],
)
async def test_a_secret_goes_to_its_own_origin_and_nowhere_else(credential, name, value):
    async with HostileServer({"x": CONTENT}) as mine, HostileServer({"x": CONTENT}) as other:
        async with at(mine, other, credential=credential(mine.origin)) as transport:
            mine.fault("x", redirect(other.url("x")))
            other.fault("x", redirect(mine.url("x") + "?again"))
            assert await read(transport, "x") == CONTENT
            assert [request.headers.get(name) for request in mine.requests] == [value, value]
            (foreign,) = other.requests
            assert SECRET not in repr(foreign)
            assert set(foreign.headers) == {"host", "user-agent", "accept", "accept-encoding"}
        async with at(other, mine, credential=credential(mine.origin)) as transport:
            assert await read(transport, "x") == CONTENT
            assert await read(transport, mine.url("x")) == CONTENT
            assert name not in other.requests[-1].headers
            assert mine.requests[-1].headers[name] == value


@pytest.mark.promise("P10")
@pytest.mark.fault(22)
async def test_another_port_is_another_origin_and_another_host_name_too():
    async with HostileServer({"x": CONTENT}) as server:
        for origin in (
            f"http://localhost:{server.port}",
            "http://127.0.0.1",
            f"https://127.0.0.1:{server.port}",
            f"http://7.0.0.1:{server.port}",  # our host ends as this one does
            f"http://127.0.0.1:{server.port // 10}",  # and begins as this one does
        ):
            async with at(server, credential=basic(origin)) as transport:
                assert await read(transport, "x") == CONTENT
                assert "authorization" not in server.requests[-1].headers


@pytest.mark.fault(22)
async def test_cookies_are_neither_kept_nor_sent():
    async with hostile() as (server, transport):
        server.fault("x", Status(302, {"Location": "/x?2", "Set-Cookie": "id=7; Path=/"}))
        assert await read(transport, "x") == CONTENT
        assert all("cookie" not in request.headers for request in server.requests)


@pytest.mark.promise("P10")
@pytest.mark.fault(22)
async def test_a_question_takes_its_own_headers_only_along_its_own_origin():
    async with (
        HostileServer({"x": b"{}"}) as mine,
        HostileServer({"x": b"{}"}) as other,
        at(mine, other) as transport,
    ):
        mine.fault("search", redirect(other.url("x"), 303))
        fields = {"Accept": "application/json", "X-Api-Key": SECRET}
        async with transport.ask("POST", mine.url("search"), fields, b'{"q": 1}') as body:
            assert [chunk async for chunk in body] == [b"{}"]
        (asked,), (foreign,) = mine.requests, other.requests
        assert (asked.method, asked.body, asked.headers["x-api-key"]) == ("POST", b'{"q": 1}', SECRET)
        assert (foreign.method, foreign.body, "x-api-key" in foreign.headers) == ("GET", b"", False)
        assert foreign.headers["accept"] == "application/json"
        mine.fault("search", redirect(other.url("x"), 307))
        with pytest.raises(Unsafe, match="a request with a body"):
            async with transport.ask("POST", mine.url("search"), fields, b"{}"):
                pass


async def test_a_header_of_a_question_cannot_smuggle_another():
    async with hostile() as (server, transport):
        with pytest.raises(Unsafe, match="control character"):
            async with transport.ask("GET", server.url("x"), {"X-A": "b\r\nX-C: d"}):
                pass
        assert server.requests == []


async def test_a_denial_says_whose_credential_was_used_or_that_there_is_none():
    async with hostile() as (server, _):
        for credential, why in [
            (None, "no credential is set"),
            (basic(server.origin), "to credential mine"),
            (basic("https://example.org"), "credential mine is for https://example.org"),
        ]:
            async with at(server, credential=credential) as transport:
                server.fault("x", Status(401))
                with pytest.raises(Denied, match=f"^x: .*{why}") as caught:
                    await read(transport, "x")
                assert SECRET not in str(caught.value)


@pytest.mark.promise("P10")
async def test_queries_are_never_shown():
    async with hostile() as (server, transport):
        with pytest.raises(NotFound, match=r"^http.*/gone: ") as caught:
            await read(transport, server.url("gone") + "?X-Amz-Signature=s3cret")
        assert SECRET not in str(caught.value)
