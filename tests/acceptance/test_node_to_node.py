"""A node mirrors another one: over its store or its face, by signed heads, differences and shards."""

import contextlib
import gzip
import subprocess

import pytest

from syncd.core.events import DocumentFailed, SurveyNoted
from tests.acceptance.mirroring import scenes
from tests.acceptance.nodes import COPY, ORIGINAL, FollowingNode, SigningNode, StoreFace, snapshot_of
from tests.fakes import Archive
from tests.servers.web import serving


@pytest.fixture
async def origin(tmp_path):
    node = SigningNode(tmp_path / "one", Archive(scenes(), digests=("md5",)))
    await node.run()
    return node


@contextlib.contextmanager
def faced(node):
    """Serve the face of a node; yields it, and the url of its mirror."""
    face = StoreFace(node)
    with serving(face.application) as site:
        yield face, f"{site.url}/mirrors/scenes/"


async def test_a_mirror_over_another_nodes_store_ends_with_its_id(origin, tmp_path):
    copy = FollowingNode(tmp_path / "two", origin)
    done = await copy.run()
    assert done.complete
    assert copy.natural() == origin.natural()
    assert snapshot_of(copy) == snapshot_of(origin) == done.snapshot
    assert (await copy.run()).fetched == 0


async def test_minisign_accepts_a_head(origin):
    done = subprocess.run(
        ["minisign", "-V", "-P", ORIGINAL.public.text, "-m", str(origin.head_file)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_equal_ids_cost_one_request(origin, tmp_path):
    with faced(origin) as (face, url):
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        await copy.run()
        await origin.run()
        face.asked.clear()
        done = await copy.run()
        assert face.asked == ["/mirrors/scenes/head.json.minisig"]
        assert (done.complete, done.fetched, done.snapshot) == (True, 0, snapshot_of(origin))
        assert copy.head()["upstream_checked"] == origin.head()["upstream_checked"]


async def test_what_changed_is_read_as_a_difference_that_proves_itself(origin, tmp_path):
    with faced(origin) as (face, url):
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        await copy.run()
        origin.archive.files["LC08/new.tif"] = b"new"
        origin.archive.files["LC08/0/b00.tif"] = b"changed"
        del origin.archive.files["LC08/1/b01.tif"]
        await origin.run()
        face.asked.clear()
        done = await copy.run()
        assert [one for one in face.asked if "/shards/" in one or one.endswith("snapshot.json")] == []
        assert (done.fetched, done.replaced, done.removed) == (2, 1, 1) or (done.fetched, done.removed) == (1, 1)
        assert snapshot_of(copy) == snapshot_of(origin)
        assert copy.natural() == origin.natural()


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda text: text.replace(b'"size":3', b'"size":4'),
        lambda text: text.replace(b"- ", b"+ "),
        lambda text: b"".join(text.splitlines(keepends=True)[1:]),
        lambda text: text[: len(text) // 2],
        lambda text: b"",
    ],
)
async def test_a_difference_with_one_false_line_ends_in_the_shards_and_is_named(origin, tmp_path, spoiled):
    with faced(origin) as (face, url):
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        await copy.run()
        origin.archive.files["LC08/new.tif"] = b"new"
        del origin.archive.files["LC08/1/b01.tif"]
        await origin.run()
        face.spoil["diff"] = lambda packed: gzip.compress(spoiled(gzip.decompress(packed)))
        face.asked.clear()
        done = await copy.run()
        assert done.complete
        assert any("/shards/" in one for one in face.asked)
        named = [event.reason for event in copy.events if isinstance(event, DocumentFailed)]
        assert named
        assert snapshot_of(copy) == snapshot_of(origin)


async def test_shards_that_are_held_are_not_read_again(origin, tmp_path):
    origin.archive.files.update({f"many/{n:05}": b"%d" % n for n in range(3000)})
    await origin.run()
    with faced(origin) as (face, url):
        face.has_differences = False
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        await copy.run()
        origin.archive.files["zz"] = b"the last"
        await origin.run()
        face.asked.clear()
        await copy.run()
        assert sum("/shards/" in one for one in face.asked) == 1
        assert snapshot_of(copy) == snapshot_of(origin)


def refusals(copy):
    return [event.reason for event in copy.events if isinstance(event, DocumentFailed)]


async def refused(copy):
    """Run a pass that must be refused; return why. Nothing is published or removed."""
    before, pointer = copy.natural(), snapshot_of(copy)
    with pytest.raises(Exception) as caught:
        await copy.run()
    assert copy.natural() == before
    assert snapshot_of(copy) == pointer
    return str(caught.value)


@pytest.fixture
async def pair(origin, tmp_path):
    copy = FollowingNode(tmp_path / "two", origin)
    await copy.run()
    origin.archive.files["LC08/new.tif"] = b"new"
    del origin.archive.files["LC08/1/b01.tif"]
    await origin.run()
    return origin, copy


@pytest.mark.promise("P8")
@pytest.mark.fault(32)
async def test_a_head_that_was_rolled_back_is_refused(pair):
    origin, copy = pair
    await copy.run()
    origin.signed(seq=1)
    assert "an older head" in await refused(copy)


@pytest.mark.promise("P8")
@pytest.mark.fault(32)
async def test_one_sequence_that_names_two_snapshots_is_refused(pair):
    origin, copy = pair
    await copy.run()
    origin.signed(snapshot="0" * 64)
    assert "name different snapshots" in await refused(copy)


async def test_a_sequence_that_jumps_is_refused(pair):
    origin, copy = pair
    origin.signed(seq=5_000_000)
    assert "jumps" in await refused(copy)


@pytest.mark.promise("P8")
@pytest.mark.fault(32)
async def test_an_expired_head_is_refused(pair):
    _, copy = pair
    copy.now += 8 * 86_400
    assert "frozen since" in await refused(copy)


async def test_the_head_of_another_mirror_is_refused(pair):
    origin, copy = pair
    origin.signed(mirror="scents")
    assert "that of mirror scents" in await refused(copy)


async def test_an_unsigned_head_is_refused(pair):
    origin, copy = pair
    origin.head_file.with_name("head.json.minisig").unlink()
    assert "head.json.minisig" in await refused(copy)


async def test_a_head_by_another_key_is_refused(pair):
    origin, copy = pair
    origin.key = COPY
    origin.signed()
    reason = await refused(copy)
    assert "keys.json" in reason


async def test_a_head_whose_text_is_not_what_was_signed_is_refused(pair):
    origin, copy = pair
    origin.head_file.write_bytes(origin.head_file.read_bytes().replace(b"cn-one", b"cn-ten"))
    assert "not of this head" in await refused(copy)


async def test_a_copy_of_our_own_mirror_is_no_source_of_its_list(pair):
    origin, copy = pair
    origin.signed(via=["us-three", "de-two"])
    assert "copy of our own mirror" in await refused(copy)


def listed_shards(node):
    """The shards of the current Snapshot, with the files that hold them."""
    import json

    folder = node.store_folder / ".syncd"
    content = json.loads((folder / "snapshots/scenes" / snapshot_of(node) / "snapshot.json").read_text())
    return [(one, folder / "shards/scenes" / f"{one['sha256']}.jsonl.gz") for one in content["content"]["shards"]]


async def test_a_shard_that_unpacks_to_more_than_it_says_is_refused(pair):
    origin, copy = pair
    for _, file in listed_shards(origin):
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()) + b"{}\n" * 10_000_000, 1))
    assert "more than the" in await refused(copy)


