"""Whole passes over an archive in memory into a real folder: the ten rules, one by one."""

import asyncio
import hashlib
import json
import random
from contextlib import asynccontextmanager

import msgspec
import pytest

from manifests.reading import ReaderKind
from manifests.snapshot import Snapshot
from manifests.stat import Stat
from syncd.core import NothingFound, SurveyNoted
from syncd.engine.kept_snapshots import read_bounded
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from tests.acceptance.mirroring import Mirroring, scenes
from tests.fakes import Archive, break_after, flip, sha256


@pytest.fixture
def mirroring(tmp_path):
    return Mirroring(tmp_path, Archive(scenes()))


async def test_a_pass_copies_all_and_a_second_one_moves_nothing(mirroring):
    first = await mirroring.run()
    assert mirroring.natural() == mirroring.archive.files
    assert (first.fetched, first.complete, first.failed) == (12, True, 0)
    assert first.bytes == sum(map(len, mirroring.archive.files.values()))
    assert mirroring.check_sums(first.snapshot) == (True, "")
    mirroring.archive.asked.clear()
    second = await mirroring.run()
    assert mirroring.archive.asked == []
    assert (second.kept, second.fetched, second.snapshot) == (12, 0, first.snapshot)


@pytest.mark.promise("P6")
@pytest.mark.fault(13)
async def test_the_next_pass_replaces_adds_and_removes_and_keeps_what_it_replaced(mirroring):
    first = await mirroring.run()
    before = dict(mirroring.archive.files)
    files = mirroring.archive.files
    files["LC08/0/b00.tif"] = b"replaced"
    files["new/one.txt"] = b"added"
    del files["LC08/1/b01.tif"]
    second = await mirroring.run()
    assert (second.fetched, second.replaced, second.removed, second.kept) == (1, 1, 1, 10)
    assert second.snapshot != first.snapshot
    assert mirroring.natural() == files
    assert mirroring.removed() == {f"{first.snapshot}/LC08/1/b01.tif": before["LC08/1/b01.tif"]}
    assert mirroring.check_sums(second.snapshot) == (True, "")
    kept = mirroring.store_folder / ".syncd/versions/scenes" / first.snapshot / "LC08/0/b00.tif"
    assert kept.read_bytes() == before["LC08/0/b00.tif"]


async def test_equal_content_has_an_equal_id_whatever_the_history(tmp_path):
    one = Mirroring(tmp_path / "one", Archive(scenes(1)))
    await one.run()
    one.archive.files = scenes(2)
    straight = Mirroring(tmp_path / "two", Archive(scenes(2)))
    assert (await one.run()).snapshot == (await straight.run()).snapshot


@pytest.mark.promise("P1")
@pytest.mark.fault(34)
async def test_rule_1_bytes_that_do_not_match_go_to_the_quarantine_with_the_reason_and_stop_no_other(tmp_path):
    archive = Archive(scenes(), digests=("sha256",))
    archive.faults = {"LC08/2/b02.tif": [flip, flip], "LC08/2/b05.tif": [flip] * 20}
    mirroring = Mirroring(tmp_path, archive)
    result = await mirroring.run()
    assert (result.failed, result.fetched, result.complete) == (2, 10, False)
    assert set(mirroring.natural()) == set(archive.files) - {"LC08/2/b02.tif", "LC08/2/b05.tif"}
    reasons = sorted((mirroring.store_folder / ".syncd/quarantine").rglob("*.reason.json"))
    assert [json.loads(r.read_text())["path"] for r in reasons] == ["LC08/2/b02.tif", "LC08/2/b05.tif"]
    wanted, came = sha256(archive.files["LC08/2/b02.tif"]), json.loads(reasons[0].read_text())["arrived"]["sha256"]
    assert f"sha256 {wanted} promised, {came} arrived" in json.loads(reasons[0].read_text())["reason"]
    assert sha256(reasons[0].with_name("b02.tif").read_bytes()) == came
    archive.faults.clear()
    assert (await mirroring.run()).fetched == 2


@pytest.mark.fault(34)
async def test_one_bad_read_is_fetched_afresh_and_nobody_hears_of_it(tmp_path):
    archive = Archive(scenes(), digests=("md5", "sha256"))
    archive.faults = {"LC08/2/b02.tif": [flip], "LC08/2/b05.tif": [flip]}
    mirroring = Mirroring(tmp_path, archive)
    result = await mirroring.run()
    archive.assert_spent()
    assert (result.failed, result.fetched) == (0, 12)
    assert mirroring.natural() == archive.files


