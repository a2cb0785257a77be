"""The packages of an installation are looked through once for all that may be plugged in."""

from importlib.metadata import entry_points

import pytest

from manifests import entry_points as module
from manifests.entry_points import load_entry_point


@pytest.fixture
def looks(monkeypatch):
    """Each look through the packages from here on."""
    found = []

    def look():
        found.append(1)
        return entry_points()

    monkeypatch.setattr(module, "entry_points", look)
    module._all.cache_clear()
    yield found
    module._all.cache_clear()


def test_all_groups_are_found_by_one_look(looks):
    for group in ("syncd.readers.v1", "syncd.transports.v1", "console_scripts"):
        assert list(load_entry_point(group)) == list(entry_points(group=group))
        assert group in {point.group for point in load_entry_point(group)}
    assert len(looks) == 1


def test_nothing_is_plugged_in_where_nobody_knows_the_group(looks):
    assert list(load_entry_point("syncd.nothing.v1")) == []
