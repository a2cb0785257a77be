"""Every door of a node names one checksum for a file, and people check a copy without syncd: sha256sum, minisign."""

import base64
import hashlib
import json
import subprocess
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.nodes import ORIGINAL, SigningNode, snapshot_of
from tests.acceptance.public_side import PublicSide
from tests.fakes import Archive

FILES = {"a b+c%41.tif": b"odd", "day/数据.nc": "数据".encode(), "x#y?z.txt": b"marks"}


@pytest.fixture
async def side(tmp_path):
    node = SigningNode(tmp_path, Archive(dict(FILES), digests=("md5",)), guard="100%")
    made = PublicSide(tmp_path, node.archive, mirroring=node)
    await made.run()
    async with made.serving():
        yield made


def checksum_in(found, key, path):
    return next((one.get("sha256") for one in found if unquote(one.get(key, "")).endswith(f"/files/{path}")), found)


@pytest.mark.parametrize("path", FILES)
async def test_a_file_has_one_checksum_at_every_door(side, path):
    name, mirror = quote(path), "/mirrors/scenes"
    base = f"{mirror}/snapshots/{snapshot_of(side.mirroring)}"
    sha256 = hashlib.sha256(FILES[path]).hexdigest()
    sent = await side.get(f"{base}/files/{name}")
    assert hashlib.sha256(sent.body).hexdigest() == sha256
    digest = sent.headers["repr-digest"].removeprefix("sha-256=:").removesuffix(":")
    bucket = await side.get(f"/s3/scenes/{name}", method="HEAD")
    listed = (await side.get("/s3/scenes?list-type=2")).body.decode()
    sums = (await side.get(f"{base}/SHA256SUMS")).body.decode().splitlines()
    meta4 = ET.fromstring((await side.get(f"{base}/meta4/{name}")).body)
    croissant = json.loads((await side.get(f"{mirror}/croissant.json")).body)
    crate = json.loads((await side.get(f"{mirror}/ro-crate-metadata.json")).body)
    told = {
        "etag": sent.headers["etag"].strip('"'),
        "repr-digest": base64.b64decode(digest).hex(),
        "bucket": bucket.headers["etag"].strip('"'),
        "SHA256SUMS": dict(line.split("  ", 1)[::-1] for line in sums)[path],
        "metalink": meta4.find(".//{*}hash[@type='sha-256']").text,
        "evidence": (await side.get(f"{mirror}/evidence/{name}")).json()["sha256"],
        "croissant": checksum_in(croissant["distribution"], "contentUrl", path),
        "crate": checksum_in(crate["@graph"], "@id", path),
    }
    assert told == dict.fromkeys(told, sha256)
    assert sha256 in listed


async def test_people_check_a_copy_and_the_head_with_their_own_tools(side, tmp_path):
    copy = tmp_path / "copy"
    base = f"/mirrors/scenes/snapshots/{snapshot_of(side.mirroring)}"
    for path in FILES:
        file = copy / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((await side.get(f"{base}/files/{quote(path)}")).body)
    (copy / "SHA256SUMS").write_bytes((await side.get(f"{base}/SHA256SUMS")).body)
    for name in ("head.json", "head.json.minisig"):
        (copy / name).write_bytes((await side.get(f"/mirrors/scenes/{name}")).body)
    minisign = ["minisign", "-V", "-P", ORIGINAL.public.text, "-m", "head.json"]
    for command in (["sha256sum", "--strict", "-c", "SHA256SUMS"], minisign):
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (copy / "head.json").write_bytes((copy / "head.json").read_bytes().replace(b'"seq"', b'"sex"', 1))
    assert subprocess.run(minisign, cwd=copy, capture_output=True, check=False).returncode == 1
