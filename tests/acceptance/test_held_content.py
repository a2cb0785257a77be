"""Content that the store holds is copied there, and not downloaded again; what moves upstream is no loss."""

import random
from contextlib import asynccontextmanager

import msgspec
import pytest

from manifests.model.mirror import load_mirror
from manifests.stat import Stat
from syncd.core import DamageFound, PassFinished, RemovalsParked, SurveyNoted, TransferFinished
from syncd.engine import local_copies
from syncd.engine.pass_transfers import PassTransfers
from tests.acceptance.mirroring import BucketMirroring, Mirroring, objects
from tests.fakes import Archive, sha256

chance = random.Random(12)
SMALL = {f"a/{n:02}.dat": chance.randbytes(900 + n) for n in range(30)}
LARGE = {"a/deep/one.tif": chance.randbytes(1 << 20), "a/two.tif": chance.randbytes(6 << 20)}
OTHER = """
mirror: other
source: {url: "%s", settle: 0s}
guard: {max_removed: 10%%}
keep: {versions: 2, replaced: 1s, removed: 30d}
"""


class Stamped(Archive):
    """A listing that shows sizes and times, and nothing else."""

    modified = 1_600_000_000.0

    def claim(self, path, **other):
        return Stat(path, len(self.files[path]), self.modified + len(self.files[path]), None, **other)


def moved(files, old="a/", new="b/"):
    return {path.replace(old, new, 1) if path.startswith(old) else path: body for path, body in files.items()}


def heard(mirroring, kind):
    return [event for event in mirroring.events if isinstance(event, kind)]


def other(mirroring, archive, url="file:///archive/", **more):
    """Another mirror of the same store."""
    second = Mirroring(mirroring.folder, archive, **more)
    second.mirror = load_mirror(OTHER % url, "other.yaml")
    second.natural = lambda: {
        p.relative_to(second.store_folder / "other").as_posix(): p.read_bytes()
        for p in (second.store_folder / "other").rglob("*")
        if p.is_file()
    }
    return second


@pytest.fixture(params=["folder", "swift", "rgw"])
def make(request, tmp_path):
    if request.param == "folder":
        return lambda archive, **more: Mirroring(tmp_path, archive, **more)
    server = request.getfixturevalue(request.param)
    return lambda archive, **more: BucketMirroring(tmp_path, archive, server, **more)


async def stored(mirroring):
    async with mirroring.open() as (store, _):
        return {path.removeprefix("scenes/"): body for path, body in (await objects(store, "scenes/")).items()}


# -- renames ------------------------------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_a_renamed_folder_is_copied_in_the_store_and_is_no_loss(make):
    mirroring = make(Archive({**SMALL, **LARGE}, digests=("sha512", "md5")), guard="10%")
    await mirroring.run()
    archive = mirroring.archive
    archive.files, archive.sent = moved(archive.files), 0
    result = await mirroring.run()
    count = len(archive.files)
    assert (archive.sent, result.bytes) == (0, 0), "no byte of a file is read from upstream"
    assert (result.copied, result.copied_bytes) == (count, sum(map(len, archive.files.values())))
    assert (result.fetched, result.removed, result.parked, result.complete) == (count, count, 0, True)
    assert heard(mirroring, RemovalsParked) == []
    assert {event.verdict for event in heard(mirroring, TransferFinished)} == {"verified"}
    assert await stored(mirroring) == archive.files
    if type(mirroring) is Mirroring:
        assert mirroring.check_sums(result.snapshot) == (True, "")
        names = [p for p in mirroring.store_folder.rglob("*") if p.is_file() and "snapshots" not in p.parts]
        assert {p.stat().st_nlink for p in names} == {1}, "a write to one name must not change another"
        assert len(mirroring.removed()) == count


@pytest.mark.promise("P5")
async def test_a_single_renamed_file_and_one_that_changes_places_with_another_are_copied(make):
    mirroring = make(Archive({**SMALL, **LARGE}, digests=("sha256",)))
    await mirroring.run()
    files = mirroring.archive.files
    files["renamed"] = files.pop("a/two.tif")
    files["a/00.dat"], files["a/01.dat"] = files["a/01.dat"], files["a/00.dat"]
    mirroring.archive.sent = 0
    result = await mirroring.run()
    assert (mirroring.archive.sent, result.copied, result.replaced) == (0, 3, 2)
    assert await stored(mirroring) == files


