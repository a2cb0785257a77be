"""The guard judges what a pass would lose, deletions and replacements together, before the first is carried out."""

import asyncio

import pytest

from manifests.stat import Stat
from syncd.core import Interrupted, NothingFound, RemovalsParked
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive


def files(count=20, size=1000):
    return {f"f{n:02}.dat": f"{n:02}".encode() * (size // 2) for n in range(count)}


class Sizeless(Archive):
    """A listing that shows no sizes, as many HTML pages do."""

    def claim(self, path, **other):
        return Stat(path, None, None, self.version(path), **other)


def staged(mirroring):
    root = mirroring.store_folder / ".syncd/staged"
    return sorted(one.name for one in root.rglob("*") if one.is_file()) if root.exists() else []


async def decide(mirroring, what):
    async with mirroring.open() as (_, catalogue):
        return getattr(catalogue.approvals, what)(1)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("archive", [Archive, Sizeless])
@pytest.mark.parametrize(
    ("kind", "content"), [("emptied", lambda _: b""), ("shrunk", lambda old: old[: len(old) // 2 - 1])]
)
async def test_files_that_lose_their_bytes_upstream_are_held_until_they_are_approved(tmp_path, archive, kind, content):
    mirroring = Mirroring(tmp_path, archive(files()), guard="10%")
    first = await mirroring.run()
    before = mirroring.natural()
    mirroring.archive.files = {name: content(old) for name, old in mirroring.archive.files.items()}
    mirroring.archive.files["new.dat"] = b"new"
    held = await mirroring.run()
    assert (held.parked, held.replaced, held.fetched, held.complete) == (20, 0, 1, True)
    assert mirroring.natural() == {**before, "new.dat": b"new"}
    (event,) = [one for one in mirroring.events if isinstance(one, RemovalsParked)]
    assert (event.files, event.replaced) == (20, 20)
    async with mirroring.open() as (_, catalogue):
        assert {(one.kind, one.bytes) for one in catalogue.approvals.parked(1)} == {(kind, 1000)}
    asked = len(mirroring.archive.asked)
    again = await mirroring.run()
    assert (again.parked, again.snapshot) == (20, held.snapshot)
    assert len(mirroring.archive.asked) == asked, "what is held is not downloaded again"
    assert await decide(mirroring, "approve") == 20
    done = await mirroring.run()
    assert (done.replaced, done.parked) == (20, 0)
    assert mirroring.natural() == mirroring.archive.files
    assert staged(mirroring) == []
    assert first.snapshot != done.snapshot


@pytest.mark.promise("P5")
async def test_nothing_of_a_held_replacement_is_visible_and_the_others_are_published(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files()), guard="10%")
    await mirroring.run()
    before = mirroring.natural()
    for name in list(mirroring.archive.files)[:10]:
        mirroring.archive.files[name] = b""
    mirroring.archive.files["f15.dat"] = b"longer" * 1000
    result = await mirroring.run()
    assert (result.parked, result.replaced) == (10, 1)
    assert mirroring.natural() == {**before, "f15.dat": b"longer" * 1000}


@pytest.mark.promise("P5")
async def test_many_files_that_get_one_content_are_held_though_none_is_much_shorter(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()), guard="10%")
    await mirroring.run()
    before = mirroring.natural()
    page = b'{"error": "please log in"}'.ljust(900)
    mirroring.archive.files = dict.fromkeys(mirroring.archive.files, page)
    result = await mirroring.run()
    assert (result.parked, result.replaced) == (20, 0)
    assert mirroring.natural() == before
    async with mirroring.open() as (_, catalogue):
        assert {one.kind for one in catalogue.approvals.parked(1)} == {"same"}


async def test_deletions_and_replacements_are_judged_together(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files(20)), guard="10%")
    await mirroring.run()
    before = mirroring.natural()
    names = sorted(mirroring.archive.files)
    del mirroring.archive.files[names[0]], mirroring.archive.files[names[1]]
    mirroring.archive.files[names[5]] = b""  # two, and one: only together they are too many
    result = await mirroring.run()
    assert (result.parked, result.removed, result.replaced) == (3, 0, 0)
    assert mirroring.natural() == before


async def test_sizes_known_only_after_the_download_are_judged_with_the_deletions_of_the_plan(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files(20)), guard="10%")
    await mirroring.run()
    before = mirroring.natural()
    names = sorted(mirroring.archive.files)
    del mirroring.archive.files[names[0]], mirroring.archive.files[names[1]]
    mirroring.archive.files[names[5]] = b""
    result = await mirroring.run()
    assert (result.parked, result.removed, result.replaced) == (3, 0, 0)
    assert mirroring.natural() == before
    assert await decide(mirroring, "approve") == 3
    done = await mirroring.run()
    assert (done.removed, done.replaced, done.parked) == (2, 1, 0)


async def test_few_losses_and_files_that_change_or_grow_are_replaced_at_once(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()), guard="10%")
    await mirroring.run()
    mirroring.archive.files = {name: old[::-1] + b"more" for name, old in mirroring.archive.files.items()}
    mirroring.archive.files["f00.dat"] = b""
    result = await mirroring.run()
    assert (result.parked, result.replaced) == (0, 20)
    assert mirroring.natural() == mirroring.archive.files


