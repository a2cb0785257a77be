"""A Plan turns what we have into exactly what upstream says it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.stat import Stat
from syncd.plan import Clash, Collisions, Known, OutOfOrder, Planner, collisions, plan

NAMES = st.text(alphabet="abAB-.1é", min_size=1, max_size=4)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.integers(0, 3), max_size=30)


def sha(content):
    return f"{content:064x}"


def known(tree):
    return [Known(p, tree[p], sha(tree[p]), tree[p], None, f"v{tree[p]}", {}) for p in sorted(tree)]


def claimed(tree):
    return [Stat(p, tree[p], None, f"v{tree[p]}") for p in sorted(tree)]


def is_sound(tree):
    """No path below a file, none that is `.` or `..`: what a plan would refuse."""
    parts = [p.split("/") for p in tree]
    return not any("/".join(q[:n]) in tree for q in parts for n in range(1, len(q))) and not any(
        {".", ".."} & set(q) for q in parts
    )


@given(TREES.filter(is_sound), TREES.filter(is_sound))
def test_a_plan_applied_to_what_we_have_gives_exactly_the_inventory(have, upstream):
    steps, counts = plan(known(have), claimed(upstream))
    result = dict(have)
    for step in steps:
        if step.action == "remove":
            del result[step.path]
        else:
            assert step.action == ("replace" if step.path in result else "fetch")
            result[step.path] = step.stat.size
    assert result == upstream
    assert counts.keep == len(upstream) - counts.fetch - counts.replace
    assert (counts.fetch, counts.replace, counts.remove) == tuple(
        sum(s.action == a for s in steps) for a in ("fetch", "replace", "remove")
    )


@given(TREES.filter(is_sound), TREES.filter(is_sound), st.integers(1, 7))
def test_the_same_input_gives_the_same_plan_in_batches_of_any_size(have, upstream, size):
    planner, stats = Planner(iter(known(have))), claimed(upstream)
    steps = [step for at in range(0, len(stats), size) for step in planner.feed(stats[at : at + size])]
    steps += planner.finish()
    assert steps == plan(known(have), stats)[0]


def test_a_listing_that_is_not_sorted_is_told_so():
    with pytest.raises(OutOfOrder, match="'a' came after 'b'"):
        plan([], [Stat("b"), Stat("a")])


@pytest.mark.parametrize(
    ("stat", "reason"),
    [
        (Stat("f", 5, digests={"sha256": sha(5)}, version="other"), None),
        (Stat("f", 5, digests={"sha256": sha(6)}), "sha256"),
        (Stat("f", 5, digests={"md5": "0" * 32}), None),
        (Stat("f", 5, digests={"md5": "1" * 32}), "md5"),
        (Stat("f", 6, version='"e"'), "5 bytes became 6"),
        (Stat("f", 5, version='"e"', modified=9.0), None),
        (Stat("f", 5, version='"new"'), "version"),
        (Stat("f", 5, modified=9.0), "modified"),
        (Stat("f", 5), None),
    ],
)
def test_the_strongest_thing_both_sides_know_decides(stat, reason):
    have = Known("f", 5, sha(5), 5, 1.0, '"e"', {"md5": "0" * 32})
    steps, _ = plan([have], [stat])
    assert [step.action for step in steps] == ([] if reason is None else ["replace"])
    assert reason is None or reason in steps[0].reason


@pytest.mark.parametrize(
    "path", ["../up", "/etc/passwd", "a//b", "a/./b", "a\\b", "a\nb", "a\x00", ".syncd/x", "x" * 300, "a\u202eb", ""]
)
def test_an_unsafe_path_is_refused_and_the_others_go_on(path):
    steps, counts = plan([], sorted([Stat(path), Stat("good")], key=lambda s: s.path))
    assert {s.path: s.action for s in steps if s.path} == (
        {path: "refuse", "good": "fetch"} if path else {"good": "fetch"}
    )
    assert counts.fetch == 1


def test_a_path_below_a_file_is_refused_even_with_others_between():
    steps, _ = plan([], [Stat(p) for p in sorted(["a", "a-b", "a/c", "a/d/e", "ab"])])
    assert {s.path: s.action for s in steps} == {
        "a": "fetch",
        "a-b": "fetch",
        "a/c": "refuse",
        "a/d/e": "refuse",
        "ab": "fetch",
    }


@given(TREES)
def test_a_clash_is_found_exactly_where_a_file_is_also_a_folder(tree):
    clash, files, refused = Clash(), set(), set()
    for path in sorted(tree):
        if clash.parent(path) is None:
            files.add(path)
        else:
            refused.add(path)
    assert refused == {p for p in tree if any("/".join(p.split("/")[:n]) in files for n in range(1, p.count("/") + 1))}


@given(st.lists(st.tuples(NAMES, st.booleans()), unique_by=lambda pair: pair[0], max_size=30))
def test_of_paths_that_fold_into_one_the_one_we_hold_stays(paths):
    seen = Collisions(1 << 16)
    seen.add(path for path, _ in paths)
    refused = dict(collisions(paths, seen.suspects))
    import unicodedata

    groups = {}
    for path, held in paths:
        groups.setdefault(unicodedata.normalize("NFC", path).casefold(), []).append((not held, path))
    for group in groups.values():
        stays = min(group)[1]
        assert stays not in refused
        assert {path for _, path in group if path != stays} == {p for p in refused if p in {q for _, q in group}}


def test_a_mirror_that_requires_published_digests_refuses_files_without_and_removes_nothing_for_it():
    have = known({"a": 1})
    steps, _ = plan(have, [Stat("a", 1), Stat("b", 1, digests={"md5": "0" * 32})], published=True)
    assert {s.path: s.action for s in steps} == {"a": "refuse", "b": "fetch"}


def test_two_lists_that_contradict_each_other_refuse_the_file():
    steps, _ = plan([], [Stat("a", version="conflict:two lists publish md5 x and y")])
    assert (steps[0].action, steps[0].reason) == ("refuse", "two lists publish md5 x and y")
