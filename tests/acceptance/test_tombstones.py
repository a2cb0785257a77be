"""A mirror that was published leaves a tombstone when it no longer is, whatever withdrew it."""

import json
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from syncd.catalogue import Catalogue
from syncd.daemon import listings
from syncd.face import read_listed
from syncd.session import StoredPublications
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.cli import Folder, run, sync
from tests.daemons import House


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


SCHEDULE = "schedule: {every: 1h}\n"
PUBLIC = SCHEDULE + "publish: {access: open}\n"


def stones(house):
    with Catalogue(house.state, read_only=True) as catalogue:
        return {one.mirror: one.reason for one in catalogue.publications.tombstones()}


def public(house):
    with Catalogue(house.state, read_only=True) as catalogue:
        return set(catalogue.publications.public())


async def test_each_way_out_of_the_public_leaves_a_tombstone_and_the_way_back_ends_it(house):
    for name in ("a", "b"):
        house.archive(name, {"f": b"1"})
        house.declare(name, PUBLIC)
    house.archive("secret", {"f": b"1"})
    house.declare("secret", SCHEDULE)
    async with house.living():
        await house.until(lambda: public(house) == {"a", "b"})
        house.declare("a", SCHEDULE)
        (house.manifests / "b.yaml").unlink()
        (house.manifests / "secret.yaml").unlink()
        await house.until(lambda: stones(house) == {"a": "private", "b": "withdrawn"})
        house.declare("a", PUBLIC)
        await house.until(lambda: stones(house) == {"b": "withdrawn"})


async def test_what_is_withdrawn_while_no_daemon_runs_is_noticed_and_a_faulty_manifest_withdraws_nothing(house):
    for name in ("a", "b", "c"):
        house.archive(name, {"f": b"1"})
        house.declare(name, PUBLIC)
    async with house.living():
        await house.until(lambda: public(house) == {"a", "b", "c"})
    (house.manifests / "a.yaml").unlink()
    (house.manifests / "b.yaml").write_text("mirror: b\nsource: {url: x}\n")
    async with house.living():
        await house.until(lambda: stones(house) == {"a": "withdrawn"})
        assert public(house) == {"b", "c"}


async def test_tombstones_and_dates_of_harvesters_survive_the_loss_of_the_state_folder(house, tmp_path, monkeypatch):
    monkeypatch.setattr(listings, "EVERY", 0.05)
    house.configure(
        "backup: {keep: 0}\nbudget: {keep_free: 0 B}\n"
        "serve: {listen: '127.0.0.1:0', name: n, url: 'https://n.example/', publisher: {name: N}}\n"
    )
    for name in ("a", "b"):
        house.archive(name, {"f": b"1"})
        house.declare(name, PUBLIC)
    place = house.store / ".syncd/published.json"

    def kept():
        found = json.loads(place.read_text()) if place.exists() else {"mirrors": [], "listed": []}
        return {one["mirror"]: one["reason"] for one in found["mirrors"]}, found["listed"]

    async with house.living():
        await house.until(lambda: len(kept()[1]) == 2)
        (house.manifests / "b.yaml").unlink()
        await house.until(lambda: kept()[0].get("b") == "withdrawn" and "fingerprint" not in kept()[1][-1])
    listed = kept()[1]
    lost = tmp_path / "lost"
    with Catalogue(lost) as catalogue:
        async with aclosing(FilesystemStore(house.store)) as store:
            session: Any = SimpleNamespace(catalogue=catalogue, store=store)
            assert await StoredPublications().restore(session)
            record = StoredPublications()
            assert not await record.restore(session)  # known by now
            await record.write(session)
        assert [one.mirror for one in catalogue.publications.tombstones()] == ["b"]
        assert set(catalogue.publications.public()) == {"a"}
        assert [one.stamp for one in read_listed(catalogue.settings)] == [one["stamp"] for one in listed]
    assert kept()[1] == listed


def test_forgetting_a_published_mirror_leaves_a_tombstone_and_forgetting_a_private_one_does_not(tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    for name, more in (("seen", "publish: {access: open}\n"), ("secret", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"1")
        manifest = tmp_path / f"{name}.yaml"
        manifest.write_text(f"mirror: {name}\nsource: {{url: 'file://{tmp_path / name}/'}}\n{more}")
        sync(store, state, manifest)
        run(store, state, "forget", name, "--yes", name)
    with Catalogue(state, read_only=True) as catalogue:
        assert [(one.mirror, one.reason) for one in catalogue.publications.tombstones()] == [("seen", "forgotten")]


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(-5, 5)), max_size=12))
def test_times_never_decrease_or_repeat_whatever_the_clock_does(tmp_path_factory, steps):
    with Catalogue(tmp_path_factory.mktemp("state")) as catalogue:
        last, now = 0.0, 1_000.0
        for mirror, begins, tick in steps:
            now += tick
            before = (catalogue.publications.public(), catalogue.publications.tombstones())
            if begins:
                catalogue.publications.begin(mirror, now)
            else:
                catalogue.publications.end(mirror, now, "private")
            if (catalogue.publications.public(), catalogue.publications.tombstones()) == before:
                continue
            moment = max(
                [*catalogue.publications.public().values(), *(one.ended for one in catalogue.publications.tombstones())]
            )
            assert moment > last
            last = moment
