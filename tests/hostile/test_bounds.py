"""What upstream sends is bounded: bodies and listings without end, and bytes that never match what was promised."""

from dataclasses import dataclass

import msgspec
import pytest

from manifests.model import load_mirror
from syncd.catalogue import Catalogue
from syncd.catalogue.deferred_files import FACTOR, FIRST, MOST, fingerprint
from syncd.core import TooLarge, TransferFailed
from syncd.engine import pass_transfers, survey_scope
from syncd.engine.build_plan import list_upstream
from syncd.engine.quarantine_bounds import quarantine_limit
from syncd.engine.write_document import PIECE, write_document
from syncd.stores.filesystem.staged_file import ENDLESS
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.listed_site import Listed, ListedSite, SiteFile
from tests.hostile import faults as f
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring, sums

MIRROR = """
mirror: scenes
source: {{url: '{url}', reader: {reader}, limits: {{{limits}}}{more}}}
"""
pytestmark = pytest.mark.promise("P9")


@dataclass(frozen=True)
class EndlessChunks(f.Fault):
    """A body in chunks, without a size and without an end, whatever range is requested."""

    async def play(self, exchange: f.Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        exchange.close()
        while not exchange.reader.at_eof() and not exchange.writer.is_closing():
            await exchange.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def bounded(mirroring, limits, reader="checksums"):
    lists = ", checksums: [SHA256SUMS]" if reader == "checksums" else ""
    text = MIRROR.format(url=mirroring.server.url(), reader=reader, limits=limits, more=lists)
    mirroring.mirror = load_mirror(text, "scenes.yaml")
    return mirroring


def quarantined(mirroring):
    folder = mirroring.store_folder / ".syncd/quarantine"
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".reason.json"))


@pytest.mark.fault(6)
async def test_a_body_without_end_stops_at_max_file_and_costs_only_itself(tmp_path):
    files = {"a": b"a", "endless": b"x", "z": b"z"}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        server.fault("endless", EndlessChunks(), times=None)
        mirroring = bounded(HttpMirroring(tmp_path, server, reader="checksums"), "max_file: 12 MiB")
        result = await mirroring.run()
        assert (result.fetched, result.failed, result.complete) == (3, 1, False)
        reason = (await mirroring.reasons())["endless"]
        assert (reason.error, reason.quarantined) == ("TooLarge", ""), reason
        assert "max_file" in reason.reason
        assert not list((mirroring.store_folder / ".syncd/tmp").glob("*"))
        await mirroring.close()


async def test_a_file_announced_larger_than_max_file_is_not_downloaded(tmp_path):
    files = {"a": b"a", "large": bytes(5 << 20)}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = bounded(HttpMirroring(tmp_path, server, reader="checksums"), "max_file: 4 MiB")
        assert (await mirroring.run()).failed == 1
        assert (await mirroring.reasons())["large"].error == "TooLarge"
        await mirroring.close()


async def test_a_file_listed_larger_than_max_file_takes_no_room_from_the_others(tmp_path):
    """The default is 1 TiB; a listing can claim more than any disk has."""
    site = ListedSite({"a": SiteFile(b"a"), "large": SiteFile(b"x", listed_size=2 << 40)})
    listed = Listed(tmp_path, site)
    async with listed.serving():
        result = await listed.run()
        assert (result.fetched, result.failed, listed.natural()) == (1, 1, {"a": b"a"})
        assert [event.error for event in listed.events if isinstance(event, TransferFailed)] == ["TooLarge"]


async def test_a_body_without_end_leaves_the_space_that_is_kept_free(tmp_path):
    store = FilesystemStore(tmp_path)
    free = await store.free()
    assert free is not None
    await store.aclose()
    store = FilesystemStore(tmp_path, keep_free=free)
    async with store.stage("known", size=4) as file:  # a known size was judged before the first byte
        await file.write(0, b"four")
    for path in ("endless", ".syncd/staged/m/1/endless", ".syncd/snapshots/of-upstream"):
        with pytest.raises(TooLarge, match="no size was announced"):
            async with store.stage(path, size=None) as file:
                await file.write(0, b"x")
    await write_document(store, ".syncd/snapshots/m/1/SHA256SUMS", [bytes(PIECE)] * 3)  # a record of syncd itself
    await store.aclose()
    store = FilesystemStore(tmp_path, keep_free=0)
    async with store.stage("endless", size=None) as file:
        await file.write(0, bytes(ENDLESS))
        await file.write(ENDLESS, b"more")
    await store.aclose()


@pytest.mark.parametrize("reader", ["checksums", "autoindex"])
async def test_a_listing_without_end_is_incomplete_and_deletes_nothing(tmp_path, reader):
    files = {f"f{number:02}": b"x" for number in range(20)}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = bounded(HttpMirroring(tmp_path, server, reader=reader), "max_files: 100", reader)
        assert (await mirroring.run()).complete
        for name in list(files)[10:]:
            server.remove(name)
            del files[name]
        server.put("SHA256SUMS", sums(files))
        bounded(mirroring, "max_files: 5", reader)
        result = await mirroring.run()
        assert not result.complete
        assert result.removed == 0
        assert "max_files" in str(mirroring.events)
        await mirroring.close()


