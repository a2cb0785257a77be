"""Edits of a shard's lines give what writing all of them again would give."""

import hashlib

import pytest
from hypothesis import given, settings, strategies as st

from manifests import snapshot as snap
from manifests.shard_lines import edit, edited_shard, json_path, sums_path
from manifests.snapshot import Entry, SnapshotError, cut, lines, shard_of, sums_line, sums_of

PATHS = st.text(alphabet='ab/é\\"\n ', min_size=1, max_size=5)
TREES = st.dictionaries(PATHS, st.integers(0, 5), max_size=60)
CHANGES = st.dictionaries(PATHS, st.none() | st.integers(0, 5), max_size=12)


def entry(path, content):
    return Entry(path, content, hashlib.sha256(f"{path}{content}".encode()).hexdigest(), "0" * 32)


def text(tree, line):
    return b"".join(line(entry(path, tree[path])) for path in sorted(tree))


def of_json(row):
    return lines([row])


@given(TREES, CHANGES)
@settings(max_examples=300)
@pytest.mark.parametrize(("line", "path_of"), [(of_json, json_path), (sums_line, sums_path)], ids=["json", "sums"])
def test_edited_lines_are_those_of_the_changed_tree(line, path_of, before, changes):
    after = {path: content for path, content in (before | changes).items() if content is not None}
    edits = [
        (path, line(entry(path, content)) if content is not None else b"") for path, content in sorted(changes.items())
    ]
    found = edit(text(before, line), edits, path_of)
    assert found.text == text(after, line)
    assert [bool(one) for one in found.replaced] == [path in before for path, _ in edits]


@given(TREES, CHANGES, st.integers(1, 5))
@settings(max_examples=300)
def test_an_edited_shard_is_the_one_that_would_be_cut_or_is_left_to_be_cut(before, changes, every):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snap, "CUT_EVERY", every)
        after = {path: content for path, content in (before | changes).items() if content is not None}
        runs = list(cut(entry(path, before[path]) for path in sorted(before)))
        if len(runs) != 1:
            return
        shard, content = shard_of(runs[0])
        edits = [
            (path, entry(path, content) if content is not None else None) for path, content in sorted(changes.items())
        ]
        made = edit(content, [(path, of_json(row) if row is not None else b"") for path, row in edits], json_path)
        found = edited_shard(shard, edits, content, made)
        wanted = [shard_of(run)[0] for run in cut(entry(path, after[path]) for path in sorted(after))]
        if found is not None:
            assert [(found.first, found.count, found.bytes)] == [(one.first, one.count, one.bytes) for one in wanted]


def test_an_ordinary_change_is_an_edit_and_no_new_cut():
    rows = [entry(f"{number:05}", 1) for number in range(1000)]
    shard, content = shard_of(rows)
    changed = [("00000", None), ("00500", entry("00500", 7)), ("00500.b", entry("00500.b", 2))]
    made = edit(content, [(path, of_json(row) if row is not None else b"") for path, row in changed], json_path)
    found = edited_shard(shard, changed, content, made)
    assert (found.first, found.count, found.bytes) == ("00001", 1000, 1000 - 1 - 1 + 7 + 2)


def test_lines_that_are_none_of_a_shard_are_refused():
    with pytest.raises(SnapshotError, match="none of a shard"):
        edit(b"not json\n", [("a", b"")], json_path)


@given(TREES)
def test_the_sums_of_a_shard_are_the_lines_of_its_entries(tree):
    assert sums_of(text(tree, of_json)) == text(tree, sums_line)
