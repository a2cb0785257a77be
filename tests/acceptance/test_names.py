"""A path changes from file to folder and back, and names that differ in case only are kept where the store can."""

import random
import time
from contextlib import asynccontextmanager

import pytest

from syncd.catalogue import Catalogue
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive
from tests.simulation.memory_store import Shelf, SimulatedStore, StoreTrouble


class InBucket(Mirroring):
    """As Mirroring, with a bucket in memory for a store."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.shelf = Shelf(is_bucket=True)
        self.shelf.clock = time.time

    def new_store(self):
        return SimulatedStore(self.shelf, random.Random(1), StoreTrouble(delays=(0.0,)))

    @asynccontextmanager
    async def open(self):
        store = self.new_store()
        await store.identify(None)
        with Catalogue(self.folder / "state") as catalogue:
            yield store, catalogue

    def natural(self):
        held = self.shelf.objects
        return {p.removeprefix("scenes/"): one.body for p, one in held.items() if p.startswith("scenes/")}


class Folding(SimulatedStore):
    """A store that takes names of different case for one, as a folder on a Windows server does."""

    def _known(self, path):
        low = path.lower()
        return next((name for name in self.shelf.objects if name.lower() == low), path)

    async def stat(self, path):
        return await super().stat(self._known(path))

    async def put(self, path, body, *, if_absent=False, sha256=""):
        return await super().put(self._known(path), body, if_absent=if_absent)

    async def move(self, path, to):
        await super().move(self._known(path), to)


class InFolding(InBucket):
    def new_store(self):
        return Folding(self.shelf, random.Random(1), StoreTrouble(delays=(0.0,)))


def many(**files):
    return {f"f{n:02}": b"x%d" % n for n in range(20)} | files


KINDS = pytest.mark.parametrize("kind", [Mirroring, InBucket])


@KINDS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"foo": b"file"}, {"foo/bar": b"1", "foo/baz/deep": b"2" * 100}),
        ({"foo/bar": b"1", "foo/baz/deep": b"2"}, {"foo": b"file"}),
        ({"a/b": b"1"}, {"a/b/c/d": b"2"}),
        ({"a": b"large"}, {"a/b": bytes(5 << 20)}),
    ],
)
async def test_a_file_that_becomes_a_folder_and_the_reverse_follow_within_one_pass(tmp_path, kind, before, after):
    mirroring = kind(tmp_path, Archive(many(**before)))
    assert (await mirroring.run()).complete
    mirroring.archive.files = many(**after)
    result = await mirroring.run()
    assert (result.complete, result.failed, result.removed) == (True, 0, len(before))
    assert mirroring.natural() == many(**after)
    assert (await mirroring.run()).snapshot == result.snapshot
    async with mirroring.open() as (store, catalogue):
        assert (await mirroring.restoration(store, catalogue).undelete([])).id == result.snapshot


@KINDS
async def test_a_file_waits_for_its_place_until_the_deletion_of_the_folder_is_approved(tmp_path, kind):
    before = {f"foo/{n}": b"1" for n in range(30)}
    mirroring = kind(tmp_path, Archive(many(**before)), guard="10%")
    await mirroring.run()
    mirroring.archive.files = many(foo=b"file")
    held = await mirroring.run()
    assert (held.parked, held.failed, held.complete) == (30, 1, False)
    assert mirroring.natural() == many(**before)
    async with mirroring.open() as (_, catalogue):
        assert "is still a file of the copy" in catalogue.failures.files(1)[0].reason
    asked = len(mirroring.archive.asked)
    assert (await mirroring.run()).failed == 1
    assert len(mirroring.archive.asked) == asked  # what waits is not fetched again
    async with mirroring.open() as (_, catalogue):
        catalogue.approvals.approve(1)
    assert (await mirroring.run()).complete
    assert mirroring.natural() == many(foo=b"file")


@KINDS
async def test_a_pinned_file_keeps_its_place_although_upstream_has_a_folder_there(tmp_path, kind):
    mirroring = kind(tmp_path, Archive(many(foo=b"file")))
    await mirroring.run()
    async with mirroring.open() as (_, catalogue):
        catalogue.approvals.pin(1, ["foo"])
    mirroring.archive.files = many(**{"foo/bar": b"1"})
    assert (await mirroring.run()).failed == 1
    assert mirroring.natural() == many(foo=b"file")


@pytest.mark.fault(19)
@KINDS
async def test_names_that_differ_in_case_only_are_kept_where_the_store_can_hold_both(tmp_path, kind):
    files = many(**{"Case": b"1", "case": b"2", "Dir/x": b"3", "dir/x": b"4"})
    mirroring = kind(tmp_path, Archive(files))
    assert (await mirroring.run()).complete
    assert mirroring.natural() == files


@pytest.mark.fault(19)
async def test_names_that_differ_in_case_only_are_refused_one_by_one_where_the_store_folds_case(tmp_path):
    mirroring = InFolding(tmp_path, Archive(many(Case=b"1", case=b"2")))
    assert (await mirroring.run()).failed == 1
    assert mirroring.natural() == many(Case=b"1")


async def test_a_name_that_changes_its_case_only_follows_where_the_store_folds_case(tmp_path):
    mirroring = InFolding(tmp_path, Archive(many(**{"Case": b"1", "d/A": b"2"})))
    await mirroring.run()
    mirroring.archive.files = many(**{"case": b"1", "d/a": b"3"})
    assert (await mirroring.run()).complete
    assert mirroring.natural() == many(**{"case": b"1", "d/a": b"3"})


@KINDS
async def test_names_that_look_the_same_are_refused_everywhere(tmp_path, kind):
    mirroring = kind(tmp_path, Archive({"caf\u00e9": b"1", "cafe\u0301": b"2"}))
    assert (await mirroring.run()).failed == 1


async def test_letters_that_join_or_part_belong_to_names(tmp_path):
    names = {"می‌خواهم.nc": b"1", "क्‍ष.nc": b"2"}
    mirroring = Mirroring(tmp_path, Archive(names))
    assert (await mirroring.run()).complete
    assert mirroring.natural() == names
