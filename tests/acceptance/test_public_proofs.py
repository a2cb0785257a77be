"""The public side proves what it gives, gives partners what they may have, and reads as a bucket."""

import asyncio
import gzip
import hashlib
import json
import time
from xml.etree import ElementTree as ET

import boto3
import msgspec
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from manifests.snapshot import Snapshot, entries_of, identity
from syncd.api import UrlGrant, UrlKeys, make_token, sign_url
from tests.acceptance.public_side import OPEN, PublicSide
from tests.acceptance.test_public_bytes import FILES, at
from tests.fakes import Archive

S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture
def side(tmp_path):
    return PublicSide(tmp_path, Archive(FILES, digests=("sha256",)))


async def test_everything_that_proves_a_snapshot_is_served(side):
    first = await side.run()
    side.archive.files["scene.tif"] = b"another"
    del side.archive.files["empty"]
    second = await side.run()
    base = f"/mirrors/scenes/snapshots/{second}"
    async with side.serving():
        document = await side.get(f"{base}/snapshot.json")
        snapshot = msgspec.json.decode(document.body, type=Snapshot)
        assert snapshot.id == identity(snapshot.content) == second
        stored = side.folder / f"store/.syncd/snapshots/scenes/{second}/snapshot.json"
        assert document.body == stored.read_bytes()
        (shard,) = snapshot.content.shards
        packed = await side.get(f"/mirrors/scenes/shards/{shard.sha256}")
        lines = gzip.decompress(packed.body)
        assert hashlib.sha256(lines).hexdigest() == shard.sha256
        assert "content-encoding" not in packed.headers
        sums = (await side.get(f"{base}/SHA256SUMS", Accept="text/plain")).body.decode().splitlines()
        assert sums == [f"{one.sha256}  {one.path}" for one in entries_of(lines)]
        rows = [json.loads(line) for line in (await side.get(f"{base}/origins")).body.splitlines()]
        assert [row["path"] for row in rows] == [one.path for one in entries_of(lines)]
        assert all(row["verdict"] == "verified" for row in rows)
        assert not any("file:" in row["url"] for row in rows)
        difference = gzip.decompress((await side.get(f"{base}/diff/{first}")).body).splitlines()
        assert difference[0] == b'- "empty"'
        assert json.loads(difference[1].removeprefix(b"+ "))["path"] == "scene.tif"
        assert len(difference) == 2
        evidence = (await side.get("/mirrors/scenes/evidence/scene.tif")).json()
        assert evidence["sha256"] == hashlib.sha256(b"another").hexdigest()
        assert "by" not in evidence["origin"]  # the source is a folder of this machine
        for absent in (f"{base}/diff/{'0' * 64}", "/mirrors/scenes/shards/x", "/mirrors/scenes/evidence/empty"):
            assert (await side.get(absent)).status == 404


@pytest.fixture
async def partners(tmp_path):
    """A restricted mirror, a partner named for it, and one that is not."""
    tokens = {}
    lines = ["tokens:"]
    for name, mirrors in (("ihep", "scenes*"), ("other", "landsat-*")):
        tokens[name], digest = make_token()
        lines.append(f"- {{name: {name}, role: partner, mirrors: ['{mirrors}'], sha256: '{digest}'}}")
    restricted = OPEN.replace("access: open", "access: restricted")
    side = PublicSide(tmp_path, Archive(FILES), publish=restricted, more="\n".join(lines))
    snapshot = await side.run()
    async with side.serving():
        yield side, snapshot, tokens


async def test_a_restricted_mirror_is_read_by_the_partner_that_is_named_for_it(partners):
    side, snapshot, tokens = partners
    path = at(snapshot, "scene.tif")
    assert (await side.get(path)).status == 401
    assert (await side.get(path, Authorization="Bearer nonsense")).status == 401
    assert (await side.get(path, Authorization=f"Bearer {tokens['other']}")).status == 403
    given = await side.get(path, Authorization=f"Bearer {tokens['ihep']}")
    assert (given.status, given.body) == (200, FILES["scene.tif"])
    assert given.headers["cache-control"].startswith("private")
    assert "access-control-allow-origin" not in given.headers
    assert side.served[-1].partner == "ihep"
    assert (await side.get(at(snapshot))).status == 401  # names and checksums, too
    for denied in (
        f"/mirrors/scenes/snapshots/{snapshot}/SHA256SUMS",
        "/s3/scenes/?list-type=2",
        "/s3/scenes/scene.tif",
    ):
        assert (await side.get(denied)).status in {401, 403}


