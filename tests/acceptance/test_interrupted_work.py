"""What was cut short and goes on later: stagings that upstream has overtaken, rebuilds, places that were changed meanwhile."""

import asyncio
import random
import shutil

import msgspec
import pytest

from manifests.model.mirror import load_mirror
from manifests.snapshot import is_cut
from manifests.stat import Stat
from syncd.config.load import Config
from syncd.core.errors import ConfigError, Offline, SyncdError, Unreachable
from syncd.engine import rebuild_catalogue
from syncd.engine.mirror_pass import Pass
from syncd.session.opening import open_session
from syncd.sources.multi_source import MultiSourceTransport
from syncd.stores.filesystem.staged_file import StagedFile
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive, Listing, break_after


def small(count=20):
    return {f"f{n:02}": b"x%d" % n for n in range(count)}


async def stage_whole(mirroring, monkeypatch):
    """Run a pass whose store goes away when all bytes of a file are there."""

    async def away(file, **how):
        raise Offline("store: does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "commit", away)
        with pytest.raises(Offline):
            await mirroring.run()


@pytest.mark.promise("P6")
@pytest.mark.fault(12)
async def test_a_file_that_was_staged_whole_is_not_published_if_upstream_has_another_by_now(tmp_path, monkeypatch):
    first, second = random.Random(1).randbytes(9 << 20), random.Random(2).randbytes(9 << 20)
    mirroring = Mirroring(tmp_path, Archive({"big": first, "a": b"a"}))
    await stage_whole(mirroring, monkeypatch)
    mirroring.archive.files["big"] = second
    assert (await mirroring.run()).complete
    assert mirroring.natural()["big"] == second


async def test_a_file_that_was_staged_whole_and_is_still_the_same_costs_a_byte(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive({"big": random.Random(1).randbytes(9 << 20)}))
    await stage_whole(mirroring, monkeypatch)
    mirroring.archive.sent = 0
    assert (await mirroring.run()).complete
    assert mirroring.archive.sent == 1
    assert mirroring.natural() == mirroring.archive.files


async def test_what_nobody_can_go_on_with_is_not_left_lying(tmp_path):
    archive = Archive({"big": random.Random(1).randbytes(9 << 20)}, versions=False, digests=("md5",))
    mirroring = Mirroring(tmp_path, archive)
    archive.faults = {"big": [break_after(5)] * 9}
    assert (await mirroring.run()).failed == 1
    assert list((mirroring.store_folder / ".syncd/tmp").glob("*.part")) == []


async def test_a_copy_is_not_said_to_lie_where_it_does_not(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(small()))
    await mirroring.run()
    place = mirroring.mirror.store.model_copy(update={"prefix": "elsewhere/"})
    mirroring.mirror = mirroring.mirror.model_copy(update={"store": place})
    with pytest.raises(ConfigError, match="is elsewhere/ now, but its copy is stored under scenes/: write store"):
        await mirroring.run()
    async with mirroring.open() as (store, _):
        assert (await mirroring.pointer(store)).prefix == "scenes/"


@pytest.mark.promise("P4")
@pytest.mark.fault(42)
async def test_a_rebuild_that_was_cut_short_is_done_again(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive(small()))
    await mirroring.run()
    mirroring.archive.files["f01"] = b"new"
    snapshot = (await mirroring.run()).snapshot
    shutil.rmtree(tmp_path / "state")
    config = Config.model_validate({"store": {"url": str(mirroring.store_folder)}, "state": str(tmp_path / "state")})

    async def killed(*_):
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(rebuild_catalogue, "_fill", killed)
        with pytest.raises(ExceptionGroup):
            async with open_session(config, {}, print, lease="held", stopping=asyncio.Event()):
                pass
    async with open_session(config, {}, print, lease="held", stopping=asyncio.Event()) as bench:
        (row,) = bench.catalogue.history.mirrors()
        assert row.snapshot == snapshot
        assert bench.catalogue.holdings.totals(row.id)[0] == 20
        assert not rebuild_catalogue.needs_rebuild(bench.catalogue)
    mirroring.archive.sent = 0
    assert (await mirroring.run()).complete
    assert mirroring.archive.sent == 0


class Below:
    """An archive whose paths are asked for as urls."""

    def __init__(self, archive):
        self.archive = archive

    def list(self, prefix=""):
        return self.archive.list(prefix)

    def list_pages(self, prefix="", after=""):
        return self.archive.list_pages(prefix, after)

    def open(self, path, **how):
        return self.archive.open(path.rpartition("/")[2], **how)

    async def stat(self, path):
        return await self.archive.stat(path.rpartition("/")[2])

    async def aclose(self):
        pass


@pytest.mark.promise("P5")
@pytest.mark.fault(31)
async def test_an_approval_is_not_spent_by_a_pass_that_another_source_served(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive(small()))
    mirroring.mirror = load_mirror(
        "mirror: scenes\nsource: [{url: 'file:///archive/', settle: 0s}, {url: 'file:///other/', settle: 0s}]\nguard: {max_removed: 10%}\n",
        "scenes.yaml",
    )
    other = Archive(dict(mirroring.archive.files))

    async def run():
        async with mirroring.open() as (store, catalogue):
            mirroring.now += 60
            sources = [
                (url, Retrying(Below(archive), Policy(attempts=1)))
                for url, archive in (("file:///archive/", mirroring.archive), ("file:///other/", other))
            ]
            work = mirroring.work(store, catalogue)
            return await Pass(
                msgspec.structs.replace(work, source=MultiSourceTransport(sources), others=(Listing(),))
            ).run()

    async def down(*_, **__):
        raise Unreachable("down")
        yield

    await run()
    for n in range(5):
        del mirroring.archive.files[f"f{n:02}"]
    assert (await run()).parked == 5
    async with mirroring.open() as (_, catalogue):
        assert catalogue.approvals.approve(1) == 5
    with monkeypatch.context() as patch:
        patch.setattr(mirroring.archive, "list_pages", down)
        assert (await run()).removed == 0
    assert (await run()).removed == 5


async def test_a_name_as_long_as_names_may_be_goes_to_the_quarantine_with_its_reason(tmp_path, monkeypatch):
    name = "n" * 250
    archive = Archive({name: b"data", "a": b"a"}, digests=("sha256",))
    claim = archive.claim

    def wrong(path: str, **_: object) -> Stat:
        return Stat(path, len(archive.files[path]), digests={"sha256": "0" * 64}) if path == name else claim(path)

    monkeypatch.setattr(archive, "claim", wrong)
    mirroring = Mirroring(tmp_path, archive)
    assert (await mirroring.run()).failed == 1
    async with mirroring.open() as (_, catalogue):
        (failure,) = catalogue.failures.files(1)
        assert (failure.error, failure.quarantined.endswith(name)) == ("Mismatch", True)
    aside = [path for path in (mirroring.store_folder / ".syncd/quarantine").rglob("*") if path.is_file()]
    assert sorted(path.read_bytes()[:4] for path in aside) == [b"data", b'{"pa']


async def test_content_that_comes_back_is_announced_with_the_origins_that_stay(tmp_path):
    cut = next(f"a{n:06}" for n in range(10**6) if is_cut(f"a{n:06}"))
    files = {cut: b"cut", "a-first": b"z", **{f"b{n:02}": b"b%d" % n for n in range(20)}}
    mirroring = Mirroring(tmp_path, Archive(files), versions=3)
    snapshots = []
    for path, content in (
        ("b00", b"b0"),
        ("b01", b"1"),
        ("a-first", b"y"),
        ("a-first", b"w"),
        ("a-first", b"z"),
        ("a-first", b"v"),
    ):
        mirroring.archive.files[path] = content
        snapshots.append((await mirroring.run()).snapshot)
    assert snapshots[1] == snapshots[4] != snapshots[5]
    for file in (tmp_path / "state").glob("catalogue.sqlite*"):
        file.unlink()
    async with mirroring.open() as (store, catalogue):
        assert [row.snapshot for row in await rebuild_catalogue.rebuild(store, catalogue)] == [snapshots[5]]


@pytest.mark.promise("P2")
@pytest.mark.parametrize("is_upstream_ill", [False, True])
async def test_a_file_that_a_killed_pass_stored_and_upstream_lost_since_leaves_the_tree(tmp_path, is_upstream_ill):
    mirroring = Mirroring(tmp_path, Archive(small()))
    await mirroring.run()
    async with mirroring.open() as (_, catalogue):  # as a process leaves it that is killed after a file was stored
        catalogue.history.finish(1, succeeded=None, last={"state": "running"})
    for name in ("stray", "folder/new"):
        place = mirroring.store_folder / "scenes" / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(name.encode())
    mirroring.archive.files["folder/new"] = b"folder/new"
    if is_upstream_ill:  # the pass after the kill does not come so far
        mirroring.archive.files, kept = {}, mirroring.archive.files
        with pytest.raises(SyncdError):
            await mirroring.run()
        mirroring.archive.files = kept
    assert (await mirroring.run()).complete
    assert mirroring.natural() == small() | {"folder/new": b"folder/new"}
    quarantine = mirroring.store_folder / ".syncd" / "quarantine" / "scenes"
    (reason,) = quarantine.rglob("stray.reason.json")
    assert "a pass that was interrupted" in reason.read_text()
    assert reason.with_name("stray").read_bytes() == b"stray"
    async with mirroring.open() as (_, catalogue):
        assert not catalogue.settings.get("recovering:scenes")
