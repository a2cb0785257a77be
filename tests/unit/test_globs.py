"""Which paths a steward wants: globs as git reads them, exclude wins, and choosing everything costs nothing."""

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
