"""The public side gives the bytes of a snapshot, or none: whatever is published, moved, removed or away meanwhile."""

import asyncio
import base64
import hashlib
import random
from urllib.parse import quote

import pytest

from syncd.face import send_file
from tests.acceptance.mirroring import BucketMirroring
from tests.acceptance.public_side import OPEN, PublicSide
from tests.fakes import Archive

FILES = {
    "big.bin": random.Random(1).randbytes(3 << 20),
    "day/数据 1.txt": b"hello",
    "day/a b+c%41#?&.txt": b"odd",
    "empty": b"",
    "page.html": b"<script>alert(1)</script>",
    "scene.tif": random.Random(2).randbytes(100_000),
}


@pytest.fixture(params=["folder", "bucket"])
def side(request, tmp_path):
    archive = Archive(FILES, digests=("sha256",))
    if request.param == "folder":
        return PublicSide(tmp_path, archive)
    server = request.getfixturevalue("swift")
    return PublicSide(tmp_path, archive, mirroring=BucketMirroring(tmp_path, archive, server, guard="100%"))


@pytest.fixture
def folder_side(tmp_path):
    return PublicSide(tmp_path, Archive(FILES, digests=("sha256",)))


def at(snapshot, path=""):
    return f"/mirrors/scenes/snapshots/{snapshot}/files/{path}"


async def test_a_file_is_sent_with_its_checksum_and_a_range_with_that_of_the_whole(side):
    snapshot = await side.run()
    async with side.serving():
        for path, content in FILES.items():
            whole = await side.get(at(snapshot, quote(path)))
            digest = hashlib.sha256(content).digest()
            assert (whole.status, whole.body) == (200, content)
            assert whole.headers["etag"] == f'"{digest.hex()}"'
            assert whole.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
            assert whole.headers["accept-ranges"] == "bytes"
            assert "content-encoding" not in whole.headers
        part = await side.get(at(snapshot, "big.bin"), Range="bytes=1000000-2000000")
        assert (part.status, part.body) == (206, FILES["big.bin"][1_000_000:2_000_001])
        assert part.headers["content-range"] == f"bytes 1000000-2000000/{3 << 20}"
        digest = hashlib.sha256(FILES["big.bin"]).digest()
        assert part.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
        head = await side.get(at(snapshot, "big.bin"), method="HEAD", Range="bytes=0-1")
        assert (head.status, head.headers["content-length"], head.body) == (200, str(3 << 20), b"")
        same = await side.get(at(snapshot, "big.bin"), If_None_Match=f'"{digest.hex()}"')
        assert (same.status, same.body) == (304, b"")
        other = await side.get(at(snapshot, "big.bin"), Range="bytes=5-", If_Range='"other"')
        assert (other.status, other.body) == (200, FILES["big.bin"])
        beyond = await side.get(at(snapshot, "scene.tif"), Range="bytes=100000-")
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */100000")


async def test_each_snapshot_keeps_its_own_bytes_after_replacement_and_removal(side):
    first = await side.run()
    side.archive.files["scene.tif"] = b"another scene"
    del side.archive.files["page.html"]
    side.archive.files["new.txt"] = b"new"
    second = await side.run()
    async with side.serving():
        assert (await side.get(at(first, "scene.tif"))).body == FILES["scene.tif"]
        assert (await side.get(at(second, "scene.tif"))).body == b"another scene"
        assert (await side.get(at(first, "page.html"))).body == FILES["page.html"]
        assert (await side.get(at(second, "page.html"))).status == 404
        assert (await side.get(at(first, "new.txt"))).status == 404
        assert (await side.get(at(second, "new.txt"))).body == b"new"
        listed = {one["name"] for one in (await side.get(at(first), Accept="application/json")).json()}
        assert "page.html" in listed
        assert "new.txt" not in listed


async def test_a_snapshot_that_is_not_kept_any_more_is_gone_and_an_invented_one_not_found(folder_side):
    side = folder_side
    first = await side.run()
    for number in range(4):
        side.archive.files["scene.tif"] = b"%d" % number
        last = await side.run()
    async with side.serving():
        assert (await side.get(at(first, "scene.tif"))).status == 404  # no pass was recorded under this id
        async with side.mirroring.open() as (_, catalogue):
            oldest = catalogue.history.snapshots(1)[-1]
        assert (await side.get(at(oldest.previous, "scene.tif"))).status == 410
        assert (await side.get(at("0" * 64, "scene.tif"))).status == 404
        assert (await side.get(at(last[:12], "scene.tif"))).headers["location"] == (
            f"https://data.example.org{at(last, 'scene.tif')}"
        )


