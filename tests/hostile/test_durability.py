"""What is said to be done would survive a power cut at that moment, and at no moment would half a truth survive."""

import json
import random
import resource

import pytest

from syncd.catalogue.holdings import Holdings
from syncd.core.errors import SyncdError
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.mirroring import Mirroring, scenes
from tests.contracts.store_contract import paths, read, upload
from tests.fakes import Archive, sha256
from tests.hostile.durable import Platter


@pytest.fixture
async def store(tmp_path):
    opened = FilesystemStore(tmp_path / "store")
    yield opened
    await opened.aclose()


@pytest.fixture
def platter(tmp_path, monkeypatch):
    made = Platter(tmp_path / "store", monkeypatch)
    yield made
    made.close()


@pytest.mark.promise("P2")
@pytest.mark.fault(41)
async def test_every_change_is_on_the_disk_with_its_name_and_its_folders_when_it_is_said_to_be_done(store, platter):
    small, large = random.Random(1).randbytes(1000), random.Random(2).randbytes(3 << 20)
    await store.put("one/two/small", small)
    assert platter.left()["one/two/small"] == small
    await store.put("one/three/small", small, if_absent=True)
    assert platter.left()["one/three/small"] == small
    await upload(store, "four/five/large", large)
    assert platter.left()["four/five/large"] == large
    await store.copy("four/five/large", "six/copy")
    assert platter.left()["six/copy"] == large
    await store.move("six/copy", "seven/moved")
    assert platter.left()["seven/moved"] == large
    assert "six/copy" not in platter.left()
    await store.put("one/two/small", large[:1000])
    assert platter.left()["one/two/small"] == large[:1000]
    await store.delete("one/two/small")
    assert "one/two/small" not in platter.left()
    assert platter.syncs > 0


@pytest.mark.promise("P1", "P2")
@pytest.mark.fault(41)
async def test_a_power_cut_at_any_moment_of_a_pass_leaves_whole_files_and_a_pointer_to_a_whole_snapshot(
    tmp_path, monkeypatch, platter
):
    mirroring = Mirroring(tmp_path, Archive(scenes()))
    ever = {path: {content} for path, content in mirroring.archive.files.items()}
    pointers = set()

    def whole(left):
        for path, content in left.items():
            if path.startswith("scenes/"):
                assert content in ever[path.removeprefix("scenes/")], f"{path} would be left as it never was"
        if (found := left.get(".syncd/mirrors/scenes.json")) is None:
            return
        pointers.add(snapshot := json.loads(found)["snapshot"])
        folder = f".syncd/snapshots/scenes/{snapshot}/"
        shards = json.loads(left[f"{folder}snapshot.json"])["content"]["shards"]
        assert shards
        for shard in shards:
            assert left[f".syncd/shards/scenes/{shard['sha256']}.jsonl.gz"]
        assert left[f"{folder}SHA256SUMS"]

    platter.check = whole
    recorded, enter = [], Holdings.add

    def durable_by_then(self, mirror, pairs):
        pairs = list(pairs)
        for entry, _ in pairs:
            assert sha256(platter.latest[f"scenes/{entry.path}"]) == entry.sha256, (
                f"{entry.path} is recorded and not on the disk"
            )
            recorded.append(entry.path)
        return enter(self, mirror, pairs)

    monkeypatch.setattr(Holdings, "add", durable_by_then)
    for number in range(3):
        result = await mirroring.run()
        assert result.complete
        left = platter.left()
        assert {path: left[f"scenes/{path}"] for path in mirroring.archive.files} == mirroring.archive.files
        for path, content in scenes(number + 2, 4).items():
            mirroring.archive.files[path] = content
            ever.setdefault(path, set()).add(content)
        mirroring.archive.files[f"new{number}"] = b"%d" % number
        ever[f"new{number}"] = {b"%d" % number}
    assert len(pointers) == 3
    assert len(recorded) > len(ever)


@pytest.mark.promise("P1")
@pytest.mark.fault(38)
async def test_what_the_system_takes_only_in_part_and_then_not_at_all_is_never_there(store):
    """Past a limit on the size of a file the system takes the bytes up to it, and no more the next time."""
    body = random.Random(3).randbytes(100_000)
    await store.put("before", b"x")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (33_333, limits[1]))
    try:
        with pytest.raises(SyncdError, match=r"^put: "):
            await store.put("put", body)
        with pytest.raises(SyncdError, match=r"^staged: "):
            await upload(store, "staged", body)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert await paths(store) == ["before"]
    await store.put("put", body)
    assert await read(store, "put") == body
