"""`send: redirect`: a bucket sends the bytes of its files by links that we sign, and only to who may read them."""

import asyncio
import hashlib
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from syncd.core import ConfigError
from syncd.face import bucket_links
from tests.acceptance.mirroring import BucketMirroring
from tests.acceptance.public_side import OPEN, PublicSide
from tests.fakes import Archive

FILES = {"a b+c%41.txt": b"0123456789", "page.html": b"<script>", "big.bin": bytes(range(256)) * 1_000, "empty": b""}
RESTRICTED = "publish: {access: restricted}\n"


def side_of(tmp_path, server, publish=OPEN, more=""):
    mirroring = BucketMirroring(tmp_path, Archive(dict(FILES), digests=("sha256",)), server, guard="100%")
    return PublicSide(
        tmp_path, mirroring.archive, more=f"  send: redirect\n{more}", publish=publish, mirroring=mirroring
    )


async def fetch(session, url, method="GET", **headers):
    async with session.request(method, url, headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_the_bucket_sends_each_file_and_each_range_by_a_short_link(tmp_path, swift):
    side = side_of(tmp_path, swift)
    snapshot = await side.run()
    base = f"/mirrors/scenes/snapshots/{snapshot}/files/"
    async with side.serving(), aiohttp.ClientSession() as session:
        for name, quoted in (("a b+c%41.txt", "a%20b+c%2541.txt"), ("big.bin", "big.bin"), ("page.html", "page.html")):
            answer = await side.get(base + quoted)
            assert answer.status == 307, name
            assert answer.headers["etag"] == f'"{hashlib.sha256(FILES[name]).hexdigest()}"'
            assert answer.headers["repr-digest"]
            assert answer.headers["cache-control"] == "no-store"
            link = answer.headers["location"]
            assert int(dict(parse_qsl(urlsplit(link).query))["X-Amz-Expires"]) <= 900
            status, headers, body = await fetch(session, link)
            assert (status, body) == (200, FILES[name]), name
            if name == "page.html":
                assert headers["Content-Disposition"].startswith("attachment")
        link = (await side.get(base + "big.bin", Range="bytes=5-9")).headers["location"]
        assert (await fetch(session, link, Range="bytes=5-9"))[::2] == (206, FILES["big.bin"][5:10])
        head = await side.get(base + "big.bin", method="HEAD")
        assert (await fetch(session, head.headers["location"], "HEAD"))[0] == 200
        assert (await fetch(session, head.headers["location"], "PUT"))[0] == 403
        assert (await fetch(session, link.replace("big.bin", "empty")))[0] == 403
        assert (await side.get(base + "big.bin", If_None_Match=head.headers["etag"])).status == 304
        other = await side.get(base + "big.bin", Range="bytes=5-9", If_Range='"other"')  # sent by us, whole
        assert (other.status, other.body) == (200, FILES["big.bin"])
        assert (await side.get("/s3/scenes/big.bin")).body == FILES["big.bin"]


async def test_a_link_leads_to_the_version_of_its_snapshot_also_after_that_was_replaced(tmp_path, swift):
    side = side_of(tmp_path, swift)
    first = await side.run()
    side.archive.files["big.bin"] = b"new" * 100
    second = await side.run()
    async with side.serving(), aiohttp.ClientSession() as session:
        for snapshot, content in ((first, FILES["big.bin"]), (second, b"new" * 100)):
            answer = await side.get(f"/mirrors/scenes/snapshots/{snapshot}/files/big.bin")
            assert answer.status == 307
            assert (await fetch(session, answer.headers["location"]))[2] == content


async def test_a_link_ends_soon(tmp_path, swift, monkeypatch):
    monkeypatch.setattr(bucket_links, "LIFE", 1)
    side = side_of(tmp_path, swift)
    snapshot = await side.run()
    async with side.serving(), aiohttp.ClientSession() as session:
        link = (await side.get(f"/mirrors/scenes/snapshots/{snapshot}/files/big.bin")).headers["location"]
        async with asyncio.timeout(60):
            while (await fetch(session, link))[0] != 403:
                await asyncio.sleep(0.2)


async def test_who_may_not_read_a_file_gets_no_link(tmp_path, swift):
    digest = hashlib.sha256(b"syncd_ihep").hexdigest()
    token = f"tokens:\n- {{name: ihep, role: partner, mirrors: [other], sha256: '{digest}'}}\n"
    side = side_of(tmp_path, swift, RESTRICTED, token)
    snapshot = await side.run()
    path = f"/mirrors/scenes/snapshots/{snapshot}/files/big.bin"
    async with side.serving():
        for headers, status in (({}, 401), ({"Authorization": "Bearer syncd_ihep"}, 403)):
            answer = await side.get(path, **headers)
            assert answer.status == status
            assert "location" not in answer.headers


async def test_a_folder_cannot_redirect_and_says_so(tmp_path):
    side = PublicSide(tmp_path, Archive({"a": b"1"}), more="  send: redirect\n")
    await side.run()
    with pytest.raises(ConfigError, match="not a bucket"):
        async with side.serving():
            pass