@pytest.mark.promise("P4")
async def test_no_reader_ever_gets_the_bytes_of_two_versions(folder_side):
    side, chance = folder_side, random.Random(3)
    versions = {}

    def change(number):
        for path in ("big.bin", "scene.tif", "day/x.txt"):
            side.archive.files[path] = chance.randbytes(len(FILES.get(path, b"12345")))
        if number % 3 == 0:
            side.archive.files.pop("page.html", None)
        else:
            side.archive.files["page.html"] = b"%d" % number

    async def publish():
        change(len(versions))
        snapshot = await side.run()
        versions[snapshot] = dict(side.archive.files)

    async def read(answers):
        while not over.is_set():
            snapshot = chance.choice(list(versions)[-3:])
            path = chance.choice(["big.bin", "scene.tif", "page.html", "day/x.txt"])
            content = versions[snapshot].get(path)
            start = chance.choice([0, 0, 2])
            etag = hashlib.sha256(content or b"").hexdigest()
            given = await side.get(at(snapshot, path), Range=f"bytes={start}-", If_Range=f'"{etag}"')
            answers.append(given.status)
            if content is None:
                assert given.status in {404, 410}
            elif given.status not in {410, 404, 416}:
                assert given.status == 206, (given.status, path, given.body[:100])
                assert given.body == content[start:]
            if given.status == 404 and content is not None:
                assert snapshot not in list(versions)[-2:]  # its time was over

    over, answers = asyncio.Event(), []
    await publish()
    async with side.serving(), asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(read(answers))
        for _ in range(12):
            await publish()
        over.set()
    assert answers.count(206) > 100


async def test_a_private_mirror_is_answered_as_one_that_does_not_exist(tmp_path):
    side = PublicSide(tmp_path, Archive(FILES), publish="")
    snapshot = await side.run()
    async with side.serving():
        for tail in ("/", "/latest/", f"/snapshots/{snapshot}/files/scene.tif", "/head.json"):
            private = await side.get(f"/mirrors/scenes{tail}")
            absent = await side.get(f"/mirrors/absent{tail}")
            private.headers.pop("date"), absent.headers.pop("date")
            assert (private.status, private.headers, private.body) == (404, absent.headers, absent.body)


async def test_a_mirror_that_is_not_open_gives_its_bytes_to_no_stranger(tmp_path):
    side = PublicSide(tmp_path, Archive(FILES), publish=OPEN.replace("access: open", "access: registered"))
    snapshot = await side.run()
    async with side.serving():
        assert (await side.get(at(snapshot))).status == 200
        given = await side.get(at(snapshot, "scene.tif"))
        assert (given.status, given.headers["www-authenticate"]) == (401, 'Bearer realm="syncd"')
        assert "access-control-allow-origin" not in given.headers


async def test_nothing_is_answered_short_while_store_or_catalogue_is_away(folder_side, monkeypatch):
    side = folder_side
    snapshot = await side.run()
    monkeypatch.setattr("syncd.face.public_mirrors.STORE_EVERY", 0.0)
    monkeypatch.setattr("syncd.face.public_mirrors.LOOK", 0.0)
    store, state = side.folder / "store", side.folder / "state"
    async with side.serving():
        for there in (store, state):
            away = there.rename(there.with_name("away"))
            for path in (at(snapshot), at(snapshot, "scene.tif"), "/mirrors/absent/", "/health"):
                answer = await side.get(path)
                assert (answer.status, answer.headers["retry-after"]) == (503, "15"), path
            away.rename(there)
            assert (await side.get(at(snapshot, "scene.tif"))).body == FILES["scene.tif"]
        assert side.bugs
        side.bugs.clear()
        async with side.mirroring.open() as (_, catalogue):
            catalogue.settings.set("rebuilding", "yes")
        assert (await side.get(at(snapshot))).status == 503


async def test_a_damaged_file_is_not_sent_for_the_one_that_it_was(folder_side):
    side = folder_side
    snapshot = await side.run()
    (side.folder / "store/scenes/page.html").write_bytes(b"<script>alert(2)</script>")  # of the same size
    (side.folder / "store/scenes/scene.tif").write_bytes(b"short")
    async with side.serving():
        assert (await side.get(at(snapshot, "page.html"))).status == 503
        assert (await side.get(at(snapshot, "scene.tif"))).status == 503
        assert len(side.bugs) == 2
        side.bugs.clear()