@pytest.mark.promise("P1")
@pytest.mark.fault(2, 33)
async def test_rule_2_every_promise_is_checked_and_an_entry_without_one_says_so(tmp_path):
    promised, silent = (
        Mirroring(tmp_path / "a", Archive(scenes(), digests=("md5",))),
        Mirroring(tmp_path / "b", Archive(scenes())),
    )
    for mirroring, verdict in ((promised, "verified"), (silent, "attested")):
        await mirroring.run()
        async with mirroring.open() as (_, catalogue):
            assert {o.verdict for _, o in catalogue.holdings.entries_and_origins(1)} == {verdict}


@pytest.mark.fault(1, 9)
async def test_rule_3_an_interrupted_body_goes_on_where_it_broke(tmp_path):
    archive = Archive({"big": random.Random(3).randbytes(24 << 20)})
    archive.faults = {"big": [break_after(3), break_after(5), None, break_after(1)]}
    mirroring = Mirroring(tmp_path, archive)
    result = await mirroring.run()
    archive.assert_spent()
    assert (result.fetched, mirroring.natural()) == (1, archive.files)
    assert archive.sent == len(archive.files["big"])


@pytest.mark.promise("P6")
@pytest.mark.fault(12)
async def test_rule_3_a_file_that_changes_between_two_ranges_is_never_spliced(tmp_path):
    old, new = random.Random(4).randbytes(20 << 20), random.Random(5).randbytes(20 << 20)
    archive = Archive({"big": old})

    def change(number, chunk):
        if number == 2:
            archive.files["big"] = new
        return chunk

    archive.faults = {"big": [change]}
    mirroring = Mirroring(tmp_path, archive)
    # whatever the pass says, what lies there is one of the two files, whole
    await mirroring.run()
    archive.assert_spent()
    assert mirroring.natural().get("big", new) in (old, new)
    await mirroring.run()
    assert mirroring.natural() == {"big": new}


@pytest.mark.promise("P5")
@pytest.mark.fault(30)
async def test_rule_4_an_incomplete_inventory_removes_nothing(mirroring):
    await mirroring.run()
    mirroring.archive.listing_fails_after = 6
    result = await mirroring.run()
    assert (result.removed, result.parked, result.complete) == (0, 0, False)
    async with mirroring.open() as (_, catalogue):
        assert catalogue.holdings.totals(1)[0] == 12


@pytest.mark.promise("P5")
async def test_that_a_format_proves_nothing_is_said_once(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive(scenes()))
    name = mirroring.mirror.source.reader
    monkeypatch.setattr("syncd.engine.build_plan.installed", lambda: {name: ReaderKind(lambda source: source)})
    await mirroring.run()
    await mirroring.run()
    assert [event.text for event in mirroring.events if isinstance(event, SurveyNoted)] == [
        f"lists of reader {name} do not prove that they are complete: a cut is not noticed"
    ]


@pytest.mark.promise("P5")
@pytest.mark.fault(31)
async def test_rule_4_too_many_removals_are_parked_whole_until_they_are_approved(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(scenes()), guard="10%")
    first = await mirroring.run()
    for path in list(mirroring.archive.files)[:4]:
        del mirroring.archive.files[path]
    mirroring.archive.files["new"] = b"new"
    parked = await mirroring.run()
    assert (parked.parked, parked.removed, parked.fetched) == (4, 0, 1)
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.approve(1) == 4
    # what goes after the approval was not approved
    del mirroring.archive.files["LC08/1/b10.tif"]
    approved = await mirroring.run()
    assert (approved.removed, approved.parked) == (5, 0)
    assert first.snapshot not in (parked.snapshot, approved.snapshot)


@pytest.mark.promise("P5")
@pytest.mark.fault(30, 31)
async def test_rule_4_an_approval_removes_nothing_by_the_word_of_an_incomplete_inventory_and_is_not_spent_on_it(
    tmp_path,
):
    mirroring = Mirroring(tmp_path, Archive(scenes()), guard="10%")
    await mirroring.run()
    gone = sorted(mirroring.archive.files)[:4]  # what comes first in a listing, so that even half of one lacks them
    for path in gone:
        del mirroring.archive.files[path]
    assert (await mirroring.run()).parked == 4
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.approve(1) == 4
    mirroring.archive.listing_fails_after = 6
    half = await mirroring.run()
    assert (half.removed, half.complete) == (0, False)
    async with mirroring.open() as (_, catalogue):
        assert catalogue.holdings.totals(1)[0] == 12
        assert set(catalogue.approvals.approved(1)) == set(gone)
    mirroring.archive.listing_fails_after = None
    whole = await mirroring.run()
    assert (whole.removed, whole.parked, whole.complete) == (4, 0, True)