@pytest.mark.parametrize(("archive", "digests"), [(Archive, ("md5",)), (Archive, ()), (Stamped, ())])
async def test_without_a_strong_checksum_a_few_ranges_of_upstream_are_compared(tmp_path, archive, digests):
    mirroring = Mirroring(tmp_path, archive({**SMALL, **LARGE}, digests=digests), guard="10%")
    await mirroring.run()
    archive = mirroring.archive
    archive.files, archive.sent = moved(archive.files), 0
    result = await mirroring.run()
    assert result.copied == len(LARGE), "what is small is downloaded: that costs as little"
    assert archive.sent == sum(map(len, SMALL.values())) + len(LARGE) * local_copies.SAMPLES * local_copies.SAMPLE
    assert (result.parked, result.removed) == (0, len(archive.files))
    assert {event.verdict for event in heard(mirroring, TransferFinished)} == {"verified" if digests else "attested"}
    assert mirroring.natural() == archive.files


@pytest.mark.promise("P1")
async def test_what_has_the_same_size_and_time_but_other_bytes_is_downloaded(tmp_path):
    mirroring = Mirroring(tmp_path, Stamped(LARGE))
    await mirroring.run()
    mirroring.archive.files = {
        path: bytes(byte ^ 1 for byte in body) for path, body in moved(mirroring.archive.files).items()
    }
    result = await mirroring.run()
    assert (result.copied, result.fetched, result.failed) == (0, 2, 0)
    assert mirroring.natural() == {**LARGE, **mirroring.archive.files}, "and what is gone is held: it did not move"


async def test_files_that_come_back_are_copied_from_the_removed_ones(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)))
    await mirroring.run()
    gone = {path: mirroring.archive.files.pop(path) for path in list(mirroring.archive.files)[:10]}
    assert (await mirroring.run()).removed == 10
    mirroring.archive.files.update(gone)
    mirroring.archive.sent = 0
    result = await mirroring.run()
    assert (mirroring.archive.sent, result.copied) == (0, 10)
    assert mirroring.natural() == mirroring.archive.files


async def test_a_file_that_returns_to_an_earlier_version_is_copied_from_the_kept_one(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(LARGE, digests=("sha256",)))
    await mirroring.run()
    mirroring.archive.files["a/two.tif"] = bytes(5 << 20)
    await mirroring.run()
    mirroring.archive.files["a/two.tif"] = LARGE["a/two.tif"]
    mirroring.archive.sent = 0
    result = await mirroring.run()
    assert (mirroring.archive.sent, result.copied, result.replaced) == (0, 1, 1)
    assert mirroring.natural() == LARGE


# -- the guard ----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_a_rename_that_only_the_download_proves_is_no_loss(tmp_path):
    mirroring = Mirroring(tmp_path, Stamped(SMALL), guard="10%")
    await mirroring.run()
    mirroring.archive.files = moved(SMALL)
    result = await mirroring.run()
    assert (result.copied, result.removed, result.parked, result.complete) == (0, len(SMALL), 0, True)
    assert heard(mirroring, RemovalsParked) == []
    assert mirroring.natural() == mirroring.archive.files


@pytest.mark.promise("P5")
async def test_a_rename_with_other_content_is_a_loss_however_many_files_are_new(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(SMALL, digests=("sha256",)), guard="60%")
    await mirroring.run()
    mirroring.archive.files = {path: body + b"!" for path, body in moved(SMALL).items()}
    result = await mirroring.run()
    assert (result.parked, result.removed, result.fetched) == (len(SMALL), 0, len(SMALL))
    assert mirroring.natural() == {**SMALL, **mirroring.archive.files}
    (event,) = heard(mirroring, RemovalsParked)
    assert event.files == len(SMALL)


@pytest.mark.promise("P5")
async def test_what_moved_leaves_its_old_name_though_other_deletions_are_held(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)), guard="10%")
    await mirroring.run()
    lost = list(SMALL)[:20]
    files = {path: body for path, body in mirroring.archive.files.items() if path not in lost}
    mirroring.archive.files = moved(files)
    result = await mirroring.run()
    assert (result.parked, result.removed) == (20, len(files))
    assert mirroring.natural() == {**mirroring.archive.files, **{path: SMALL[path] for path in lost}}
    async with mirroring.open() as (_, catalogue):
        assert [one.path for one in catalogue.approvals.parked(1)] == sorted(lost)