async def test_a_folder_is_listed_in_pages_for_people_and_for_programs(folder_side, monkeypatch):
    side = folder_side
    monkeypatch.setattr("syncd.face.folder_index.ROWS", 2)
    side.archive.files.update({"day/http:x": b"1", 'day/<b>"&.txt': b"2", "day/sub/x": b"3", "day/sub/y": b"4"})
    snapshot = await side.run()
    async with side.serving():
        names, path = [], at(snapshot, "day/")
        while path:
            answer = await side.get(path, Accept="application/json")
            names += [one["name"] for one in answer.json()]
            path = answer.headers.get("link", "").partition(";")[0].strip("<>").removeprefix("https://data.example.org")
        assert names == sorted(['<b>"&.txt', "a b+c%41#?&.txt", "http:x", "sub", "数据 1.txt"])
        page = (await side.get(at(snapshot, "day/"))).body.decode()
        assert "./%3Cb%3E%22&amp;.txt" in page or "./%3Cb%3E%22&.txt" in page
        assert "<b>" not in page
        assert 'rel="next"' in page
        assert (await side.get(at(snapshot, "nowhere/"))).status == 404
        assert (await side.get(at(snapshot, "day"))).headers["location"].endswith("/files/day/")


async def test_the_files_of_a_hostile_upstream_cannot_run_in_our_origin(folder_side):
    side = folder_side
    snapshot = await side.run()
    async with side.serving():
        given = await side.get(at(snapshot, "page.html"))
        assert given.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert given.headers["x-content-type-options"] == "nosniff"
        assert given.headers["content-disposition"].startswith("attachment;")


async def test_no_answer_depends_on_the_host_that_a_request_names(folder_side):
    side = folder_side
    snapshot = await side.run()
    async with side.serving():
        for path in ("/mirrors/scenes/latest/x", f"//evil.example/{at(snapshot)}", at(snapshot)[:-1]):
            answer = await side.get(path)
            assert "evil.example" not in answer.headers.get("location", "")
            assert answer.status in {302, 404}
        found = await side.get("/mirrors/scenes/latest/scene.tif")
        assert (found.status, found.headers["cache-control"]) == (302, "no-store")
        assert found.headers["location"] == f"https://data.example.org{at(snapshot, 'scene.tif')}"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /mirrors/scenes/snapshots/../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /mirrors/scenes/latest/%2e%2e/%2e%2e/.syncd/lease.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /mirrors/scenes/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_no_honest_client_sends_is_refused(folder_side, raw):
    await folder_side.run()
    async with folder_side.serving():
        answer = await folder_side.exchange(raw)
        first = answer.split(b"\r\n", 1)[0]
        assert first[9:12] in {b"302", b"400", b"404", b"405", b"431", b"414"}, first
        assert answer.count(b"HTTP/1.1 ") <= 1
        assert b"root:" not in answer
        assert (await folder_side.get("/health")).status == 200


async def test_a_reader_that_takes_nothing_is_cut_off(folder_side, monkeypatch):
    side = folder_side
    side.archive.files["huge.bin"] = bytes(64 << 20)
    snapshot = await side.run()
    monkeypatch.setattr(send_file, "PATIENCE", 0.3)
    async with side.serving():
        _, writer = await asyncio.open_connection("127.0.0.1", side.port, limit=1 << 10)
        writer.write(f"GET {at(snapshot, 'huge.bin')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0)
        async with asyncio.timeout(120):
            while not side.served:
                await asyncio.sleep(0.05)
        assert side.served[0].status == 499
        writer.close()
        assert (await side.get("/health")).status == 200


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path):
    side = PublicSide(tmp_path, Archive(FILES))
    text = (tmp_path / "syncd.yaml").read_text().replace("requests: 10000/s", "requests: 2/s")
    (tmp_path / "syncd.yaml").write_text(text)
    await side.run()
    async with side.serving():
        answers = [await side.get("/health") for _ in range(6)]
        assert [one.status for one in answers].count(429) >= 1
        assert answers[-1].headers["retry-after"] == "1"


async def test_each_answer_is_reported_once_for_the_usage_log(folder_side):
    side = folder_side
    snapshot = await side.run()
    async with side.serving():
        await side.get(at(snapshot, "scene.tif"), Range="bytes=10-19", User_Agent="curl/8")
    (served,) = side.served
    assert (served.mirror, served.snapshot, served.path) == ("scenes", snapshot, "scene.tif")
    assert (served.status, served.sent, served.start, served.stop, served.size) == (206, 10, 10, 20, 100_000)
    assert (served.agent, served.address, served.door) == ("curl/8", "127.0.0.1", "http")
