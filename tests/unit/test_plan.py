"""A Plan turns what we have into exactly what upstream says it has."""

from itertools import chain

import pytest
from hypothesis import given, strategies as st

from manifests.reading.stat_page import Stats
from manifests.stat import Stat, are_harmless, check_path
from syncd.core import SLICE
from syncd.core.steps import Known, Step
from syncd.engine.planner import NestedPathFinder, OutOfOrder, Planner, plan

NAMES = st.text(alphabet="abAB-.1é", min_size=1, max_size=4)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.integers(0, 3), max_size=30)


def sha(content):
    return f"{content:064x}"


def known(tree):
    return [Known(p, tree[p], f"v{tree[p]}", None, bytes.fromhex(sha(tree[p])), None) for p in sorted(tree)]


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
    steps = [step for at in range(0, len(stats), size) for part in planner.feed(stats[at : at + size]) for step in part]
    steps += planner.finish()
    assert steps == plan(known(have), stats)[0]


def columns(tree):
    return Stats(
        sorted(tree), [tree[p] for p in sorted(tree)], [0.0] * len(tree), [f"v{tree[p]}" for p in sorted(tree)]
    )


ODD = st.sampled_from(["a\\b", "../x", ".syncd/x", "/a", "a//b", "a/", "b" * 256, "a\nb", "a\u202e", "zz"])
PAGES = st.dictionaries(
    st.one_of(st.lists(NAMES, min_size=1, max_size=3).map("/".join), ODD), st.integers(0, 3), max_size=30
)


@given(PAGES, st.data(), st.booleans(), st.integers(1, 7))
def test_a_page_by_column_is_planned_as_its_files_one_by_one(upstream, data, published, size):
    paths = st.sampled_from(sorted(upstream) or ["x"])
    have = {
        path: upstream.get(path, 9)
        for path in data.draw(st.one_of(st.just(upstream), st.lists(paths), st.just(["b", "n"])))
    }
    page, planner = columns(upstream), Planner(known(have), published=published)
    steps = []
    for at in range(0, len(page), size):
        part = page[at : at + size]
        if planner.fetch_page(part):
            steps += [Step("fetch", stat.path, "new upstream", stat) for stat in part]
        else:
            steps += chain.from_iterable(planner.feed(part))
    steps += planner.finish()
    assert (steps, planner.counts) == plan(known(have), list(page), published=published)


def test_pages_that_are_all_new_or_all_unchanged_are_taken_whole(monkeypatch):
    monkeypatch.setattr(Planner, "_merge", None)  # nobody walks them file by file
    tree = {f"a/{n}": n % 4 for n in range(1000)}
    planner = Planner(known(tree))
    assert list(planner.feed(columns(tree))) == [[]]
    more = columns({f"b/{n}": 1 for n in range(1000)})
    assert planner.fetch_page(more)
    assert (planner.counts.keep, planner.counts.fetch, planner.counts.fetch_bytes) == (1000, 1000, 1000)


def test_files_that_end_before_one_claim_come_in_slices():
    have = {f"a/{n:05}": 1 for n in range(3 * SLICE)}
    planner = Planner(known({**have, "b": 1}))
    parts = list(planner.feed([Stat("b", 1, None, "v1")]))
    assert [len(part) for part in parts] == [SLICE, SLICE, SLICE, 0]
    assert planner.counts.remove == 3 * SLICE


@given(st.lists(st.one_of(ODD, NAMES, st.text(max_size=3)), min_size=1, max_size=4))
def test_paths_are_called_harmless_only_if_each_of_them_passes(paths):
    if are_harmless(paths):
        assert [check_path(path) for path in paths] == paths


def test_a_listing_that_is_not_sorted_is_told_so():
    with pytest.raises(OutOfOrder, match="'a' came after 'b'"):
        plan([], [Stat("b"), Stat("a")])


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    ("stat", "action", "reason"),
    [
        (Stat("f", 5, digests={"sha256": sha(5)}, version="other"), None, ""),
        (Stat("f", 5, digests={"sha256": sha(6)}), "replace", "sha256"),
        (Stat("f", 5, digests={"md5": "0" * 32}), None, ""),
        (Stat("f", 5, digests={"md5": "1" * 32}), "replace", "md5"),
        (Stat("f", 6, version='"new"'), "replace", "5 bytes became 6"),
        (Stat("f", 6, version='"e"'), "ask", "5 bytes became 6"),
        (Stat("f", 5, version='"e"', modified=9.0), None, ""),
        (Stat("f", 5, version='"new"'), "ask", "version"),
        (Stat("f", 5, modified=9.0), "ask", "modified"),
        (Stat("f", 5, version="sha256:new"), "replace", "version"),
        (Stat("f", 5), None, ""),
    ],
)
def test_the_strongest_thing_both_sides_know_decides(stat, action, reason):
    have = Known("f", 5, '"e"', 1.0, bytes.fromhex(sha(5)), f'{{"md5": "{"0" * 32}"}}')
    steps, _ = plan([have], [stat])
    assert [step.action for step in steps] == ([] if action is None else [action])
    assert action is None or reason in steps[0].reason


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    "path", ["../up", "/etc/passwd", "a//b", "a/./b", "a\\b", "a\nb", "a\x00", ".syncd/x", "x" * 300, "a\u202eb", ""]
)
def test_an_unsafe_path_is_refused_and_the_others_go_on(path):
    steps, counts = plan([], sorted([Stat(path), Stat("good")], key=lambda s: s.path))
    assert {s.path: s.action for s in steps if s.path} == (
        {path: "refuse", "good": "fetch"} if path else {"good": "fetch"}
    )
    assert counts.fetch == 1


@pytest.mark.fault(20)
def test_a_path_below_a_file_is_refused_even_with_others_between():
    steps, _ = plan([], [Stat(p) for p in sorted(["a", "a-b", "a/c", "a/d/e", "ab"])])
    assert {s.path: s.action for s in steps} == {
        "a": "fetch",
        "a-b": "fetch",
        "a/c": "refuse",
        "a/d/e": "refuse",
        "ab": "fetch",
    }


@given(TREES, st.integers(1, 7))
def test_a_clash_is_seen_by_the_page_as_by_the_path(tree, size):
    paged, single, paths = NestedPathFinder(), NestedPathFinder(), sorted(tree)
    for at in range(0, len(paths), size):
        page = paths[at : at + size]
        found = [single.parent(path) for path in page]
        assert paged.passes(page) == (not any(found))
        if any(found):
            assert [paged.parent(path) for path in page] == found


@pytest.mark.fault(20)
@given(TREES)
def test_a_clash_is_found_exactly_where_a_file_is_also_a_folder(tree):
    clash, files, refused = NestedPathFinder(), set(), set()
    for path in sorted(tree):
        if clash.parent(path) is None:
            files.add(path)
        else:
            refused.add(path)
    assert refused == {p for p in tree if any("/".join(p.split("/")[:n]) in files for n in range(1, p.count("/") + 1))}


def test_a_mirror_that_requires_published_digests_refuses_files_without_and_removes_nothing_for_it():
    have = known({"a": 1})
    steps, _ = plan(have, [Stat("a", 1), Stat("b", 1, digests={"md5": "0" * 32})], published=True)
    assert {s.path: s.action for s in steps} == {"a": "refuse", "b": "fetch"}


@pytest.mark.fault(33)
def test_two_lists_that_contradict_each_other_refuse_the_file():
    steps, _ = plan([], [Stat("a", version="conflict:two lists publish md5 x and y")])
    assert (steps[0].action, steps[0].reason) == ("refuse", "two lists publish md5 x and y")
