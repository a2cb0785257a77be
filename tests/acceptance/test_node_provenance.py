"""What a copy of a copy knows of each file: who promised its checksum, over which nodes it came, and who said so first."""

import gzip
import shutil
import time

import pytest

from syncd.core.events import SurveyNoted
from syncd.engine.rebuild_catalogue import rebuild
from tests.acceptance.cli import Bucket, Folder, sync
from tests.acceptance.mirroring import BucketMirroring
from tests.acceptance.nodes import ORIGINAL, FollowingNode, SigningNode, snapshot_of
from tests.acceptance.test_node_to_node import faced
from tests.acceptance.test_three_nodes import public
from tests.fakes import Archive

FILES = {"a.nc": b"a", "数据/b +%41#?.nc": b"b" * 1000}


async def provenance(node):
    """Return the Origins of a node's files, by path."""
    async with node.open() as (_, catalogue):
        row = catalogue.history.mirror("scenes")
        return {origin.path: origin for _, origin in catalogue.holdings.entries_and_origins(row.id)}


@pytest.fixture
async def origin(tmp_path):
    node = SigningNode(tmp_path / "one", Archive(dict(FILES), digests=("md5",)))
    await node.run()
    return node


async def test_each_file_of_a_copy_names_the_node_and_the_head_that_promised_it(origin, tmp_path):
    copy = FollowingNode(tmp_path / "two", origin)
    await copy.run()
    found = await provenance(copy)
    assert {(one.verdict, one.by) for one in found.values()} == {("verified", "node:cn-one (head 1)")}
    origin.archive.files["c.nc"] = b"c"
    await origin.run()
    await copy.run()
    assert (await provenance(copy))["c.nc"].by == "node:cn-one (head 2)"
    async with copy.open() as (_, catalogue):  # heads of one node count together
        counted = catalogue.holdings.verdicts(catalogue.history.mirror("scenes").id)
    assert [(one.verdict, one.by, one.files) for one in counted] == [("verified", "node:cn-one", 3)]


async def test_what_a_server_says_that_no_key_vouches_for_verifies_no_file(origin, tmp_path):
    copy = FollowingNode(tmp_path / "two", origin, source="trust: transport")
    assert (await copy.run()).complete
    assert {(one.verdict, one.by) for one in (await provenance(copy)).values()} == {("attested", "")}
    assert snapshot_of(copy) == snapshot_of(origin)


class BucketNode(SigningNode, BucketMirroring):
    """A node whose store is a bucket of a real S3 server, given as `server`."""


MANIFEST = """
mirror: scenes
source:
  url: {url}
  endpoint: {endpoint}
  region: us-east-1
  reader: syncd
  mirror: scenes
  keys: ["{key}"]
guard: {{max_removed: 90%}}
"""


async def test_the_bucket_of_a_node_is_followed_with_its_id_and_by_the_shards_that_changed(swift, tmp_path):
    files = {**FILES, "old.nc": b"old"}
    node = BucketNode(tmp_path / "one", Archive(dict(files), digests=("md5",)), server=swift, guard="100%")
    node.now = time.time() - 3600
    first = await node.run()
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "two", tmp_path / "scenes.yaml"
    store.environ = Bucket(swift, swift.url()).environ
    manifest.write_text(MANIFEST.format(url=node.url, endpoint=swift.endpoint, key=ORIGINAL.public.text))
    words = (store, state, manifest, "--allow-private", swift.endpoint)
    assert sync(*words)["snapshot"] == first.snapshot
    assert store.read("scenes/") == files
    node.archive.files = {**FILES, "a.nc": b"changed", "new/c.nc": b"c"}
    second = await node.run()
    done = sync(*words)
    assert [done[key] for key in ("snapshot", "fetched", "replaced", "removed")] == [second.snapshot, 1, 1, 1]
    assert store.read("scenes/") == node.archive.files


async def test_who_promised_a_file_first_is_known_two_hops_later_whatever_the_way(origin, tmp_path):
    first = await provenance(origin)
    async with public(origin, after_a_pass=False) as (_, _, url):
        near = FollowingNode(tmp_path / "two", origin, url=url)
        await near.run()
        origin.archive.files["d.nc"] = b"d"
        await origin.run()
        await near.run()  # by a difference
    far = FollowingNode(tmp_path / "three", near, name="us-three")  # over its store
    await far.run()
    for node, by in ((near, "node:cn-one (head"), (far, "node:de-two (head")):
        found = await provenance(node)
        assert set(found) == {*FILES, "d.nc"}
        assert all(one.by.startswith(by) for one in found.values())
        told = {path: one.first for path, one in found.items()}
        assert None not in told.values()
        assert {path: (told[path].verdict, told[path].proved) for path in FILES} == {
            path: (one.verdict, one.proved) for path, one in first.items()
        }
        assert {(one.url, one.by) for one in told.values()} == {("", "")}  # places of that machine are not told
    shutil.rmtree(far.folder / "state")
    async with far.open() as (store, catalogue):  # and the store alone knows it, too
        await rebuild(store, catalogue, now=lambda: far.now)
    assert (await provenance(far))["d.nc"].first is not None


async def test_a_provenance_that_cannot_be_read_is_told_and_the_files_come_all_the_same(tmp_path):
    origin = SigningNode(tmp_path / "one", Archive({"a.nc": b"a"}))
    await origin.run()
    with faced(origin) as (face, url):
        face.provenance = gzip.compress(b"no line\n")
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        assert (await copy.run()).complete
        told = [event.text for event in copy.events if isinstance(event, SurveyNoted)]
        assert any("is no provenance" in text for text in told), told
    assert {one.first for one in (await provenance(copy)).values()} == {None}