async def test_an_approval_is_one_of_the_version_that_was_seen(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()), guard="10%")
    await mirroring.run()
    good = dict(mirroring.archive.files)
    mirroring.archive.files = {name: old[:400] for name, old in good.items()}
    assert (await mirroring.run()).parked == 20
    assert await decide(mirroring, "approve") == 20
    mirroring.archive.files = dict.fromkeys(good, b"")
    worse = await mirroring.run()
    assert (worse.parked, worse.replaced) == (20, 0)
    assert mirroring.natural() == good


async def test_rejected_losses_stay_away_until_upstream_changes_again(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files()), guard="10%")
    await mirroring.run()
    good = dict(mirroring.archive.files)
    names = sorted(good)
    mirroring.archive.files = dict.fromkeys(names[3:], b"")
    assert (await mirroring.run()).parked == 20
    assert await decide(mirroring, "reject") == 20
    asked = len(mirroring.archive.asked)
    quiet = await mirroring.run()
    assert (quiet.parked, quiet.replaced, quiet.removed, quiet.complete) == (0, 0, 0, True)
    assert len(mirroring.archive.asked) == asked, "what was rejected is not downloaded again"
    assert staged(mirroring) == []
    mirroring.archive.files = {**good, names[7]: b"better" * 500}
    back = await mirroring.run()
    assert (back.parked, back.replaced) == (0, 1)
    assert mirroring.natural() == mirroring.archive.files
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.rejected(1) == {}


async def test_losses_that_upstream_takes_back_are_no_longer_held(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files()), guard="10%")
    await mirroring.run()
    good = dict(mirroring.archive.files)
    mirroring.archive.files = dict.fromkeys(good, b"")
    assert (await mirroring.run()).parked == 20
    mirroring.archive.files = good
    assert (await mirroring.run()).parked == 0
    assert staged(mirroring) == []
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.count_parked(1) == (0, 0)


@pytest.mark.promise("P5")
async def test_an_incomplete_inventory_holds_replacements_and_keeps_the_deletions_that_wait(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()), guard="10%")
    await mirroring.run()
    good = dict(mirroring.archive.files)
    names = sorted(good)
    for name in names[15:]:
        del mirroring.archive.files[name]
    assert (await mirroring.run()).parked == 5
    for name in names[:15]:
        mirroring.archive.files[name] = b""
    mirroring.archive.listing_fails_after = 8
    half = await mirroring.run()
    assert (half.replaced, half.complete, half.parked) == (0, False, 8)
    assert mirroring.natural() == good
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.count_parked(1) == (13, 8)


