"""A publish that is cut between any two of its steps is finished by whoever comes next, and never called damage."""

import asyncio
import contextlib
from functools import partial

import pytest

from syncd.catalogue import interrupted_mirrors, is_interrupted
from syncd.core.errors import Offline
from syncd.core.events import PublishResumed
from syncd.engine.pass_paths import PassPaths
from syncd.engine.rebuild_catalogue import rebuild
from syncd.engine.roll_forward import roll_forward
from syncd.engine.verify import Verification
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

STEPS = ("put", "move", "copy", "delete")


class CutStore:
    """The store of a program that ends before its n-th change."""

    def __init__(self, inner, after):
        self.inner, self.left = inner, after
        self.was_cut = False

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in STEPS:
            return value

        async def change(*args, **more):
            if self.left == 0:
                self.was_cut = True
                raise Offline("store: the program ended here")
            self.left -= 1
            return await value(*args, **more)

        return change


def before():
    return {f"f{number:02}": b"old %d" % number for number in range(8)}


def after():
    files = before() | {f"f{number:02}": b"replaced %d" % number for number in range(3)}
    del files["f07"]
    return files | {"g": b"added"}


async def cut(folder, step):
    """Cut the second pass before one change; return the mirror, and whether the cut was reached."""
    mirroring = Mirroring(folder, Archive(before()))
    await mirroring.run()
    mirroring.archive.files = after()
    cuts = []

    def wrap(store):
        cuts.append(CutStore(store, step))
        return cuts[0]

    with contextlib.suppress(Offline):
        await mirroring.run(wrap=wrap)
    return mirroring, cuts[0].was_cut


def lose_catalogue(folder):
    for file in (folder / "state").glob("catalogue.sqlite*"):
        file.unlink()


async def finish(mirroring, store, catalogue):
    await roll_forward(store, catalogue, lambda _event: None, lambda _: mirroring.mirror.keep)


async def faults_of(mirroring, store, catalogue):
    row = catalogue.history.mirror("scenes")
    paths = PassPaths("scenes", "scenes/", "verify")
    report = await Verification(store, catalogue, row, paths, mirroring.hashing, lambda _files, _bytes: None).run(
        read_data=True
    )
    return report.faults


async def cut_and_open(folder, step, *, is_catalogue_lost):
    """Cut the second pass, open the store again; return whether the cut was reached, and the faults found."""
    mirroring, was_cut = await cut(folder, step)
    if is_catalogue_lost:
        lose_catalogue(folder)
    async with mirroring.open() as (store, catalogue):
        if is_catalogue_lost:
            await rebuild(store, catalogue, lambda: mirroring.now)
        events = []
        found = interrupted_mirrors(catalogue)
        resumed = await roll_forward(store, catalogue, events.append, lambda _: mirroring.mirror.keep)
        assert resumed == bool(found)
        assert [type(event) for event in events if isinstance(event, PublishResumed)] == [PublishResumed] * resumed
        faults = await faults_of(mirroring, store, catalogue)
        assert not await roll_forward(store, catalogue, events.append, lambda _: mirroring.mirror.keep)
        # what a rebuild cannot know are additions; all that was to leave or to change has done so, or nothing has
        natural, snapshot = mirroring.natural(), catalogue.history.current_id(1)
        held = {entry.path for entry in catalogue.holdings.entries(1)}
        assert natural.keys() - held <= ({"g"} if is_catalogue_lost else set())
        assert mirroring.check_sums(snapshot) == (True, "")
    assert (await mirroring.run()).complete
    assert mirroring.natural() == after()
    async with mirroring.open() as (store, catalogue):
        first = catalogue.history.snapshots(1)[-1].id
        assert (await mirroring.restoration(store, catalogue).rollback(first)).id == first
    assert mirroring.natural() == before()
    assert not (mirroring.store_folder / ".syncd/journal/scenes.json").exists()
    return was_cut, [fault.reason for fault in faults]


