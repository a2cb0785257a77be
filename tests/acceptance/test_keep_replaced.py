"""A snapshot is kept for `keep.replaced` after the next one took its place, however often the mirror runs."""

import pytest
from hypothesis import given, strategies as st

from manifests.model.mirror import Keep
from syncd.core.errors import NotFound
from syncd.engine.rebuild_catalogue import rebuild
from syncd.engine.retention import count_retained
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

DAY = 86400.0


async def emptied(folder):
    """A mirror whose files upstream emptied, with six ordinary passes after it; and the snapshot before."""
    mirroring = Mirroring(folder, Archive({f"f{n}": b"data %d" % n for n in range(5)}), versions=0, replaced="14d")
    before = dict(mirroring.archive.files)
    good = (await mirroring.run()).snapshot
    mirroring.archive.files = dict.fromkeys(before, b"")
    for number in range(6):
        mirroring.archive.files["new"] = b"%d" % number
        await mirroring.run()
        if number == 0:  # the guard holds such losses until somebody lets them through
            async with mirroring.open() as (_, catalogue):
                assert catalogue.approvals.approve(1) == 5
    return mirroring, good, before


def sums(mirroring):
    folders = (mirroring.store_folder / ".syncd/snapshots/scenes").iterdir()
    return {folder.name: (folder / "SHA256SUMS").exists() for folder in folders}


@pytest.mark.promise("P6")
async def test_what_a_bad_day_replaced_can_be_rolled_back_two_weeks_later(tmp_path):
    mirroring, good, before = await emptied(tmp_path)
    mirroring.now += 13 * DAY
    await mirroring.run()
    async with mirroring.open() as (store, catalogue):
        assert len(catalogue.history.snapshots(1)) == 7
        assert (await mirroring.restoration(store, catalogue).rollback(good)).id == good
    assert mirroring.natural() == before
    assert mirroring.check_sums(good) == (True, "")


async def test_a_snapshot_that_only_its_age_keeps_has_no_sums_and_goes_when_it_is_over(tmp_path):
    mirroring, good, _ = await emptied(tmp_path)
    current = (await mirroring.run()).snapshot
    assert sums(mirroring)[current]
    assert list(sums(mirroring).values()).count(True) == 1
    mirroring.now += 15 * DAY
    await mirroring.run()
    assert sums(mirroring) == {current: True}
    assert not any(path.is_file() for path in (mirroring.store_folder / ".syncd/versions").rglob("*"))
    async with mirroring.open() as (store, catalogue):
        with pytest.raises(NotFound, match="give at least four characters"):
            await mirroring.restoration(store, catalogue).rollback(good)
        assert len((await mirroring.pointer(store)).kept) == 1


@pytest.mark.promise("P4")
async def test_a_rebuild_finds_all_that_is_kept_for_its_age(tmp_path):
    mirroring, good, before = await emptied(tmp_path)
    for file in (tmp_path / "state").glob("catalogue.sqlite*"):
        file.unlink()
    async with mirroring.open() as (store, catalogue):
        await rebuild(store, catalogue, lambda: mirroring.now)
        assert len(catalogue.history.snapshots(1)) == 7
        await mirroring.restoration(store, catalogue).rollback(good)
    assert mirroring.natural() == before


async def test_one_file_comes_back_from_a_kept_snapshot_and_no_pass_takes_it_again(tmp_path):
    mirroring, good, _ = await emptied(tmp_path)
    async with mirroring.open() as (store, catalogue):
        back = await mirroring.restoration(store, catalogue).restore(["f1"], good)
        assert back.files == 6
        assert catalogue.approvals.pins(1) == [("f1", True)]
        with pytest.raises(NotFound, match="has no such file"):
            await mirroring.restoration(store, catalogue).restore(["new"], good)
    assert (mirroring.natural()["f1"], mirroring.natural()["f2"]) == (b"data 1", b"")
    assert (await mirroring.run()).replaced == 0
    assert mirroring.natural()["f1"] == b"data 1"
    async with mirroring.open() as (_, catalogue):
        catalogue.approvals.unpin(1, ["f1"])
    assert (await mirroring.run()).parked == 1
    async with mirroring.open() as (_, catalogue):
        catalogue.approvals.approve(1)
    assert (await mirroring.run()).replaced == 1
    assert mirroring.natural()["f1"] == b""


@given(
    st.lists(st.floats(0, 100 * DAY), max_size=30),
    st.integers(0, 5),
    st.floats(1, 30 * DAY),
    st.floats(0, 120 * DAY),
)
def test_retention_keeps_the_newest_and_all_that_were_replaced_lately(published, versions, replaced, now):
    times = [(str(number), at) for number, at in enumerate(sorted(published, reverse=True))]
    count = count_retained(times, Keep.model_construct(versions=versions, replaced=replaced, removed=1.0), now)
    assert min(versions + 1, len(times)) <= count <= len(times)
    for number in range(1, len(times)):
        superseded = times[number - 1][1]
        assert (number < count) == (number <= versions or superseded > now - replaced)
