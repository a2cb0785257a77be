"""What strangers may try on the public side costs it little, and tells them nothing."""

import asyncio
import contextlib
import ssl
import time

import pytest

from syncd.face import connections, server
from tests.acceptance.public_side import OPEN, PublicSide
from tests.acceptance.test_public_bytes import FILES, at
from tests.fakes import Archive
from tests.servers.tls import Authority


@pytest.fixture
def side(tmp_path):
    return PublicSide(tmp_path, Archive(FILES, digests=("sha256",)))


async def closed(side, raw):
    """Send bytes and never more, until the connection is closed; TimeoutError if it never is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
    writer.write(raw)
    async with asyncio.timeout(120):
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
    writer.close()


async def test_a_connection_that_sends_its_headers_slowly_is_closed(side, monkeypatch):
    await side.run()
    monkeypatch.setattr(connections.PublicConnections.__init__, "__kwdefaults__", {"first_request": 0.3})
    async with side.serving():
        await closed(side, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await closed(side, b"")
        monkeypatch.undo()
        assert (await side.get("/health")).status == 200


async def test_idle_connections_of_one_stranger_keep_no_other_out(side):
    await side.run()
    async with side.serving(most=8):
        held = [await asyncio.open_connection("127.0.0.1", side.port) for _ in range(40)]
        assert (await side.get("/health")).status == 200
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize(
    "query", ["&".join(f"a{n}=1" for n in range(900)), "after=" + "%00" * 900, "after=" + "a" * 7000, "x=%ff%fe"]
)
async def test_a_flood_of_query_values_is_answered_at_once(side, query):
    snapshot = await side.run()
    async with side.serving():
        began = time.process_time()  # the server runs in this process
        answer = await side.get(f"{at(snapshot)}?{query}")
        assert answer.status in {200, 400}
        assert time.process_time() - began < 5


async def test_a_private_mirror_is_told_apart_by_no_answer_and_by_no_time(tmp_path):
    side = PublicSide(tmp_path, Archive(FILES), publish="")
    snapshot = await side.run()
    tails = ("", "/", "/latest/a", f"/snapshots/{snapshot}/files/", f"/snapshots/{snapshot[:12]}/files/empty",
             f"/shards/{'0' * 64}", "/evidence/empty", "/feed.atom", "/citation.bib")  # fmt: skip
    async with side.serving():
        for tail in tails:
            private, absent = [await side.get(f"/mirrors/{name}{tail}") for name in ("scenes", "absent")]
            assert (private.status, private.body) == (absent.status, absent.body) == (404, absent.body), tail
        for tail in ("", "/", "/?list-type=2", "/empty", "?location"):
            private, absent = [await side.get(f"/s3/{name}{tail}") for name in ("scenes", "absent")]
            assert (private.status, private.body) == (absent.status, absent.body), tail
            assert private.status == 404

        async def seconds(name):
            began = time.process_time()  # the server runs in this process
            await side.get(f"/mirrors/{name}/snapshots/{snapshot}/files/empty")
            return time.process_time() - began

        least = {"scenes": 1e9, "absent": 1e9}  # others only make an answer slower
        for _ in range(60):
            least = {name: min(known, await seconds(name)) for name, known in least.items()}
        one, other = least.values()
        assert abs(one - other) < 0.5 * max(one, other)


async def test_a_request_that_hides_another_one_is_answered_once_or_not_at_all(side):
    snapshot = await side.run()
    target = at(snapshot, "empty").encode()
    async with side.serving():
        for head in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Transfer-Encoding: xchunked\r\n",
        ):
            raw = (
                b"GET "
                + target
                + b" HTTP/1.1\r\nHost: x\r\n"
                + head
                + b"\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            answer = await asyncio.wait_for(side.exchange(raw), 120)
            assert b"\r\n\r\nok\n" not in answer or answer.startswith(b"HTTP/1.1 400"), head
        assert (await side.get("/health")).status == 200


async def test_tls_is_ended_here_and_a_new_certificate_is_taken_up(tmp_path, monkeypatch):
    authorities = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        authorities.append(Authority(tmp_path / name))
    first, second = authorities
    pem = tmp_path / "node.pem"

    def install(authority):
        pem.write_bytes(authority.certificate.read_bytes())

    install(first)
    monkeypatch.setattr(server, "TLS_EVERY", 0.1)
    tls = f"  tls: {{cert: {pem}, key: {pem}}}"
    side = PublicSide(tmp_path / "node", Archive(FILES, digests=("sha256",)), more=tls)
    snapshot = await side.run()

    async def fetch(authority):
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port, ssl=authority.client)
        path = at(snapshot, "big.bin")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(-1)
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    async with side.serving():
        assert await fetch(first) == FILES["big.bin"]
        install(second)
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(ssl.SSLError):
                    assert await fetch(second) == FILES["big.bin"]
                    return
                await asyncio.sleep(0.05)


async def test_a_published_mirror_that_is_made_private_vanishes_from_every_door(tmp_path):
    side = PublicSide(tmp_path, Archive(FILES), publish=OPEN)
    snapshot = await side.run()
    async with side.serving():
        assert (await side.get(at(snapshot, "empty"))).status == 200
        side.publish = ""
        side.archive.files["new"] = b"1"
        await side.run()
        async with asyncio.timeout(120):
            while (await side.get(at(snapshot, "empty"))).status != 404:
                await asyncio.sleep(0.05)
        for path in ("/", "/catalogue.ttl", "/sitemap.xml", "/feed.atom"):
            assert b"scenes" not in (await side.get(path, Accept="text/html")).body.lower()
