"""Paths that fold into one are found among millions, and nothing else is refused for it."""

import unicodedata

import pytest
from hypothesis import given, strategies as st

from syncd.catalogue import Catalogue
from syncd.engine.path_collisions import PARTS, CaseFoldIndex, collisions

NAMES = st.text(alphabet="abAB-.1é\u0301\n", min_size=1, max_size=4)


class InMemory:
    def __init__(self):
        self.parts = [[] for _ in range(PARTS)]

    def add(self, parts):
        for number, digests in parts:
            self.parts[number].append(digests)

    def read(self, part):
        return iter(self.parts[part])


def fold(path):
    return unicodedata.normalize("NFC", path).casefold()


@pytest.mark.fault(19)
@given(
    st.lists(st.tuples(NAMES, st.booleans()), unique_by=lambda pair: pair[0], max_size=30),
    st.integers(1, 7),
    st.integers(0, 40),
)
def test_of_paths_that_fold_into_one_the_one_we_hold_stays(paths, size, most):
    folds = CaseFoldIndex(InMemory(), most)
    for at in range(0, len(paths), size):
        folds.add([path for path, _ in paths[at : at + size]])
    refused = dict(collisions(paths, folds.suspects()))
    groups = {}
    for path, held in paths:
        groups.setdefault(fold(path), []).append((not held, path))
    for group in groups.values():
        stays = min(group)[1]
        assert stays not in refused
        assert {path for _, path in group if path != stays} == {p for p in refused if p in {q for _, q in group}}


def test_where_case_is_told_apart_only_names_of_one_form_collide():
    paths = [("A", False), ("a", False), ("\u00e9", False), ("e\u0301", True), ("E\u0301", False)]
    folds = CaseFoldIndex(InMemory())
    folds.add([path for path, _ in paths])
    assert dict(collisions(paths, folds.suspects(), folds=False)) == {"\u00e9": "e\u0301"}


def test_digests_that_are_too_many_for_memory_are_found_again_in_the_catalogue(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        for name in "ab":
            catalogue.history.ensure_mirror(name, prefix=f"{name}/")
        folds = CaseFoldIndex(catalogue.claims.spill(1), most=1000)
        for first in range(0, 10_000, 500):
            folds.add([f"granule/{number:06}" for number in range(first, first + 500)])
        assert folds.suspects() == set()
        folds.add(["Granule/000007"])
        assert len(folds.suspects()) == 1
        assert CaseFoldIndex(catalogue.claims.spill(2)).suspects() == set()
        catalogue.claims.forget(1)
        assert CaseFoldIndex(catalogue.claims.spill(1)).suspects() == set()
