"""A publish that is cut between any two of its steps is finished by whoever comes next, and never called damage."""

import asyncio
import contextlib

import pytest

from syncd.core.errors import Offline
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher
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


async def cut_and_verify(folder, step):
    """Cut the second pass before one change; return whether the cut was reached, and the faults of a verification."""
    mirroring = Mirroring(folder, Archive(before()))
    await mirroring.run()
    mirroring.archive.files = after()
    cuts = []

    def wrap(store):
        cuts.append(CutStore(store, step))
        return cuts[0]

    with contextlib.suppress(Offline):
        await mirroring.run(wrap=wrap)
    async with mirroring.open() as (store, catalogue):
        row = catalogue.history.mirror("scenes")
        paths = PassPaths("scenes", "scenes/", "verify")
        await Publisher(store, catalogue, row, paths, lambda _: None, 2, lambda: mirroring.now).finish()
        row = catalogue.history.mirror("scenes")
        report = await Verification(store, catalogue, row, paths, mirroring.hashing, lambda _files, _bytes: None).run(
            read_data=True
        )
        assert await Publisher(store, catalogue, row, paths, lambda _: None, 2).finish() is None
    faults = [fault.reason for fault in report.faults]
    assert (await mirroring.run()).complete
    assert mirroring.natural() == after() | ({"f07": b"old 7"} if "f07" in mirroring.natural() else {})
    return cuts[0].was_cut, faults


@pytest.mark.promise("P4")
@pytest.mark.fault(41)
async def test_a_publish_cut_before_any_of_its_steps_is_finished_and_verifies(tmp_path):
    step, found = 0, {}
    while True:
        was_cut, faults = await asyncio.wait_for(cut_and_verify(tmp_path / str(step), step), 60)
        if not was_cut:
            break
        found[step] = faults
        step += 1
    assert step > len(before()), "too few steps were cut to call it a publish"
    assert {step: faults for step, faults in found.items() if faults} == {}
