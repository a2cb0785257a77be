"""What a pass loses in large numbers is judged as a whole, and recorded in parts: nothing stands still meanwhile."""

import asyncio
from itertools import pairwise

import pytest

from syncd.catalogue import Catalogue
from syncd.catalogue.approvals import Approvals
from syncd.catalogue.holdings import Holdings
from syncd.engine import losses
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

MANY = 900


def archive(count):
    return Archive({f"f{number:04}": b"x%d" % number for number in range(count)})


def parts(monkeypatch, owner, name):
    """Record how many paths each call records, and how often other work had its turn."""
    found, before = [], getattr(owner, name)

    def recorded(self, mirror, paths, *more, **named):
        paths = list(paths)
        found.append(len(paths))
        return before(self, mirror, paths, *more, **named)

    monkeypatch.setattr(owner, name, recorded)
    return found


@pytest.fixture
def turns():
    """Count the turns that another task of the loop gets."""
    counted = [0]

    async def other():
        while True:
            counted[0] += 1
            await asyncio.sleep(0)

    return counted, other


async def test_a_large_removal_is_recorded_in_parts_between_which_others_go_on(tmp_path, monkeypatch, turns):
    mirroring = Mirroring(tmp_path, archive(MANY), guard="100%")
    await mirroring.run()
    for number in range(10, MANY):
        del mirroring.archive.files[f"f{number:04}"]
    removed, had = parts(monkeypatch, Holdings, "remove"), []
    counted, other = turns
    task = asyncio.create_task(other())
    inner = Holdings.remove

    def remove(self, *given):
        had.append(counted[0])
        inner(self, *given)

    monkeypatch.setattr(Holdings, "remove", remove)
    result = await mirroring.run()
    task.cancel()
    assert (result.removed, len(mirroring.natural())) == (MANY - 10, 10)
    assert sum(removed) == MANY - 10
    assert max(removed) <= losses.AT_ONCE <= 256
    assert all(later > earlier for earlier, later in pairwise(had))


@pytest.mark.promise("P6")
async def test_a_removal_that_is_cut_between_two_parts_is_finished_by_the_next_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.mirror_pass.AT_ONCE", 100)
    mirroring = Mirroring(tmp_path, archive(MANY), guard="100%")
    await mirroring.run()
    kept = {path: mirroring.archive.files[path] for path in ("f0000", "f0001")}
    mirroring.archive.files = dict(kept)
    inner = Holdings.remove

    def remove(self, mirror, paths, at):
        if "f0302" in paths:
            raise asyncio.CancelledError  # the process ends here
        inner(self, mirror, paths, at)

    with monkeypatch.context() as patch:
        patch.setattr(Holdings, "remove", remove)
        with pytest.raises(asyncio.CancelledError):
            await mirroring.run()
    assert len(mirroring.natural()) == MANY
    await mirroring.run()
    assert mirroring.natural() == kept
    assert len(mirroring.removed()) == MANY - 2


async def test_a_large_number_of_losses_is_held_in_parts(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, archive(MANY), guard="10%")
    await mirroring.run()
    mirroring.archive.files = {"f0000": b"x0"}
    first, more = parts(monkeypatch, Approvals, "park"), parts(monkeypatch, Approvals, "park_more")
    result = await mirroring.run()
    assert (result.parked, result.removed) == (MANY - 1, 0)
    assert sum(first) + sum(more) == MANY - 1
    assert max(*first, *more) <= losses.AT_ONCE
    with Catalogue(tmp_path / "state") as catalogue:
        (row,) = catalogue.history.mirrors()
        assert len(catalogue.approvals.parked(row.id)) == MANY - 1
        assert catalogue.approvals.approve(row.id) == MANY - 1
    result = await mirroring.run()
    assert result.removed == MANY - 1
