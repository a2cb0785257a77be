"""A daemon signs the heads of its published mirrors, renews them, and serves them; those of private ones never."""

import json
import subprocess

import pytest

from syncd.core import HeadUnsigned
from syncd.daemon import head_renewal
from syncd.exchange import SecretKey, write_secret_key
from tests.acceptance.mirroring import scenes
from tests.acceptance.nodes import ORIGINAL, SigningNode
from tests.acceptance.public_side import PublicSide
from tests.daemons import MORE, House, small
from tests.fakes import Archive

SERVE = (
    "serve: {listen: '127.0.0.1:0', url: 'https://data.example.org/', name: cn-demo, key: {file: node.key},"
    " publisher: {name: Demo}}\n"
)
KEY = SecretKey(b"of tests", b"3" * 32)
PUBLISHED = "schedule: {every: 1h}\nabout: {access: open, licence: CC0-1.0}\npublish: {access: open}\n"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path, MORE + SERVE)
    write_secret_key(tmp_path / "node.key", KEY)
    made.archive("a", small())
    return made


def head(house, name="a"):
    return house.store / ".syncd/heads" / name / "head.json"


def seq(house):
    return json.loads(head(house).read_text())["seq"]


async def test_a_pass_signs_the_head_of_a_published_mirror_and_of_no_private_one(house):
    house.archive("b", small())
    house.declare("a", PUBLISHED)
    house.declare("b")
    async with house.living():
        await house.idle("a", "b")
        public = KEY.public.text
        done = subprocess.run(["minisign", "-V", "-P", public, "-m", head(house)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        written = json.loads(head(house).read_text())
        assert (written["node"], written["mirror"], written["licence"]) == ("cn-demo", "a", "CC0-1.0")
        assert written["access"] == "open"
        assert not head(house, "b").exists()


async def test_a_head_is_renewed_before_it_expires_though_nothing_changed(house, monkeypatch):
    monkeypatch.setattr(head_renewal, "FIRST", 0.01)
    monkeypatch.setattr(head_renewal, "EVERY", 0.02)
    house.declare("a", PUBLISHED.replace("every: 1h", "every: 30d"))
    async with house.living():
        await house.idle("a")
        first = seq(house)
        house.time.forward(86_400)
        await house.until(lambda: seq(house) > first)
        assert json.loads(head(house).read_text())["snapshot"] == house.control.mirror("a").snapshot


async def test_a_mirror_that_is_published_later_has_a_head_without_a_pass_that_changes_it(house, monkeypatch):
    monkeypatch.setattr(head_renewal, "FIRST", 0.01)
    monkeypatch.setattr(head_renewal, "EVERY", 0.02)
    house.declare("a")
    async with house.living():
        await house.idle("a")
        assert not head(house).exists()
        house.declare("a", PUBLISHED)
        await house.control.sync("a", "")
        await house.until(head(house).exists)


async def test_a_key_that_cannot_be_read_is_told_and_the_copy_goes_on(house):
    (house.root / "node.key").chmod(0o644)
    house.declare("a", PUBLISHED)
    async with house.living():
        await house.idle("a")
        assert "others can read" in house.heard(HeadUnsigned)[0].reason
        assert house.copy("a") == house.upstream("a")
        assert not head(house).exists()


async def test_the_public_side_serves_head_and_signature(tmp_path):
    node = SigningNode(tmp_path, Archive(scenes()), guard="100%")
    side = PublicSide(tmp_path, node.archive, mirroring=node)
    await side.run()
    async with side.serving():
        found = await side.get("/mirrors/scenes/head.json")
        assert (found.status, found.body) == (200, node.head_file.read_bytes())
        assert found.headers["cache-control"] == "no-cache"
        signature = (await side.get("/mirrors/scenes/head.json.minisig")).body
        assert ORIGINAL.sign(b"", "").splitlines()[0] == signature.splitlines()[0]
        assert (await side.get("/mirrors/scenes/head.json", If_None_Match=found.headers["etag"])).status == 304
        assert (await side.get("/.well-known/syncd.json")).status == 404
        assert (await side.get("/mirrors/nothing/head.json")).status == 404