async def test_a_listing_that_fills_the_catalogue_is_incomplete(tmp_path, monkeypatch):
    files = {f"{number:05}-{'x' * 180}": b"x" for number in range(6000)}
    async with HostileServer({"SHA256SUMS": sums(files)}) as server:
        mirroring = bounded(HttpMirroring(tmp_path, server, reader="checksums"), "max_files: 100000")
        monkeypatch.setattr(survey_scope, "MAX_GROWTH", 200_000)
        async with mirroring.open() as (store, catalogue):
            context = mirroring.work(store, catalogue)
            row = catalogue.history.ensure_declared(mirroring.mirror)
            inventory, _ = await list_upstream(context, row)
            assert 0 < inventory.files < 6000
        assert not inventory.complete
        assert "GiB in the Catalogue" in str(inventory.failed)
        await mirroring.close()


async def test_bytes_that_never_match_are_requested_more_and_more_rarely(tmp_path):
    files = {"a": b"a", "bad": b"promised"}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        requests, waits = [], [FIRST * FACTOR**n for n in range(3)]
        for number in range(9):
            server.put("bad", b"other %d" % number)
            before = len(server.requests)
            result = await mirroring.run()
            assert (result.failed, result.complete) == (1, False)
            requests.append(any(one.path == "bad" for one in server.requests[before:]))
            if number and number % 2 == 0 and waits:
                mirroring.now += waits.pop(0)
        assert requests == [True, True, False, True, False, True, False, True, False]
        assert "requested again after" in (await mirroring.reasons())["bad"].reason
        assert len(quarantined(mirroring)) == 3  # of one path at most so many contents
        server.put("bad", b"promised")
        mirroring.now += MOST
        assert (await mirroring.run()).complete
        async with mirroring.open() as (_, catalogue):
            assert not catalogue.deferred.any(1)
        await mirroring.close()


async def test_a_new_claim_is_requested_at_once(tmp_path):
    files = {"bad": b"promised"}
    async with HostileServer({"bad": b"other", "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        assert (await mirroring.run()).failed == 1
        server.put("SHA256SUMS", sums({"bad": b"other"}))
        assert (await mirroring.run()).complete
        await mirroring.close()


async def test_the_quarantine_holds_one_copy_of_the_same_bytes(tmp_path):
    files = {"bad": b"promised"}
    async with HostileServer({"bad": b"other", "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        for _ in range(3):
            assert (await mirroring.run()).failed == 1
            mirroring.now += MOST
        (copy,) = quarantined(mirroring)
        failure = (await mirroring.reasons())["bad"]
        assert mirroring.store_folder / failure.quarantined == copy
        assert copy.with_name("bad.reason.json").is_file()
        async with mirroring.open() as (_, catalogue):
            assert [one.place for one in catalogue.pass_history.quarantined(1, 10)] == [failure.quarantined]
        await mirroring.close()


async def test_the_room_of_the_quarantine_is_measured_only_when_a_file_fails_verification(tmp_path, monkeypatch):
    asked = []

    async def measured(*given):
        asked.append(given)
        return await quarantine_limit(*given)

    monkeypatch.setattr(pass_transfers, "quarantine_limit", measured)
    async with HostileServer({"good": b"good", "SHA256SUMS": sums({"good": b"good"})}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        assert (await mirroring.run()).complete
        assert asked == []
        bad = {"bad": b"promised", "worse": b"promised"}
        for path in bad:
            server.put(path, b"other")
        server.put("SHA256SUMS", sums({"good": b"good", **bad}))
        assert (await mirroring.run()).failed == 2
        assert len(asked) == 1
        await mirroring.close()


async def test_the_quarantine_takes_no_more_than_its_share(tmp_path):
    files = {f"bad{number}": b"promised" for number in range(9)}
    served = {name: name.encode() * 1000 for name in files}
    async with HostileServer({**served, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        work, free = mirroring.work, 100_000

        def small(store, catalogue, stopping=None):
            async def left():
                return free

            store.free = left
            return msgspec.structs.replace(work(store, catalogue, stopping), quarantine_share=0.2)

        mirroring.work = small
        assert (await mirroring.run()).failed == 9
        assert sum(copy.stat().st_size for copy in quarantined(mirroring)) <= 20_000
        assert quarantined(mirroring)
        reasons = await mirroring.reasons()
        assert sum("the quarantine is full" in one.reason for one in reasons.values()) == 9 - len(
            quarantined(mirroring)
        )
        await mirroring.close()


def test_deferred_files_survive_a_restart(tmp_path):
    from manifests.stat import Stat

    stat = Stat("a", 5, 1.0, '"v"', {"sha256": "0" * 64})
    with Catalogue(tmp_path) as catalogue:
        catalogue.history.ensure_mirror("m", prefix="m/")
        due = [catalogue.deferred.failed(1, stat, "Mismatch", "why", "", 0.0) for _ in range(12)]
    assert due[:4] == [0, FIRST, FIRST * FACTOR, FIRST * FACTOR**2]
    assert due[-1] == MOST
    with Catalogue(tmp_path) as catalogue:
        known = catalogue.deferred.get(1, stat)
        assert known is not None
        assert (known.tries, known.claim) == (12, fingerprint(stat))
        assert catalogue.deferred.get(1, Stat("a", 6, 1.0, '"v"', {"sha256": "0" * 64})) is None
