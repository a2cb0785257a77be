"""Which paths a steward wants: globs as git reads them, exclude wins, and choosing everything costs nothing."""

import time

import pytest
from hypothesis import given, strategies as st
from pathspec import PathSpec

from manifests.errors import InvalidValue
from manifests.model.globs import check_glob, everything, matcher

PATHS = st.lists(st.sampled_from(["a", "b", "raw", "x.nc", "x.tmp", "ü.nc"]), min_size=1, max_size=4).map("/".join)
GLOBS = st.sampled_from(
    ["*.nc", "*.tmp", "/a", "a/", "a/b", "**/b", "a/**/x.nc", "/raw/", "?.nc", "[ab]", "*/b/*", "a/*"]
)


@pytest.mark.parametrize(
    ("glob", "wanted", "unwanted"),
    [
        ("*.nc", ["x.nc", "a/b/x.nc"], ["x.nc4", "x/nc"]),
        ("/README", ["README"], ["a/README"]),
        ("2024/*.nc", ["2024/x.nc"], ["a/2024/x.nc", "2024/b/x.nc"]),
        ("2024/", ["2024/x", "a/2024/x"], ["2024"]),
        ("2024/**/*.nc", ["2024/x.nc", "2024/a/b/x.nc"], ["2025/x.nc"]),
        ("**/quicklooks/", ["quicklooks/a", "a/quicklooks/b"], ["a/quicklooks"]),
        ("[ab].nc", ["a.nc", "z/b.nc"], ["c.nc"]),
        (r"\#x", ["#x"], ["x"]),
    ],
)
def test_a_glob_means_what_it_means_to_git(glob, wanted, unwanted):
    wants = matcher((glob,))
    assert [wants(path) for path in wanted] == [True] * len(wanted)
    assert [wants(path) for path in unwanted] == [False] * len(unwanted)


@given(st.lists(GLOBS, min_size=1, max_size=4), PATHS)
def test_many_globs_choose_what_the_library_chooses(globs, path):
    assert matcher(globs)(path) is PathSpec.from_lines("gitignore", globs).match_file(path)


@given(st.lists(st.tuples(st.booleans(), GLOBS), min_size=1, max_size=5), PATHS)
def test_the_last_glob_of_a_list_that_fits_decides(rules, path):
    globs = [f"{'!' if negated else ''}{glob}" for negated, glob in rules]
    assert matcher(globs)(path) is PathSpec.from_lines("gitignore", globs).match_file(path)


@given(st.lists(GLOBS, min_size=1, max_size=3), st.lists(GLOBS, max_size=3), PATHS)
def test_exclude_wins(include, exclude, path):
    assert matcher(include, exclude)(path) is (matcher(include)(path) and not (exclude and matcher(exclude)(path)))


@pytest.mark.parametrize("include", [("**",), ("*",), ("*.nc", "**"), ("**/*",)])
def test_choosing_everything_looks_at_nothing(include):
    assert matcher(include, ()) is everything


def test_excluding_everything_leaves_nothing():
    assert not matcher(("**",), ("**",))("a")
    assert not matcher(("!a",))("a")


@pytest.mark.parametrize("glob", ["", " ", "!", "/", "#x", "./a", "a//b", "../a", "a\nb", "a/\\"])
def test_what_can_match_no_path_is_refused_with_what_to_write(glob):
    with pytest.raises(InvalidValue) as refused:
        check_glob(glob)
    assert refused.value.todo


TEXT = st.text("ab_.*?/", min_size=1, max_size=8).filter(lambda text: "//" not in text and text not in {"/", "."})
NAMES = st.lists(st.text("ab_.", min_size=1, max_size=3).filter(lambda name: name.strip(".")), min_size=1, max_size=4)


@given(TEXT.filter(lambda text: "***" not in text and not {".", ".."} & set(text.split("/"))), NAMES.map("/".join))
def test_any_glob_selects_what_the_library_selects(glob, path):
    assert matcher((glob,))(path) is PathSpec.from_lines("gitignore", [glob]).match_file(path)


def test_a_negated_bracket_stays_within_a_name():
    assert not matcher(("a[!b]c",))("a/c")
    assert matcher(("a[!b]c", "[]x]", "[[x]", "[a"))("axc")


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "glob", ["*_*_*_*_*_B4.TIF", "*_" * 40 + "x", "**/_*/**/_*/**/_*/x", "a*a*a*a*a*a*a*a*b", "[_a]*?*?*?*?*?*?*x"]
)
@pytest.mark.parametrize("path", ["_" * 250, "a" * 250, "/".join("_" * 60), "/".join(["_a"] * 60)])
def test_no_name_makes_a_glob_slow(glob, path):
    wants = matcher((glob,), (glob,))
    began = time.process_time()
    for _ in range(100):
        assert not wants(path)
    assert time.process_time() - began < 1  # with stars that give back, one of these takes hours


def test_a_glob_is_bounded_in_length():
    with pytest.raises(InvalidValue, match="2000 characters"):
        check_glob("*a" * 1000)