@pytest.mark.promise("P5")
async def test_a_moved_file_that_could_not_be_stored_keeps_its_old_name(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(SMALL), guard="10%")
    await mirroring.run()
    mirroring.archive.files = moved(SMALL)
    for path in mirroring.archive.files:
        mirroring.archive.faults[path] = [lambda number, chunk: b"longer" + chunk] * 10
    result = await mirroring.run()
    assert (result.parked, result.removed, result.failed) == (len(SMALL), 0, len(SMALL))
    assert mirroring.natural() == SMALL


@pytest.mark.promise("P5")
@pytest.mark.parametrize("archive", [Archive, Stamped])
async def test_empty_files_move_with_their_folder_and_are_lost_without_new_ones(tmp_path, archive):
    files = {"README": b"stays", **SMALL, **{f"a/{n}.done": b"" for n in range(20)}}
    mirroring = Mirroring(tmp_path, archive(files), guard="10%")
    await mirroring.run()
    mirroring.archive.files = moved(files)
    result = await mirroring.run()
    assert (result.parked, result.removed) == (0, len(files) - 1)
    mirroring.archive.files = {path: body for path, body in moved(files).items() if body or path == "b/0.done"}
    assert (await mirroring.run()).parked == 19


@pytest.mark.promise("P5")
@pytest.mark.parametrize("archive", [Archive, Stamped])
async def test_rotated_logs_lose_nothing_though_each_of_them_shrinks(tmp_path, archive):
    logs = {f"{n}.log": chance.randbytes(5000 + n) for n in range(10)}
    mirroring = Mirroring(tmp_path, archive(logs), guard="10%")
    await mirroring.run()
    mirroring.archive.files = {
        f"{n}.log{end}": body for n in range(10) for end, body in ((".1", logs[f"{n}.log"]), ("", bytes(n + 1)))
    }
    for _ in range(2):  # where only the download tells, the first pass holds them, and the second knows better
        result = await mirroring.run()
    assert (result.parked, result.complete) == (0, True)
    assert mirroring.natural() == mirroring.archive.files


# -- other mirrors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archive", [Archive, Stamped])
async def test_two_mirrors_of_one_upstream_download_its_files_once(tmp_path, archive):
    first = Mirroring(tmp_path, archive(LARGE))
    await first.run()
    second = other(first, archive(LARGE))
    result = await second.run()
    assert (result.copied, result.fetched) == (2, 2)
    assert second.archive.sent == 2 * local_copies.SAMPLES * local_copies.SAMPLE
    assert second.natural() == LARGE


async def test_another_upstream_is_believed_by_a_strong_checksum_only(tmp_path):
    first = Mirroring(tmp_path, Archive(LARGE, digests=("md5",)))
    await first.run()
    weak = other(first, Archive(LARGE, digests=("md5",)), url="https://elsewhere.example/")
    assert (await weak.run()).copied == 0
    strong = other(first, Archive(moved(LARGE), digests=("sha256",)), url="https://elsewhere.example/")
    assert ((await strong.run()).copied, strong.archive.sent - 0) == (2, 0)


class Lending(Mirroring):
    """A mirror for which the others have narrower access."""

    def work(self, *given):
        return msgspec.structs.replace(super().work(*given), lends=lambda _name: False)


async def test_who_knows_a_checksum_does_not_get_the_bytes_of_a_mirror_with_narrower_access(tmp_path):
    first = Mirroring(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)))
    await first.run()

    class Pretender(Archive):
        """An upstream that promises checksums of bytes that it does not have."""

        def claim(self, path, **more):
            wanted = {**SMALL, **LARGE}[path]
            return Stat(path, len(wanted), None, f'"{path}"', {"sha256": sha256(wanted)}, **more)

    thief = Lending(tmp_path, Pretender({path: bytes(len(body)) for path, body in {**SMALL, **LARGE}.items()}))
    thief.mirror = load_mirror(OTHER % "https://thief.example/", "other.yaml")
    result = await thief.run()
    assert (result.copied, result.fetched, result.failed) == (0, 0, len(SMALL) + len(LARGE))
    honest = Lending(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)))
    honest.mirror = load_mirror(OTHER.replace("other", "third") % "https://honest.example/", "third.yaml")
    result = await honest.run()
    assert (result.copied, result.fetched, result.failed) == (len(LARGE), len(SMALL) + len(LARGE), 0)
    assert honest.archive.sent == sum(map(len, SMALL.values())) + 2 * local_copies.SAMPLES * local_copies.SAMPLE


# -- what was held is gone or rotten ------------------------------------------------------------------------------------


