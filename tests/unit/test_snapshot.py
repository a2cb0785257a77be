"""What a Snapshot is: the same content has the same id whatever its history, and a small change costs little."""

import gzip
import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings, strategies as st

from manifests import snapshot as snap
from manifests.snapshot import Content, Entry, affected, cut, entries_of, identity, is_cut, pack, shard_of, unpack

PATHS = st.text(alphabet="ab/é-.0", min_size=1, max_size=6)
TREES = st.dictionaries(PATHS, st.integers(0, 5), max_size=60)


@pytest.fixture(autouse=True, scope="module")
def many_cuts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snap, "CUT_EVERY", 4)
        yield


def entry(path, content):
    return Entry(path, content, hashlib.sha256(f"{path}{content}".encode()).hexdigest(), "0" * 32)


def full(tree):
    return tuple(shard_of(run)[0] for run in cut(entry(path, tree[path]) for path in sorted(tree)))


def recut(shards, tree, changed):
    """What publish does: only the affected ranges are read again."""
    if not shards:
        return full(tree)
    out, at = [], 0
    for low, high in affected(shards, sorted(changed)):
        out += shards[at:low]
        first = shards[low].first if low else ""
        last = shards[high].first if high < len(shards) else None
        run = {p: c for p, c in tree.items() if p >= first and (last is None or p < last)}
        out += full(run)
        at = high
    return (*out, *shards[at:])


@given(TREES, TREES)
def test_the_same_content_gives_the_same_shards_whatever_the_history(before, after):
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert recut(full(before), after, changed) == full(after)


@given(TREES, TREES)
@settings(max_examples=200)
def test_a_change_of_k_files_rewrites_at_most_2k_shards(before, after):
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    written = set(full(after)) - set(full(before))
    assert len(written) <= 2 * len(changed)


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
        (lambda packed: b"x" + packed, "incorrect header"),
        (lambda packed: packed[:-5] + b"00000", "incorrect"),
        (lambda _: b"", "ends too early"),
    ],
)
def test_what_is_no_whole_shard_is_refused(spoil, what):
    shard, content = shard_of([entry("a", 1)])
    with pytest.raises(snap.SnapshotError, match=what):
        unpack(spoil(pack(content)), shard.sha256)


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