@pytest.mark.promise("P5")
@pytest.mark.fault(30, 31)
async def test_rule_4_never_everything(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(scenes()), guard="100%")
    await mirroring.run()
    mirroring.archive.files = {"new.tif": b"new"}
    result = await mirroring.run()
    assert (result.parked, result.removed) == (12, 0)
    mirroring.archive.files.clear()
    with pytest.raises(NothingFound):
        await mirroring.run()
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.count_parked(1) == (13, 0)
        assert catalogue.holdings.totals(1)[0] == 13


@pytest.mark.fault(19, 20)
async def test_rule_5_hostile_names_are_refused_one_by_one(tmp_path):
    archive = Archive(
        {
            "good": b"1",
            "../up": b"2",
            ".syncd/pointer": b"3",
            "dir": b"4",
            "dir/below": b"5",
            "Case": b"6",
            "case": b"7",
            "cafe\u0301": b"8",
            "caf\u00e9": b"9",
        }
    )
    mirroring = Mirroring(tmp_path, archive)
    result = await mirroring.run()
    assert mirroring.natural() == {"good": b"1", "dir": b"4", "Case": b"6", "case": b"7", "cafe\u0301": b"8"}
    assert result.failed == 4
    async with mirroring.open() as (_, catalogue):
        reasons = {failure.path: failure.reason for failure in catalogue.failures.files(1)}
    assert "'dir' is a file upstream" in reasons["dir/below"]
    assert "only in case or Unicode form" in reasons["caf\u00e9"]
    assert not (tmp_path / "up").exists()


async def test_rule_7_mirrors_of_one_origin_share_one_governor():
    governors = Governors()
    one, other = (
        GovernedTransport(Archive({"f": b"x"}), governors, f"http://h/{name}/", connections=1) for name in "ab"
    )
    async with one.open("f"):
        waiting = asyncio.create_task(other.stat("f"))
        await asyncio.sleep(0.01)
        assert not waiting.done(), "the one connection to this origin is taken"
    assert (await waiting).size == 1


