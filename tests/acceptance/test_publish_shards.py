"""What a publish reads and writes: the same shards whatever the history, and no more of them than changed."""

import gzip
import hashlib
import random
import subprocess
import threading
from contextlib import contextmanager, suppress

import msgspec
import pytest

from manifests import snapshot as snapshots
from manifests.snapshot import Entry, Origin, Snapshot, cut, shard_of, sums_line
from syncd.catalogue import Catalogue
from syncd.core import NotFound, Offline
from syncd.engine import kept_snapshots, publish_changes, publish_shards, publish_sums
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.pass_paths import PassPaths, origins_path, shard_path, sums_path
from syncd.engine.publish import Publisher
from syncd.engine.publish_origins import read_origins
from syncd.engine.publish_sums import checksum_command
from syncd.stores.filesystem.store import FilesystemStore

NAME = "m"


@pytest.fixture
def small_shards(monkeypatch):
    """Cut after every eighth path or so, edit every shard, and give every mirror parts of sums."""
    monkeypatch.setattr(snapshots, "CUT_EVERY", 8)
    monkeypatch.setattr(publish_changes, "SMALL", 0)
    set_limit(monkeypatch, 20)


def set_limit(monkeypatch, files):
    for module in (publish_shards, publish_sums):
        monkeypatch.setattr(module, "MAX_SUMS", files)


class CountedStore(FilesystemStore):
    """A store that notes what is read and written."""

    def __init__(self, root):
        super().__init__(root)
        self.read, self.written = [], {}

    def open(self, path, **more):
        self.read.append(path)
        return super().open(path, **more)

    async def put(self, path, body, **more):
        self.written[path] = len(body)
        return await super().put(path, body, **more)


class UnreadableStore(CountedStore):
    """A store whose reads fail for a while."""

    def open(self, path, **more):
        raise Offline(f"{path}: the store does not answer")


class Published:
    """A mirror whose Entries are recorded without any bytes."""

    def __init__(self, folder):
        self.folder, self.tree, self.now, self.store_kind = folder, {}, 1_700_000_000.0, CountedStore

    def open_store(self):
        return self.store_kind(self.folder / "store")

    @contextmanager
    def catalogue(self):
        with Catalogue(self.folder / "state") as catalogue:
            yield catalogue, catalogue.history.ensure_mirror(NAME, prefix=f"{NAME}/")

    async def publish(self, changes=(), *, renew=()):
        self.now += 60
        self.store = self.open_store()
        await self.store.identify(None)
        self.store.read, self.store.written = [], {}
        with self.catalogue() as (catalogue, row):
            changes = dict(changes)
            catalogue.holdings.add(row.id, [(entry(path, c), origin(path, c)) for path, c in changes.items() if c])
            gone = [path for path, content in changes.items() if content is None]
            catalogue.holdings.remove(row.id, gone, self.now)
            catalogue.holdings.renew(row.id, [origin(path, content, version="new") for path, content in renew])
            catalogue.holdings.forget_removed(row.id, catalogue.holdings.removed_in_place(row.id))
            place = PassPaths(NAME, f"{NAME}/", "p")
            publisher = Publisher(self.store, catalogue, row, place, lambda _: None, None, lambda: self.now)
            self.snapshot = await publisher.publish()
            self.tree |= changes
            self.tree = {path: content for path, content in self.tree.items() if content is not None}
        await self.store.aclose()
        return self.snapshot

    def entries(self):
        return [entry(path, self.tree[path]) for path in sorted(self.tree)]

    async def check(self):
        """The shards are those that a first publish of the same files would make; all that belongs to them is there."""
        made = [shard_of(run) for run in cut(self.entries())]
        assert self.snapshot.content.shards == tuple(shard for shard, _ in made)
        store = self.open_store()
        for (shard, content), names in zip(made, self.snapshot.origins, strict=True):
            assert gzip.decompress(await read_bounded(store, shard_path(NAME, shard.sha256), 1 << 20)) == content
            paths = {msgspec.json.decode(line)["path"] for line in content.splitlines()}
            found = await read_origins(store, NAME, names)
            with self.catalogue() as (catalogue, row):
                held = {e.path: o for e, o in catalogue.holdings.entries_and_origins(row.id) if e.path in paths}
            assert {path: found[path] for path in paths} == held
        assert await self.sums(store) == b"".join(map(sums_line, self.entries()))
        await store.aclose()

    async def sums(self, store):
        folder = f".syncd/snapshots/{NAME}/{self.snapshot.id}/"
        whole = None
        with suppress(NotFound):
            whole = await read_bounded(store, f"{folder}SHA256SUMS", 1 << 20)
        if not self.snapshot.sums:
            return whole
        parts = (await read_bounded(store, f"{folder}SHA256SUMS.parts", 1 << 20)).decode().splitlines()
        joined = b"".join([gzip.decompress(await read_bounded(store, path, 1 << 20)) for path in parts])
        assert whole in (None, joined)
        return joined


