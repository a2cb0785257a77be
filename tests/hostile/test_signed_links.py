"""Links that a catalogue signs for a while, and that end while files wait for their turn."""

import hashlib
import json
import random
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs

from syncd.core import Denied, DocumentFailed, TransferFailed, TransferRestarted, is_signed
from syncd.engine import signed_links
from syncd.engine.mirror_pass import Pass
from syncd.wrappers.governed_transport import GovernedTransport
from tests.hostile import faults as f
from tests.hostile.http_case import hostile, read
from tests.hostile.server import HostileServer
from tests.hostile.test_pass_faults import HttpMirroring
from tests.hostile.test_workers import pool

SECRET = "Zm9vYmFyc2VjcmV0"
CHANCE = random.Random(11)


class Signing(HttpMirroring):
    """A mirror of a STAC catalogue, with two requests at a time."""

    def __init__(self, folder, server):
        super().__init__(folder, server, reader="stac")

    def work(self, store, catalogue, stopping=None):
        context = super().work(store, catalogue, stopping)
        governed = context.source.inner
        governed.governor.tighten(2, None)
        assert isinstance(governed, GovernedTransport)
        return context


class Catalogue:
    """A STAC search whose links are signed; a signature ends after so many files were served with it."""

    def __init__(self, server, files, *, lives=10, status=403):
        self.server, self.files, self.lives, self.status = server, files, lives, status
        self.signature = self.served = self.asked = 0
        self.refused = set()
        server.fault(None, f.Instead(self.answer), times=None, when=lambda request: True)

    def answer(self, request, answer):
        name = request.path.removeprefix("blob/")
        if name not in self.files:
            return self.search()
        signature = parse_qs(urlsplit(request.target).query)["sig"][0]
        if signature != f"{SECRET}{self.signature}" or name in self.refused:
            return f.Answer(self.status, [("Content-Type", "application/xml")], b"<Error><Code>Expired</Code></Error>")
        self.served += 1
        if self.served % self.lives == 0:
            self.signature += 1
        body = self.files[name]
        if "range" in request.headers:
            first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1, len(body))
            return f.Answer(
                206, [("ETag", '"e"'), ("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")], body[start:stop]
            )
        return f.Answer(200, [("ETag", '"e"')], body)

    def search(self):
        self.asked += 1
        features = [
            {
                "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "c", "geometry": None,
                "properties": {"datetime": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z"}, "links": [],
                "assets": {"data": {
                    "href": f"{self.server.url('blob/' + name)}?se=2026&sig={SECRET}{self.signature}",
                    "file:size": len(body), "file:checksum": "1220" + hashlib.sha256(body).hexdigest(),
                }},
            }
            for name, body in self.files.items()
        ]  # fmt: skip
        page = {"type": "FeatureCollection", "features": features, "links": []}
        return f.Answer(200, [("Content-Type", "application/geo+json")], json.dumps(page).encode())


def small(count):
    return {f"{n:03}.tif": CHANCE.randbytes(2000) for n in range(count)}


@pytest.mark.parametrize("status", [400, 401, 403, 410])
async def test_links_that_end_while_files_wait_are_asked_for_again_in_the_same_pass(tmp_path, monkeypatch, status):
    monkeypatch.setattr(signed_links, "PAUSE", 0.0)
    files = small(60)
    async with HostileServer() as server:
        catalogue = Catalogue(server, files, lives=20, status=status)
        mirroring = Signing(tmp_path, server)
        result = await mirroring.run()
        await mirroring.close()
    assert (result.fetched, result.failed, result.complete) == (60, 0, True)
    assert sorted(mirroring.natural().values()) == sorted(files.values())
    assert 2 <= catalogue.asked <= 5, "once for all files that waited"
    refused = [one for one in server.requests if one.path.startswith("blob/")]
    assert len(refused) < 100, "most waiting files never use their old links"


async def test_links_that_end_while_files_wait_in_worker_processes_are_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(signed_links, "PAUSE", 0.0)
    monkeypatch.setattr("syncd.engine.pass_transfers.WORTH", 10)
    files = small(120)
    async with HostileServer() as server:
        catalogue = Catalogue(server, files, lives=50)
        mirroring = Signing(tmp_path, server)
        async with mirroring.open() as (store, catalogued):
            workers = pool(server, store.root, [])
            result = await Pass(structs.replace(mirroring.work(store, catalogued), pool=workers)).run()
        await mirroring.close()
    assert (result.fetched, result.failed, result.complete) == (120, 0, True)
    assert sorted(mirroring.natural().values()) == sorted(files.values())
    assert 2 <= catalogue.asked <= 6


async def test_a_large_file_whose_link_ends_within_it_goes_on_with_a_fresh_one(tmp_path, monkeypatch):
    monkeypatch.setattr(signed_links, "PAUSE", 0.0)
    files = {"large.tif": CHANCE.randbytes(30 << 20)}
    async with HostileServer() as server:
        Catalogue(server, files, lives=3)
        mirroring = Signing(tmp_path, server)
        result = await mirroring.run()
        await mirroring.close()
    assert (result.fetched, result.failed) == (1, 0)
    assert list(mirroring.natural().values()) == list(files.values())
    sent = sum(
        int(stop) - int(start) + 1
        for request in server.requests
        if (start := request.headers.get("range", "").removeprefix("bytes=").partition("-")[0])
        and (stop := request.headers["range"].partition("-")[2])
    )
    assert sent < 2 * (30 << 20), "the bytes that had arrived are kept"


async def test_a_link_that_is_refused_for_another_reason_costs_one_request_and_its_reason_names_no_credential(tmp_path):
    files = small(12)
    async with HostileServer() as server:
        catalogue = Catalogue(server, files, lives=1000)
        catalogue.refused = set(list(files)[:6])
        mirroring = Signing(tmp_path, server)
        result = await mirroring.run()
        reasons = await mirroring.reasons()
        await mirroring.close()
    assert (result.fetched, result.failed) == (6, 6)
    assert catalogue.asked <= 3
    assert all("signed link" in one.reason and "credential" not in one.reason for one in reasons.values())


async def test_no_signature_of_a_link_is_written_anywhere(tmp_path):
    files = small(6)
    async with HostileServer() as server:
        catalogue = Catalogue(server, files, lives=2)
        catalogue.refused = {"000.tif"}
        mirroring = Signing(tmp_path, server)
        await mirroring.run()
        reasons = await mirroring.reasons()
        await mirroring.close()
    heard = [
        str(event)
        for event in mirroring.events
        if isinstance(event, DocumentFailed | TransferFailed | TransferRestarted)
    ]
    assert heard
    assert not [text for text in heard if SECRET in text]
    assert not [one for one in reasons.values() if SECRET in one.reason]
    written = [path for path in mirroring.store_folder.rglob("*") if path.is_file()]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260101T000000Z&X-Amz-Expires=600&X-Amz-Signature=ab",
        "se=2026-01-01T00%3A00%3A00Z&sp=r&sv=2022-11-02&sr=b&sig=ab%3D",
        "X-Goog-Algorithm=x&X-Goog-Signature=00ff",
        "Expires=1&Signature=s&Key-Pair-Id=k",
        "token=abc",
        "expires=1700000000&hash=abc",
    ],
)
def test_signed_links_are_recognised(query):
    assert is_signed(f"https://h/x?{query}")
    assert is_signed(f"https://h/x?id=1&{query}")


@pytest.mark.parametrize(
    "url", ["https://h/x", "https://h/x?id=7", "https://h/sig=1", "https://h/x?format=json&page=2"]
)
def test_other_links_are_not(url):
    assert not is_signed(url)


async def test_the_hint_names_the_link_where_no_credential_belongs_to_its_origin():
    async with hostile() as (server, transport):
        server.fault("x", f.Status(403), times=None)
        with pytest.raises(Denied, match="a signed link: it has ended") as caught:
            await read(transport, server.url("x") + f"?sig={SECRET}")
        assert SECRET not in str(caught.value)
        with pytest.raises(Denied, match="name one under credentials"):
            await read(transport, "x")