async def test_a_shard_that_is_cut_elsewhere_is_refused(origin, tmp_path):
    """A node that signs what it likes cannot give one content two ids."""
    import hashlib

    import msgspec

    from manifests.snapshot import Content, Shard, entries_of, identity, lines

    ((_, file),) = listed_shards(origin)
    entries = list(entries_of(gzip.decompress(file.read_bytes())))
    shards = []
    for run in (entries[:5], entries[5:]):
        text = lines(run)
        name = hashlib.sha256(text).hexdigest()
        file.with_name(f"{name}.jsonl.gz").write_bytes(gzip.compress(text))
        shards.append(Shard(run[0].path, len(run), sum(one.size for one in run), name))
    content = Content(tuple(shards))
    old = origin.store_folder / ".syncd/snapshots/scenes" / snapshot_of(origin) / "snapshot.json"
    snapshot = {
        **msgspec.json.decode(old.read_bytes()),
        "id": identity(content),
        "content": msgspec.to_builtins(content),
    }
    new = old.parent.with_name(snapshot["id"])
    new.mkdir()
    text = msgspec.json.encode(snapshot)
    (new / "snapshot.json").write_bytes(text)
    origin.signed(snapshot=snapshot["id"], snapshot_json=hashlib.sha256(text).hexdigest(), seq=9)
    copy = FollowingNode(tmp_path / "two", origin)
    with pytest.raises(Exception, match="cut elsewhere"):
        await copy.run()
    assert copy.natural() == {}


@pytest.mark.promise("P8")
@pytest.mark.fault(32)
async def test_a_node_that_lost_its_state_is_followed_on(pair, tmp_path):
    import shutil

    from syncd.engine.rebuild_catalogue import rebuild

    origin, copy = pair
    await copy.run()
    before = origin.head()["seq"]
    shutil.rmtree(origin.folder / "state")
    async with origin.open() as (store, catalogue):
        await rebuild(store, catalogue)
    origin.archive.files["LC08/newer.tif"] = b"newer"
    await origin.run()
    assert origin.head()["seq"] > before
    assert (await copy.run()).fetched == 1
    assert snapshot_of(copy) == snapshot_of(origin)


async def test_a_follower_that_lost_its_state_still_refuses_an_older_head(pair):
    import shutil

    from syncd.engine.rebuild_catalogue import rebuild

    origin, copy = pair
    await copy.run()
    shutil.rmtree(copy.folder / "state")
    async with copy.open() as (store, catalogue):
        await rebuild(store, catalogue)
    origin.signed(seq=1)
    assert "an older head" in await refused(copy)