def entry(path, content):
    return Entry(path, len(content), hashlib.sha256(content).hexdigest(), hashlib.sha256(content).hexdigest()[:32])


def origin(path, content, version="v"):
    return Origin(path, f"https://up/{path}", "attested", 5.0, len(content), 1.5, version)


def files(count, start=0):
    return {f"{number:05}/é b": b"%d" % number for number in range(start, start + count)}


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_content_gives_the_same_shards_whatever_the_history(tmp_path, small_shards, seed):
    chance = random.Random(seed)
    mirror = Published(tmp_path)
    await mirror.publish(files(chance.randint(1, 60)))
    await mirror.check()
    for number in range(12):
        paths = [*mirror.tree, *(f"{chance.randint(0, 99):05}/{chance.choice('ab')}" for _ in range(3))]
        few = chance.sample(paths, min(len(paths), chance.choice((1, 1, 2, 3, 20))))
        changes = {path: None if chance.random() < 0.4 else b"%d %d" % (number, chance.randint(0, 9)) for path in few}
        await mirror.publish(changes)
        await mirror.check()


async def test_a_change_of_one_file_reads_and_writes_one_shard(tmp_path, small_shards):
    mirror = Published(tmp_path)
    await mirror.publish(files(400))
    old = mirror.snapshot
    assert len(old.content.shards) > 20
    at = next(at for at, shard in enumerate(old.content.shards) if shard.count > 8 and at > 5)
    await mirror.publish({old.content.shards[at].first: b"changed"})
    await mirror.check()
    assert {path for path in mirror.store.read if "/shards/" in path} == {
        shard_path(NAME, old.content.shards[at].sha256),
        sums_path(NAME, old.content.shards[at].sha256),
    }
    assert len([path for path in mirror.store.written if "/shards/" in path]) == 3
    assert len(set(mirror.snapshot.content.shards) - set(old.content.shards)) == 1