@pytest.mark.promise("P4", "P5")
async def test_a_killed_pass_publishes_no_replacement_that_was_not_judged(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files()), guard="10%")
    await mirroring.run()
    before = mirroring.natural()
    mirroring.archive.files = dict.fromkeys(mirroring.archive.files, b"")
    last = max(mirroring.archive.files)

    def killed(number, chunk):
        raise RuntimeError("killed")

    mirroring.archive.files[last] = b"x" * 1000
    mirroring.archive.faults = {last: [killed]}
    with pytest.raises(ExceptionGroup):
        await mirroring.run()
    mirroring.archive.faults = {}
    assert mirroring.natural() == before
    result = await mirroring.run()
    assert (result.parked, result.replaced) == (19, 1)
    assert mirroring.natural() == {**before, last: b"x" * 1000}


async def test_a_stopped_pass_leaves_what_loses_bytes_to_the_next_one(tmp_path):
    mirroring = Mirroring(tmp_path, Sizeless(files()), guard="50%")
    await mirroring.run()
    before = mirroring.natural()
    stopping = asyncio.Event()
    mirroring.archive.files["f19.dat"] = b""
    mirroring.archive.files["f00.dat"] = b"0" * 2000

    def stop(number, chunk):
        stopping.set()
        return chunk

    mirroring.archive.faults = {name: [stop] for name in ("f00.dat",)}
    stopped = await mirroring.run(stopping=stopping)
    assert (stopped.parked, stopped.complete) == (0, False)
    assert mirroring.natural()["f19.dat"] == before["f19.dat"]
    done = await mirroring.run()
    assert (done.parked, done.complete) == (0, True)
    assert mirroring.natural() == mirroring.archive.files


@pytest.mark.promise("P5")
async def test_a_first_pass_that_finds_no_file_is_no_success(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({}))
    with pytest.raises(NothingFound, match="no file was found, so nothing was changed"):
        await mirroring.run()
    async with mirroring.open() as (_, catalogue):
        row = catalogue.history.mirror("scenes")
        assert (row.snapshot, row.succeeded, row.last["state"]) == ("", None, "nothing_found")


@pytest.mark.promise("P5")
async def test_a_pass_that_finds_none_where_there_were_some_changes_nothing_until_it_is_approved(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()))
    first = await mirroring.run()
    before = mirroring.natural()
    mirroring.archive.files = {}
    for _ in range(2):
        with pytest.raises(NothingFound, match="20 losses are held for approval"):
            await mirroring.run()
        assert mirroring.natural() == before
    assert await decide(mirroring, "approve") == 20
    done = await mirroring.run()
    assert (done.removed, done.complete) == (20, True)
    assert (await mirroring.run()).complete, "that it is empty was approved"
    mirroring.archive.files = files(3)
    assert (await mirroring.run()).fetched == 3
    mirroring.archive.files = {}
    with pytest.raises(NothingFound):
        await mirroring.run()
    assert first.snapshot


async def test_a_mirror_may_be_empty_if_its_manifest_says_so(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({}))
    guard = mirroring.mirror.guard.model_copy(update={"empty": "allowed"})
    mirroring.mirror = mirroring.mirror.model_copy(update={"guard": guard})
    assert (await mirroring.run()).complete


async def test_fewer_files_than_the_manifest_demands_change_nothing(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files(9)))
    guard = mirroring.mirror.guard.model_copy(update={"min_files": 10})
    mirroring.mirror = mirroring.mirror.model_copy(update={"guard": guard})
    with pytest.raises(NothingFound, match=r"9 files were found, fewer than guard.min_files \(10\)"):
        await mirroring.run()
    assert mirroring.natural() == {}
    mirroring.archive.files = files(10)
    assert (await mirroring.run()).fetched == 10


async def test_an_interrupted_listing_without_files_is_incomplete_and_not_empty(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(files()))
    await mirroring.run()
    mirroring.archive.listing_fails_after = 0
    with pytest.raises(Interrupted):
        await mirroring.run()
