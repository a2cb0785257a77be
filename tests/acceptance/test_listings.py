"""The daemon records when the description of a published mirror changed, and which mirrors are gone."""

import pytest

from syncd.catalogue import Catalogue
from syncd.daemon import listings
from syncd.face import read_listed
from tests.daemons import House

PUBLIC = "schedule: {every: 1h}\npublish: {access: open}\n"


def record(house):
    with Catalogue(house.state, read_only=True) as catalogue:
        return {one.name: one for one in read_listed(catalogue.settings)}


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(listings, "EVERY", 0.05)
    return House(tmp_path)


SERVE = (
    "backup: {keep: 0}\nbudget: {keep_free: 0 B}\n"
    "serve: {listen: '127.0.0.1:0', name: n, url: 'https://n.example/', publisher: {name: N}}\n"
)


async def test_a_new_mirror_is_listed_a_changed_one_gets_a_later_stamp_and_a_withdrawn_one_a_tombstone(house):
    house.configure(SERVE)
    for name, more in (("a", PUBLIC), ("b", PUBLIC), ("secret", "schedule: {every: 1h}\n")):
        house.archive(name, {"f": b"1"})
        house.declare(name, more)
    async with house.living():
        await house.until(lambda: set(record(house)) == {"a", "b"})
        first = record(house)
        assert not any(one.is_gone for one in first.values())
        house.declare("a", PUBLIC + "title: Another title\n")
        await house.until(lambda: record(house)["a"] != first["a"])
        assert record(house)["a"].stamp > max(one.stamp for one in first.values())
        assert record(house)["b"] == first["b"]
        (house.manifests / "b.yaml").unlink()
        await house.until(lambda: record(house)["b"].is_gone)
        assert set(record(house)) == {"a", "b"}
    async with house.living():  # it is remembered
        assert record(house)["b"].is_gone


async def test_a_daemon_that_serves_nothing_records_nothing(house):
    house.archive("a", {"f": b"1"})
    house.declare("a", PUBLIC)
    async with house.living():
        await house.until(lambda: house.copy("a") == {"f": b"1"} if (house.store / "a").exists() else False)
    assert record(house) == {}
