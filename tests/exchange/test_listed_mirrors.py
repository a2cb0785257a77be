"""The dates of the OAI-PMH provider: always later, tombstones for ever, no new date for the same description."""

from dataclasses import replace

from hypothesis import given, strategies as st

from syncd.exchange import ListedMirror, entries_of, update_listed
from tests.exchange.publications import BARE, LANDSAT, NOW


def at(names, title="t"):
    return [replace(BARE, name=name, titles={"": title}) for name in sorted(names)]


def test_the_same_description_keeps_its_date():
    first = update_listed([], [LANDSAT, BARE], NOW)
    assert update_listed(first, [LANDSAT, BARE], NOW + 100) == first
    assert update_listed(first, [replace(LANDSAT, checked=NOW + 99), BARE], NOW + 100) == first


def test_a_withdrawn_mirror_leaves_a_tombstone_and_comes_back_later():
    first = update_listed([], at("ab"), NOW)
    second = update_listed(first, at("a"), NOW + 10)
    gone = entries_of(second, at("a"))[-1]
    assert (gone.name, gone.publication, gone.stamp, gone.sets) == ("b", None, NOW + 10, ("access:open",))
    assert update_listed(second, at("a"), NOW + 20) == second
    back = entries_of(update_listed(second, at("ab"), NOW + 30), at("ab"))[-1]
    assert (back.name, back.stamp, back.publication is not None) == ("b", NOW + 30, True)


def test_a_list_that_is_short_for_a_moment_is_no_deletion():
    """The list is updated from all mirrors only; what it names and a reader lacks is left out, not deleted."""
    first = update_listed([], at("ab"), NOW)
    assert [one.name for one in entries_of(first, at("a"))] == ["a"]


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abcd")), st.sampled_from(["t", "u"]), st.integers(-1000, 1000)), max_size=12
    )
)
def test_every_change_is_later_than_all_before_whatever_the_clock_does(looks):
    listed: list[ListedMirror] = []
    for names, title, step in looks:
        before = {one.name: one for one in listed}
        newest = max((one.stamp for one in listed), default=0)
        listed = update_listed(listed, at(names, title), NOW + step)
        changed = [one for one in listed if before.get(one.name) != one]
        stamps = [one.stamp for one in changed]
        assert stamps == sorted(set(stamps))
        assert all(stamp > newest for stamp in stamps)
        assert {one.name for one in listed if not one.is_gone} == names
        assert set(before) <= {one.name for one in listed}