async def test_a_signed_link_is_good_for_its_path_its_host_and_its_time_only(partners):
    side, snapshot, _ = partners

    def link(path, *, host="data.example.org", until=3600, partner="ihep", at_path=None):
        now = int(time.time())
        key = UrlKeys(side.folder / "state").signing(now)
        query = sign_url(UrlGrant("scenes", snapshot, path, now + until, partner), host, key, now)
        return at(snapshot, at_path or path) + "?" + "&".join(f"{name}={value}" for name, value in query.items())

    good = await asyncio.to_thread(link, "scene.tif")
    assert (await side.get(good)).body == FILES["scene.tif"]
    assert (await side.get(good, method="HEAD")).status == 200
    below = await asyncio.to_thread(link, "day/", at_path="day/%E6%95%B0%E6%8D%AE%201.txt")
    assert (await side.get(below)).body == FILES["day/数据 1.txt"]
    for bad in (
        good[:-2] + "AA",
        good.replace("exp=1", "exp=2"),
        await asyncio.to_thread(link, "scene.tif", at_path="big.bin"),
        await asyncio.to_thread(link, "scene.tif", host="evil.example"),
        await asyncio.to_thread(link, "scene.tif", partner="nobody"),
        await asyncio.to_thread(link, "scene.tif", partner="other"),
    ):
        assert (await side.get(bad)).status == 403, bad


async def test_the_tree_reads_as_a_bucket_in_pages_and_folders(side):
    side.archive.files.update({f"many/{n:03}.txt": b"%d" % n for n in range(25)})
    await side.run()
    async with side.serving():
        keys: list = []
        token: str | None = ""
        while token is not None:
            page = await side.get(f"/s3/scenes/?list-type=2&max-keys=7&encoding-type=url&continuation-token={token}")
            tree = ET.fromstring(page.body)
            keys += [one.findtext(f"{S3}Key") for one in tree.iter(f"{S3}Contents")]
            token = tree.findtext(f"{S3}NextContinuationToken")
        assert len(keys) == len(side.archive.files)
        folders = ET.fromstring((await side.get("/s3/scenes?delimiter=/&max-keys=3")).body)
        shown = [one.text for one in folders.iter() if one.tag == f"{S3}Key"]
        prefixes = [one.findtext(f"{S3}Prefix") for one in folders.iter(f"{S3}CommonPrefixes")]
        assert (shown, prefixes) == (["big.bin", "empty"], ["day/"])
        marker = folders.findtext(f"{S3}NextMarker")
        rest = ET.fromstring((await side.get(f"/s3/scenes?delimiter=/&marker={marker}")).body)
        assert [one.findtext(f"{S3}Prefix") for one in rest.iter(f"{S3}CommonPrefixes")] == ["many/"]
        below = ET.fromstring((await side.get("/s3/scenes?list-type=2&prefix=many/00&delimiter=/")).body)
        assert len(list(below.iter(f"{S3}Contents"))) == 10
        got = await side.get("/s3/scenes/scene.tif", Range="bytes=0-9")
        assert (got.status, got.body, got.headers["cache-control"]) == (206, FILES["scene.tif"][:10], "no-cache")
        assert (await side.get("/s3/scenes", method="HEAD")).status == 200
        assert b"LocationConstraint" in (await side.get("/s3/scenes/?location")).body
        for path, code in (("/s3/absent/", b"NoSuchBucket"), ("/s3/scenes/absent", b"NoSuchKey")):
            answer = await side.get(path)
            assert (answer.status, code in answer.body) == (404, True)


async def test_boto3_reads_the_bucket(side):
    await side.run()

    def read():
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{side.port}/s3", region_name="us-east-1",
            config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}),
        )  # fmt: skip
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="scenes", PaginationConfig={"PageSize": 2})
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {key: client.get_object(Bucket="scenes", Key=key)["Body"].read() for key in keys}

    async with side.serving():
        assert await asyncio.to_thread(read) == FILES
