"""A rollback of many files: its moves are recorded in parts, and all of them are made or none."""

import asyncio

import pytest

from syncd.catalogue import Catalogue, restorations
from syncd.catalogue.holdings import Holdings
from syncd.catalogue.restorations import Restorations
from syncd.catalogue.work_journal import WorkJournal
from syncd.core import Damaged
from syncd.engine import restore
from syncd.engine.kept_copies import KeptCopies
from syncd.engine.publish import Publisher
from syncd.engine.roll_forward import roll_forward
from syncd.engine.staging import drop_unjournaled
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

MANY, PART = 60, 8


@pytest.fixture
async def two(tmp_path, monkeypatch):
    """A mirror with two snapshots: of MANY files each, half are replaced, and the others have other names."""
    monkeypatch.setattr(restore, "PART", PART)
    monkeypatch.setattr(restorations, "PART", PART)
    mirroring = Mirroring(tmp_path, Archive({f"f{number:04}": b"x%d" % number for number in range(MANY)}), guard="100%")
    first = await mirroring.run()
    before = dict(mirroring.archive.files)
    for number in range(0, MANY, 2):
        mirroring.archive.files[f"f{number:04}"] = b"replaced %d" % number
        mirroring.archive.files[f"g{number:04}"] = b"new %d" % number
        del mirroring.archive.files[f"f{number + 1:04}"]
    second = await mirroring.run()
    return mirroring, first.snapshot, before, second.snapshot


def sizes(monkeypatch, owner, name):
    found, inner = [], getattr(owner, name)

    def counted(self, mirror, given, *more, **named):
        given = list(given)
        found.append(len(given))
        return inner(self, mirror, given, *more, **named)

    monkeypatch.setattr(owner, name, counted)
    return found


async def test_a_large_rollback_is_recorded_in_parts_between_which_others_go_on(two, monkeypatch):
    mirroring, first, before, _ = two
    parts = [sizes(monkeypatch, Restorations, "add"), sizes(monkeypatch, WorkJournal, "add_swaps")]
    parts.append(sizes(monkeypatch, Holdings, "remove"))
    turns, had, settle_part = 0, [], Restorations.settle_part

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def settle(self, mirror):
        had.append(turns)
        return settle_part(self, mirror)

    monkeypatch.setattr(Restorations, "settle_part", settle)
    task = asyncio.create_task(others())
    async with mirroring.open() as (store, catalogue):
        back = await mirroring.restoration(store, catalogue).rollback(first)
    task.cancel()
    assert (back.id, mirroring.natural()) == (first, before)
    assert [max(found) for found in parts] == [PART] * 3
    assert len(set(had)) == len(had) > MANY / PART


class KilledError(BaseException):
    """The process ends here."""


def kill(monkeypatch, owner, name, after):
    """Let the process end at a later call: what it would do then, to clean up, it does not do."""
    calls, is_dead, inner = 0, False, getattr(owner, name)

    def called(*given, **named):
        nonlocal calls, is_dead
        calls += 1
        is_dead |= calls > after
        if is_dead:
            raise KilledError
        return inner(*given, **named)

    async def dropped(*given):
        if not is_dead:
            await drop_unjournaled(*given)

    settle = Publisher.settle_restoration

    async def settled(self):
        if not is_dead:
            await settle(self)

    monkeypatch.setattr(owner, name, called)
    monkeypatch.setattr(restore, "drop_unjournaled", dropped)
    monkeypatch.setattr(Publisher, "settle_restoration", settled)


@pytest.mark.promise("P3", "P6")
@pytest.mark.parametrize(
    ("owner", "name", "after", "is_decided"),
    [
        (Restorations, "add", 3, False),
        (KeptCopies, "_copy", 12, False),
        (Restorations, "decide", 0, False),
        (Restorations, "settle_part", 5, True),
        (Publisher, "publish", 0, True),
    ],
)
async def test_a_rollback_that_is_cut_is_made_whole_or_not_at_all(two, monkeypatch, owner, name, after, is_decided):
    mirroring, first, before, second = two
    has = mirroring.natural()
    async with mirroring.open() as (store, catalogue):
        with monkeypatch.context() as patch:
            kill(patch, owner, name, after)
            with pytest.raises(KilledError):
                await mirroring.restoration(store, catalogue).rollback(first)
        assert catalogue.restorations.is_under_way(1) == (owner is not Publisher)
    async with mirroring.open() as (store, catalogue):
        await roll_forward(store, catalogue, mirroring.events.append, lambda _: mirroring.mirror.keep)
        assert catalogue.history.current_id(1) == (first if is_decided else second)
        assert not catalogue.restorations.is_under_way(1)
    assert mirroring.natural() == (before if is_decided else has)
    assert mirroring.check_sums(first if is_decided else second) == (True, "")
    await mirroring.run()
    assert mirroring.natural() == has, "the next pass follows upstream"
    assert not [file for file in (mirroring.store_folder / ".syncd/staged").rglob("*") if file.is_file()]


async def test_a_rollback_whose_bytes_are_damaged_leaves_nothing_behind(two):
    mirroring, first, _, second = two
    has = mirroring.natural()
    (mirroring.store_folder / f".syncd/versions/scenes/{first}/f0058").write_bytes(b"rot")
    async with mirroring.open() as (store, catalogue):
        with pytest.raises(Damaged, match="f0058: its kept bytes are damaged"):
            await mirroring.restoration(store, catalogue).rollback(first)
        assert not catalogue.restorations.is_under_way(1)
        assert catalogue.restorations.returning(1) == []
        assert catalogue.history.current_id(1) == second
    assert mirroring.natural() == has
    assert not [file for file in (mirroring.store_folder / ".syncd/staged").rglob("*") if file.is_file()]


@pytest.mark.fault(42)
def test_files_of_an_earlier_schema_are_upgraded_before_somebody_only_reads_them(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        one = catalogue.history.ensure_mirror("one", prefix="one/").id
        assert not catalogue.restorations.is_under_way(one)
        catalogue.files.of(one).do("DROP TRIGGER verdict_deleted")
        catalogue.files.of(one).do("ALTER TABLE entry DROP COLUMN first")
        for table in (
            "restoration",
            "restoring",
            "tag",
            "verdict",
            "first",
            "decision",
            "consent",
        ):  # of later versions than the first
            catalogue.files.of(one).do(f"DROP TABLE {table}")
        catalogue.files.of(one).connection.pragma("user_version", 1)
        catalogue.settings.set("mirror_version", "1")
    with Catalogue(tmp_path), Catalogue(tmp_path, read_only=True) as reader:
        assert reader.holdings.totals(one) == (0, 0)
        assert not reader.restorations.is_under_way(one)