@pytest.mark.parametrize("kind", ["jsonl.gz", "origins.jsonl.gz", "sums.gz"])
@pytest.mark.parametrize("is_missing", [True, False])
async def test_a_shard_that_is_damaged_or_missing_is_made_from_the_catalogue(tmp_path, small_shards, kind, is_missing):
    mirror = Published(tmp_path)
    await mirror.publish(files(60))
    for path in (tmp_path / f"store/.syncd/shards/{NAME}").iterdir():
        if path.name.partition(".")[2] == kind:
            path.unlink() if is_missing else path.write_bytes(gzip.compress(b"{}\n"))
    # in every shard so many files that its origins are joined, which reads the old ones
    paths, changes = sorted(mirror.tree), {}
    for shard in mirror.snapshot.content.shards:
        first = paths.index(shard.first)
        changes |= dict.fromkeys(paths[first : first + max(1, shard.count // 3)], b"changed")
    await mirror.publish(changes)
    await mirror.check()


async def test_origins_of_edited_shards_are_joined_before_they_outgrow_the_list(tmp_path, small_shards):
    mirror = Published(tmp_path)
    await mirror.publish(files(60))
    lists = set()
    for number, path in enumerate(sorted(mirror.tree)):
        await mirror.publish({path: b"changed %d" % number})
        lists |= {len(names.split()) for names in mirror.snapshot.origins}
    await mirror.check()
    assert lists == {1, 2}


async def test_renewed_claims_are_written_with_the_next_edit_of_their_shard(tmp_path, small_shards):
    mirror = Published(tmp_path)
    await mirror.publish(files(60))
    shard = next(shard for shard in mirror.snapshot.content.shards if shard.count > 8)
    paths = sorted(path for path in mirror.tree if path >= shard.first)
    other = sorted(path for path in mirror.tree if path < shard.first) or paths[-1:]
    await mirror.publish(renew=[(paths[1], mirror.tree[paths[1]]), (other[0], mirror.tree[other[0]])])
    with mirror.catalogue() as (catalogue, row):
        assert len(catalogue.changes.files(row.id, "", None, 10)) == 2
    await mirror.publish({paths[0]: b"changed"})
    with mirror.catalogue() as (catalogue, row):
        assert [one.path for one in catalogue.changes.files(row.id, "", None, 10)] == [other[0]]
    at = next(at for at, one in enumerate(mirror.snapshot.content.shards) if one.first == shard.first)
    store = FilesystemStore(tmp_path / "store")
    assert (await read_origins(store, NAME, mirror.snapshot.origins[at]))[paths[1]].version == "new"
    await store.aclose()


@pytest.mark.promise("P9")
async def test_shards_are_read_edited_and_packed_outside_of_the_event_loop(tmp_path, small_shards, monkeypatch):
    threads = set()

    def noted(work):
        def act(*given, **named):
            threads.add((work.__name__, threading.current_thread() is threading.main_thread()))
            return work(*given, **named)

        return act

    for module, names in (
        (publish_shards, ("unpack", "gunzip", "pack", "edit")),
        (publish_changes, ("pack", "lines", "sums_of")),
        (publish_sums, ("sums_line", "sums_of", "pack")),
        (kept_snapshots, ("unpack",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, noted(getattr(module, name)))
    mirror = Published(tmp_path)
    await mirror.publish(files(15))
    await mirror.publish(files(60, 15))
    await mirror.publish({path: b"changed" for number, path in enumerate(sorted(mirror.tree)) if number % 5 == 0})
    assert {name for name, _ in threads} == {"unpack", "gunzip", "pack", "edit", "lines", "sums_of", "sums_line"}
    assert not any(is_main for _, is_main in threads)


async def test_a_publish_that_cannot_read_its_shards_writes_them_from_the_catalogue(tmp_path, small_shards):
    mirror = Published(tmp_path)
    await mirror.publish(files(60))
    mirror.store_kind = UnreadableStore
    await mirror.publish({path: b"changed" for number, path in enumerate(sorted(mirror.tree)) if number % 5 == 0})
    mirror.store_kind = CountedStore
    await mirror.check()


async def test_shards_in_a_bucket_are_edited_as_in_a_folder(tmp_path, small_shards, swift):
    mirror, url = Published(tmp_path), swift.url()
    mirror.open_store = lambda: swift.store(url)
    await mirror.publish(files(40))
    await mirror.publish({path: b"changed" for number, path in enumerate(sorted(mirror.tree)) if number % 9 == 0})
    await mirror.publish({sorted(mirror.tree)[20]: None})
    await mirror.check()


# -- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 40])
async def test_the_printed_command_checks_a_copy_of_any_size(tmp_path, small_shards, count):
    mirror = Published(tmp_path)
    odd = {"a b/c": b"1", "back\\slash": b"2", "quo'te\"": b"3", "é/ü": b"4", "*": b"5", "\\n": b"6", " lead": b"7"}
    await mirror.publish(files(count) | odd)
    await mirror.publish({"00003/é b": b"changed"})
    await mirror.check()
    root = tmp_path / "store"
    for path, content in mirror.tree.items():
        (root / NAME / path).parent.mkdir(parents=True, exist_ok=True)
        (root / NAME / path).write_bytes(content)
    command = checksum_command(str(root), f"{NAME}/", mirror.snapshot)
    assert ("SHA256SUMS.parts" in command) == (count == 40)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    if count == 40:
        listed = root / f".syncd/snapshots/{NAME}/{mirror.snapshot.id}/SHA256SUMS.parts"
        part = root / listed.read_text().splitlines()[-1]
        part.rename(root / "away")
        lacking = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert lacking.returncode != 0
        (root / "away").rename(part)
    (root / NAME / "00003/é b").write_bytes(b"damaged")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "00003/é b: FAILED" in done.stdout


async def test_a_store_with_one_list_for_all_gets_its_parts_with_the_next_publish(tmp_path, small_shards, monkeypatch):
    mirror = Published(tmp_path)
    set_limit(monkeypatch, 1_000_000)  # as an earlier syncd had it
    await mirror.publish(files(60))
    assert not mirror.snapshot.sums
    old = mirror.snapshot
    set_limit(monkeypatch, 20)
    assert (await mirror.publish()).id == old.id
    command = checksum_command("/s", "m/", old)
    assert command.endswith(f"-c ../.syncd/snapshots/m/{old.id}/SHA256SUMS)")
    await mirror.publish({"00003/é b": b"changed"})
    assert mirror.snapshot.sums
    await mirror.check()
    await mirror.publish({"00003/é b": b"3"})  # the earlier snapshot is published again
    assert mirror.snapshot.id == old.id
    assert mirror.snapshot.sums
    await mirror.check()


async def test_a_lost_shard_that_needs_its_sums_is_made_from_the_catalogue(tmp_path, small_shards, monkeypatch):
    mirror = Published(tmp_path)
    set_limit(monkeypatch, 1_000_000)
    await mirror.publish(files(60))
    set_limit(monkeypatch, 20)
    for shard in mirror.snapshot.content.shards:
        (tmp_path / "store" / shard_path(NAME, shard.sha256)).unlink()
    await mirror.publish({"00003/é b": b"changed"})
    await mirror.check()


async def test_a_mirror_that_grows_and_shrinks_has_sums_that_fit(tmp_path, small_shards):
    mirror = Published(tmp_path)
    for changes in (files(15), files(30, 15), dict.fromkeys(files(40)), files(2), files(50, 100)):
        await mirror.publish(changes)
        await mirror.check()
        whole = tmp_path / f"store/.syncd/snapshots/{NAME}/{mirror.snapshot.id}/SHA256SUMS"
        assert whole.exists() == (len(mirror.tree) <= 20)
    assert mirror.snapshot.sums


def test_a_snapshot_of_an_earlier_syncd_is_read():
    body = (
        b'{"id":"x","content":{"shards":[],"format":"syncd-snapshot/1"},"mirror":"m","created":1,"files":0,"bytes":0}'
    )
    assert not msgspec.json.decode(body, type=Snapshot).sums
    assert origins_path("m", "0" * 64).endswith(".origins.jsonl.gz")