@pytest.mark.promise("P4")
@pytest.mark.fault(41, 42)
@pytest.mark.parametrize("is_catalogue_lost", [False, True])
async def test_a_publish_cut_before_any_of_its_steps_is_finished_by_the_next_open(tmp_path, is_catalogue_lost):
    step, found = 0, {}
    while True:
        opened = cut_and_open(tmp_path / str(step), step, is_catalogue_lost=is_catalogue_lost)
        was_cut, faults = await asyncio.wait_for(opened, 120)
        if not was_cut:
            break
        found[step] = faults
        step += 1
    assert step > len(before()), "too few steps were cut to call it a publish"
    assert {step: faults for step, faults in found.items() if faults} == {}


@pytest.mark.promise("P4")
async def test_verify_calls_an_interrupted_publish_so_and_repairs_nothing_of_it(tmp_path):
    step, told = 4, 0
    while True:
        mirroring, was_cut = await cut(tmp_path / str(step), step)
        if not was_cut:
            break
        async with mirroring.open() as (store, catalogue):
            row = catalogue.history.mirror("scenes")
            if is_interrupted(catalogue, row):
                told += 1
                natural = mirroring.natural()
                paths = PassPaths("scenes", "scenes/", "verify")
                verification = Verification(store, catalogue, row, paths, mirroring.hashing, lambda _f, _b: None)
                report = await verification.run(read_data=True)
                assert [fault.finding for fault in report.faults] == ["interrupted"], (step, report.faults)
                await verification.repair(report)
                assert (mirroring.natural(), report.faults[0].repaired) == (natural, False)
        step += 1
    assert told > 5


@pytest.mark.promise("P2", "P4")
@pytest.mark.fault(42)
async def test_a_publish_that_was_cut_twice_is_finished_though_its_catalogue_is_lost(tmp_path):
    """What was moved before the first cut is still in the journal after the second one."""
    lost = 0
    for first, second in ((10, 1), (10, 2), (11, 1), (11, 2), (11, 3)):  # some replaced files moved, others waiting
        folder = tmp_path / f"{first}-{second}"
        mirroring, was_cut = await cut(folder, first)
        assert was_cut
        moved = sum(mirroring.natural()[path] == after()[path] for path in ("f00", "f01", "f02"))
        async with mirroring.open() as (store, catalogue):
            again = CutStore(store, second)
            with contextlib.suppress(Offline):
                await finish(mirroring, again, catalogue)
        assert again.was_cut
        lose_catalogue(folder)
        async with mirroring.open() as (store, catalogue):
            await rebuild(store, catalogue, partial(getattr, mirroring, "now"))
            await finish(mirroring, store, catalogue)
            assert await faults_of(mirroring, store, catalogue) == [], (first, second)
        assert (await mirroring.run()).complete
        assert mirroring.natural() == after()
        lost += 0 < moved < 3
    assert lost > 1, "no publish was cut between two moves"


@pytest.mark.promise("P2")
async def test_new_bytes_that_rot_before_their_publish_is_finished_give_way_to_the_old_ones(tmp_path):
    step = 0
    while True:
        mirroring, was_cut = await cut(tmp_path / str(step), step)
        assert was_cut, "no cut left a file moved and not published"
        async with mirroring.open() as (store, catalogue):
            waiting = [swap.path for swap in catalogue.journal.swaps(1)]
            moved = [path for path in waiting if mirroring.natural()[path] == after()[path]] if waiting else []
            if not moved:
                step += 1
                continue
            place = mirroring.store_folder / "scenes" / moved[0]
            place.chmod(0o644)
            place.write_bytes(b"rot" * 4)
            await finish(mirroring, store, catalogue)
            assert await faults_of(mirroring, store, catalogue) == []
            assert mirroring.natural()[moved[0]] == before()[moved[0]]
        assert (await mirroring.run()).complete
        assert mirroring.natural() == after()
        return