@pytest.mark.promise("P1")
@pytest.mark.parametrize("size", [1000, 3 << 20])
@pytest.mark.parametrize("finding", ["digest", "missing"])
async def test_held_bytes_that_are_gone_or_rotten_are_told_and_the_file_is_downloaded(tmp_path, finding, size):
    body = chance.randbytes(size)
    mirroring = Mirroring(tmp_path, Archive({"a": body}, digests=("sha256",)))
    await mirroring.run()
    place = mirroring.store_folder / "scenes/a"
    if finding == "digest":
        place.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    else:
        place.unlink()
    mirroring.archive.files["b"] = body
    result = await mirroring.run()
    assert (result.copied, result.fetched, result.failed, result.bytes) == (0, 1, 0, size)
    assert (mirroring.store_folder / "scenes/b").read_bytes() == body
    assert [(one.path, one.finding) for one in heard(mirroring, DamageFound)] == [("a", finding)]
    async with mirroring.open() as (_, catalogue):
        assert [(one.path, one.finding) for one in catalogue.pass_history.damaged(1)] == [("a", finding)]


# -- the index ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["deleted", "torn", "no database", "a folder"])
async def test_an_index_that_is_lost_or_damaged_costs_downloads_and_nothing_else(tmp_path, what):
    mirroring = Mirroring(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)))
    await mirroring.run()
    index = tmp_path / "state/held.sqlite"
    body = index.read_bytes()
    for file in (tmp_path / "state").glob("held.sqlite*"):
        file.unlink()
    if what == "torn":
        index.write_bytes(body[:4096] + b"\xff" * (len(body) - 4096))
    elif what == "no database":
        index.write_bytes(b"no database" * 1000)
    elif what == "a folder":
        index.mkdir()
    mirroring.archive.files = moved(mirroring.archive.files)
    result = await mirroring.run()
    assert (result.complete, result.parked, result.fetched) == (True, 0, len(SMALL) + len(LARGE))
    assert mirroring.natural() == mirroring.archive.files
    if what == "deleted":
        assert result.copied == result.fetched, "the pass makes it again first"
    else:
        assert [one for one in heard(mirroring, SurveyNoted) if "held.sqlite" in one.text]
    if what == "a folder":
        index.rmdir()
    mirroring.archive.files = moved(mirroring.archive.files, "b/", "c/")
    assert (await mirroring.run()).copied == len(SMALL) + len(LARGE)


async def test_a_pass_that_is_killed_among_its_copies_is_finished_by_the_next_one(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    mirroring = Mirroring(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)), guard="10%")
    await mirroring.run()
    mirroring.archive.files, mirroring.archive.sent = moved(mirroring.archive.files), 0
    left, genuine = [15], PassTransfers._copy_one

    async def dying(self, *given):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        await genuine(self, *given)

    monkeypatch.setattr(PassTransfers, "_copy_one", dying)
    with pytest.raises(BaseException):  # noqa: B017  a group around Killed
        await mirroring.run()
    monkeypatch.undo()
    result = await mirroring.run()
    assert (result.parked, result.removed, result.complete) == (0, len(SMALL) + len(LARGE), True)
    assert (mirroring.archive.sent, mirroring.natural()) == (0, mirroring.archive.files)


async def test_the_index_can_leave_small_files_out_or_be_switched_off(tmp_path):
    class Choosing(Mirroring):
        least: int | None = 2000

        def open(self):
            @asynccontextmanager
            async def opened():
                async with Mirroring.open(self) as (store, catalogue):
                    catalogue.held.least = self.least
                    yield store, catalogue

            return opened()

    mirroring = Choosing(tmp_path, Archive({**SMALL, **LARGE}, digests=("sha256",)))
    await mirroring.run()
    mirroring.archive.files = moved(mirroring.archive.files)
    assert (await mirroring.run()).copied == len(LARGE)
    mirroring.least = None
    mirroring.archive.files = moved(mirroring.archive.files, "b/", "c/")
    result = await mirroring.run()
    assert (result.copied, result.parked, result.removed) == (0, 0, len(SMALL) + len(LARGE))


async def test_the_events_tell_what_was_copied(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({"a": b"content"}, digests=("sha256",)))
    await mirroring.run()
    mirroring.archive.files["b"] = b"content"
    await mirroring.run()
    assert [(one.path, one.copied) for one in heard(mirroring, TransferFinished)] == [("a", False), ("b", True)]
    assert [(one.copied, one.copied_bytes, one.bytes) for one in heard(mirroring, PassFinished)] == [
        (0, 0, 7),
        (1, 7, 0),
    ]