async def test_rule_9_a_cancelled_pass_leaves_no_task_and_no_open_body(mirroring):
    begun = asyncio.Event()

    def begin(number, chunk):
        begun.set()
        return chunk

    mirroring.archive.faults = {path: [begin] for path in mirroring.archive.files}
    before = asyncio.all_tasks()
    running = asyncio.create_task(mirroring.run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
    assert mirroring.archive.open_now == 0
    assert (await mirroring.run()).complete


async def test_rule_10_the_engine_tells_frozen_facts_and_a_listener_cannot_answer_back(mirroring):
    await mirroring.run()
    kinds = {type(event).__name__ for event in mirroring.events}
    assert {
        "SurveyStarted",
        "SurveyAdvanced",
        "Planned",
        "TransferStarted",
        "TransferFinished",
        "Published",
        "PassFinished",
    } <= kinds
    with pytest.raises(AttributeError):
        mirroring.events[0].mirror = "another"


@pytest.mark.promise("P9")
async def test_rule_8_a_pass_over_many_files_holds_few_of_them(tmp_path):
    archive = Archive({f"{n:04}": bytes(100) for n in range(2000)})
    await Mirroring(tmp_path, archive).run()
    assert archive.open_most <= 192


async def test_published_digests_can_be_required(tmp_path):
    result = await Mirroring(tmp_path, Archive(scenes()), require="published").run()
    assert (result.fetched, result.failed) == (0, 12)


@pytest.mark.fault(40)
async def test_asked_to_stop_it_publishes_what_is_proved_and_removes_nothing(mirroring):
    stopping = asyncio.Event()

    def stop(number, chunk):
        stopping.set()
        return chunk

    mirroring.archive.faults = {path: [stop] for path in mirroring.archive.files}
    result = await mirroring.run(stopping=stopping)
    assert not result.complete
    assert mirroring.check_sums(result.snapshot)[0]
    mirroring.archive.faults.clear()
    assert (await mirroring.run()).complete
    assert mirroring.natural() == mirroring.archive.files


@pytest.mark.promise("P6")
async def test_a_file_we_do_not_know_is_never_overwritten(mirroring):
    async with mirroring.open():
        pass
    ours = mirroring.store_folder / "scenes/LC08/0/b00.tif"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(b"somebody's own")
    await mirroring.run()
    assert mirroring.natural() == mirroring.archive.files
    kept = [p.read_bytes() for p in (mirroring.store_folder / ".syncd/quarantine").rglob("b00.tif")]
    assert kept == [b"somebody's own"]


class Dying:
    """A store that dies right behind a move of its choice."""

    def __init__(self, store, path):
        self._store, self._path = store, path

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def move(self, path, to):
        await self._store.move(path, to)
        if to == self._path:
            raise SystemError("killed")


@pytest.mark.promise("P4", "P6")
@pytest.mark.fault(13, 40)
async def test_a_kill_between_a_swap_and_its_record_loses_neither_the_new_version_nor_the_old_one(mirroring):
    path = "LC08/0/b03.tif"
    first = await mirroring.run()
    old = mirroring.archive.files[path]
    mirroring.archive.files[path] = b"replaced"
    with pytest.raises(SystemError):
        await mirroring.run(wrap=lambda store: Dying(store, f"scenes/{path}"))
    second = await mirroring.run()
    assert (second.complete, mirroring.natural()[path]) == (True, b"replaced")
    assert second.snapshot != first.snapshot
    async with mirroring.open() as (store, catalogue):
        assert catalogue.journal.swaps(1) == []
        await mirroring.restoration(store, catalogue).rollback(first.snapshot)
    assert mirroring.natural()[path] == old


@pytest.mark.promise("P9")
@pytest.mark.fault(6)
@pytest.mark.parametrize("promised", [1000, 5 << 20])
async def test_a_body_that_is_longer_than_promised_is_left_at_the_first_byte_too_many(tmp_path, promised):
    chunk = 64 << 10

    class Endless(Archive):
        async def list_pages(self, prefix="", after=""):
            yield [Stat("f", promised, None, None, {"sha256": "0" * 64})]

        @asynccontextmanager
        async def open(self, path, *, start=0, stop=None, version=None):
            body = Body(self, start)
            yield body

    class Body:
        headers, url = {}, "memory://f"

        def __init__(self, archive, start):
            self.archive, self.start, self.stop = archive, start, None
            self.stat = Stat("f", None, None, None)

        async def __aiter__(self):
            while self.archive.sent < 1 << 30:
                self.archive.sent += chunk
                yield bytes(chunk)

    archive = Endless({"f": b""})
    result = await Mirroring(tmp_path, archive).run()
    assert (result.fetched, result.failed) == (0, 1)
    assert archive.sent <= 3 * (promised + chunk), "it went on reading"  # it may have grown, and is tried three times
    assert list((tmp_path / "store/.syncd/tmp").iterdir()) == []


async def test_a_snapshot_says_where_it_came_from(mirroring):
    first = await mirroring.run()
    mirroring.archive.files["x"] = b"x"
    second = await mirroring.run()
    async with mirroring.open() as (store, _):
        path = f".syncd/snapshots/scenes/{second.snapshot}/snapshot.json"
        snapshot = msgspec.json.decode(await read_bounded(store, path, 1 << 20), type=Snapshot)
    assert (snapshot.previous, snapshot.source, snapshot.files) == (first.snapshot, "file:///archive/", 13)
    assert hashlib.sha256(msgspec.json.encode(snapshot.content)).hexdigest() == snapshot.id


async def test_upstream_without_ranges_or_versions_is_mirrored_in_one_stream(tmp_path):
    for n, kind in enumerate(({"ranges": False}, {"versions": False}, {"ranges": False, "versions": False})):
        archive = Archive({"big": random.Random(n).randbytes(11 << 20), "small": b"s"}, **kind)
        mirroring = Mirroring(tmp_path / str(n), archive)
        result = await mirroring.run()
        assert (result.failed, mirroring.natural()) == (0, archive.files)


@pytest.mark.fault(44)
async def test_a_clock_that_steps_back_400_days_loses_nothing(mirroring):
    first = await mirroring.run()
    gone = mirroring.archive.files.pop("LC08/1/b01.tif")
    await mirroring.run()
    mirroring.now -= 400 * 86400
    mirroring.archive.files["new"] = b"new"
    third = await mirroring.run()
    assert (third.fetched, third.kept, third.failed) == (1, 11, 0)
    assert gone in mirroring.removed().values()
    assert third.snapshot != first.snapshot
    assert mirroring.check_sums(third.snapshot) == (True, "")
