"""What a Snapshot is: the same content has the same id whatever its history, and a small change costs little."""

import gzip
import hashlib
import tracemalloc
import zlib

import pytest
from hypothesis import given, strategies as st

from manifests import snapshot as snap
from manifests.snapshot import Content, Entry, cut, entries_of, identity, is_cut, pack, shard_of, unpack

PATHS = st.text(alphabet="ab/é-.0", min_size=1, max_size=6)
TREES = st.dictionaries(PATHS, st.integers(0, 5), max_size=60)


@pytest.fixture(autouse=True, scope="module")
def many_cuts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snap, "CUT_EVERY", 4)
        yield


def entry(path, content):
    return Entry(path, content, hashlib.sha256(f"{path}{content}".encode()).hexdigest(), "0" * 32)


@given(TREES)
def test_every_shard_but_the_last_ends_with_a_cut(tree):
    runs = list(cut(entry(path, tree[path]) for path in sorted(tree)))
    assert all(is_cut(run[-1].path) for run in runs[:-1])
    assert not any(is_cut(e.path) for run in runs for e in run[:-1])


@given(TREES)
def test_a_shard_reads_back_as_it_was_written_and_only_under_its_own_name(tree):
    for run in cut(entry(path, tree[path]) for path in sorted(tree)):
        shard, content = shard_of(run)
        assert list(entries_of(unpack(pack(content), shard.sha256))) == run
        with pytest.raises(snap.SnapshotError, match="sha256"):
            unpack(pack(content + b" "), shard.sha256)


@pytest.mark.promise("P9")
@pytest.mark.fault(15)
def test_a_shard_that_unpacks_to_more_than_allowed_is_refused_before_it_is_in_memory():
    tracemalloc.start()
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.reset_peak()
    with pytest.raises(snap.SnapshotError, match="has more than 1000 bytes"):
        unpack(bomb, "0" * 64, max_bytes=1000)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda packed: packed[:-1], "ends too early"),
        (lambda packed: packed + packed, "follow its end"),
        (lambda packed: b"x" + packed, "incorrect header|Invalid gzip"),
        (lambda packed: packed[:-5] + b"00000", "incorrect|checksum"),
        (lambda _: b"", "ends too early"),
    ],
)
def test_what_is_no_whole_shard_is_refused(spoil, what):
    shard, content = shard_of([entry("a", 1)])
    with pytest.raises(snap.SnapshotError, match=what):
        unpack(spoil(pack(content)), shard.sha256)


def test_a_shard_packed_by_one_library_is_read_by_the_other(monkeypatch):
    shard, content = shard_of([entry("a", 1), entry("b", 2)])
    packed = pack(content)
    monkeypatch.setattr(snap, "_gzip", zlib)
    assert unpack(packed, shard.sha256) == content
    packed = pack(content)
    monkeypatch.undo()
    assert unpack(packed, shard.sha256) == content


def test_no_shard_is_written_that_could_not_be_read_again(monkeypatch):
    monkeypatch.setattr(snap, "MAX_SHARD", 10)
    with pytest.raises(snap.SnapshotError, match="split the mirror in two"):
        pack(b"x" * 11)


def test_an_identity_is_the_digest_of_the_canonical_shard_list():
    shard, content = shard_of([entry("a", 1)])
    assert content == b'{"path":"a","size":1,"sha256":"%s","xxh3-128":"%s"}\n' % (
        hashlib.sha256(b"a1").hexdigest().encode(),
        b"0" * 32,
    )
    assert identity(Content((shard,))) == identity(Content((shard,)))
    assert identity(Content(())) != identity(Content((shard,)))


def test_a_name_that_coreutils_would_escape_is_escaped():
    assert snap.sums_line(entry("a\\b", 1)).startswith(b"\\")
    assert b"a\\\\b" in snap.sums_line(entry("a\\b", 1))
