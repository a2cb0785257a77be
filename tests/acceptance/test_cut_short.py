"""What was cut short and goes on later: stagings that upstream has overtaken, rebuilds, places that were changed meanwhile."""

import asyncio
import random
import shutil

import msgspec
import pytest

from manifests.mirror import load_mirror
from syncd import restore
from syncd.alternating import Alternating
from syncd.config import Config
from syncd.errors import ConfigError, Offline, Unreachable
from syncd.mirror_pass import Pass
from syncd.retry import Policy, Retrying
from syncd.stores.staged_file import StagedFile
from syncd.workbench import opened
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive, Listing, break_after


def small(count=20):
    return {f"f{n:02}": b"x%d" % n for n in range(count)}


async def test_a_file_that_was_staged_whole_is_not_published_if_upstream_has_another_by_now(tmp_path, monkeypatch):
    first, second = random.Random(1).randbytes(9 << 20), random.Random(2).randbytes(9 << 20)
    mirroring = Mirroring(tmp_path, Archive({"big": first, "a": b"a"}))

    async def away(file, **how):
        raise Offline("store: does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "commit", away)
        with pytest.raises(Offline):
            await mirroring.run()
    mirroring.archive.files["big"] = second
    assert (await mirroring.run()).complete
    assert mirroring.natural()["big"] == second


async def test_a_file_that_was_staged_whole_and_is_still_the_same_costs_a_byte(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive({"big": random.Random(1).randbytes(9 << 20)}))

    async def away(file, **how):
        raise Offline("store: does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "commit", away)
        with pytest.raises(Offline):
            await mirroring.run()
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
    with pytest.raises(ConfigError, match="is elsewhere/ now, but its copy lies in scenes/: write store"):
        await mirroring.run()
    async with mirroring.open() as (store, _):
        assert (await mirroring.pointer(store)).prefix == "scenes/"


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
        patch.setattr(restore, "_fill", killed)
        with pytest.raises(ExceptionGroup):
            async with opened(config, {}, print, writing=True, stopping=asyncio.Event()):
                pass
    async with opened(config, {}, print, writing=True, stopping=asyncio.Event()) as bench:
        (row,) = bench.catalogue.history.mirrors()
        assert row.snapshot == snapshot
        assert bench.catalogue.holdings.totals(row.id)[0] == 20
        assert not restore.needs_rebuild(bench.catalogue)
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


async def test_an_approval_is_not_spent_by_a_pass_that_another_source_served(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive(small()))
    mirroring.mirror = load_mirror(
        "mirror: scenes\nsource: [{url: 'file:///archive/'}, {url: 'file:///other/'}]\nguard: {max_removed: 10%}\n",
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
            return await Pass(msgspec.structs.replace(work, source=Alternating(sources), others=(Listing(),))).run()

    async def down(*_, **__):
        raise Unreachable("down")
        yield

    await run()
    for n in range(5):
        del mirroring.archive.files[f"f{n:02}"]
    assert (await run()).parked == 5
    async with mirroring.open() as (_, catalogue):
        assert catalogue.history.approve(1) == 5
    with monkeypatch.context() as patch:
        patch.setattr(mirroring.archive, "list_pages", down)
        assert (await run()).removed == 0
    assert (await run()).removed == 5