async def test_a_rollback_by_the_steward_is_followed(pair):
    import msgspec

    origin, copy = pair
    await copy.run()
    async with origin.open() as (store, catalogue):
        first = catalogue.history.snapshots(catalogue.history.mirror("scenes").id)[-1].id
        restoration = origin.restoration(store, catalogue)
        signing = msgspec.structs.replace(restoration.publisher, heads=origin.signer())
        await msgspec.structs.replace(restoration, publisher=signing).rollback(first)
    await copy.run()
    assert snapshot_of(copy) == snapshot_of(origin) == first


async def test_the_originals_freshness_is_passed_on_and_grows(pair, tmp_path):
    origin, copy = pair
    third = FollowingNode(tmp_path / "three", copy, name="us-three")
    await copy.run()
    for _ in range(3):
        await copy.run()
        await third.run()
    assert third.head()["upstream_checked"] == origin.head()["upstream_checked"]
    assert third.head()["via"] == ["cn-one", "de-two"]
    assert snapshot_of(third) == snapshot_of(origin)
    assert third.now - origin.now >= 300  # the copy grows older, however fresh its head is


async def test_a_clock_that_is_off_is_told(origin, tmp_path):
    with faced(origin) as (_, url):
        copy = FollowingNode(tmp_path / "two", origin, url=url)
        copy.now = origin.now + 3600
        await copy.run()
        told = [event.text for event in copy.events if isinstance(event, SurveyNoted)]
        assert any("61 minutes behind" in text for text in told), told
        copy.now += 8 * 86_400
        assert "minutes behind ours" in await refused(copy)


async def test_trust_in_the_transport_needs_no_key_but_is_written_out(origin, tmp_path):
    from manifests.yaml import ManifestError

    origin.key = None
    copy = FollowingNode(tmp_path / "two", SigningNode(origin.folder, origin.archive), source="trust: transport")
    await copy.run()
    assert snapshot_of(copy) == snapshot_of(origin)
    with pytest.raises(ManifestError, match="names no key of the node"):
        FollowingNode(tmp_path / "three", SigningNode(origin.folder, origin.archive), source="limits: {}")


async def test_a_node_without_a_key_is_followed_by_its_pointer(tmp_path):
    node = SigningNode(tmp_path / "one", Archive(scenes()))
    node.key = None
    await node.run()
    node.key = ORIGINAL
    copy = FollowingNode(tmp_path / "two", node, source="trust: transport")
    assert (await copy.run()).complete
    assert (await copy.run()).complete
    assert snapshot_of(copy) == snapshot_of(node)


async def test_a_mirror_that_wants_a_part_only_follows_too(origin, tmp_path):
    with faced(origin) as (face, url):
        copy = FollowingNode(
            tmp_path / "two", origin, url=url, source=f'include: ["LC08/0/**"], keys: ["{ORIGINAL.public.text}"]'
        )
        await copy.run()
        assert copy.natural() == {path: body for path, body in origin.natural().items() if path.startswith("LC08/0/")}
        face.asked.clear()
        await origin.run()
        await copy.run()
        assert len(face.asked) == 1
        del origin.archive.files["LC08/0/b00.tif"]
        await origin.run()
        assert (await copy.run()).removed == 1
        assert not refusals(copy)


async def test_keys_change_with_the_consent_of_those_before(pair):
    from syncd.exchange import begin_chain, chain_text, next_chain

    origin, copy = pair
    chain = origin.store_folder / ".syncd/heads/keys.json"
    first = begin_chain("cn-one", ORIGINAL, origin.now)
    second = next_chain(first, [COPY.public.text], [ORIGINAL, COPY], origin.now)
    origin.chain = chain_text(second)
    origin.key = COPY
    await origin.run()
    assert origin.head()["keys"] == 2
    await copy.run()
    assert snapshot_of(copy) == snapshot_of(origin)
    origin.key = ORIGINAL  # rotated out
    origin.signed(seq=100)
    assert "not trusted" in await refused(copy)
    chain.write_bytes(chain_text(first))
    assert "not trusted" in await refused(copy)


async def test_a_node_whose_list_is_older_than_wanted_is_refused(pair):
    origin, copy = pair
    limited = FollowingNode(copy.folder, origin, source=f'max_age: 1h, keys: ["{ORIGINAL.public.text}"]')
    assert (await limited.run()).complete
    limited.now += 7200
    assert "last surveyed" in await refused(limited)


async def test_one_snapshot_is_mirrored_by_its_id_alone(pair, tmp_path):
    origin, _ = pair
    wanted = snapshot_of(origin)
    copy = FollowingNode(tmp_path / "three", origin, source=f"follow: {wanted}")
    assert (await copy.run()).complete
    origin.archive.files["LC08/newer.tif"] = b"newer"
    assert (await copy.run()).complete
    assert snapshot_of(copy) == wanted
