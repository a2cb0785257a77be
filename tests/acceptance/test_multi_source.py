"""Several sources of one mirror, tried by the real command line: what one has wrong, or not at all, another has."""

import asyncio
import gzip
import hashlib
import json
import random

import pytest

from tests.acceptance.cli import SYNCD, tree
from tests.hostile.faults import Status, Truncate
from tests.hostile.server import HostileServer

BIG = bytes(range(256)) * 40_000  # 10 MB: several ranges
FILES = {
    "big.bin": BIG,
    "gone": b"gone at the first",
    "ill": b"the first is ill",
    "wrong": b"wrong at the first",
    "good": b"good",
}
SUMS = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in FILES.items()).encode()


def source(server, **more):
    return {"url": server.url(), "reader": "checksums", "checksums": ["SHA256SUMS"], **more}


async def sync(tmp_path, servers, sources, *, wanted=0, **more):
    """Return what a pass printed: its result, and all its lines."""
    (tmp_path / "m.yaml").write_text(json.dumps({"mirror": "m", "source": sources, **more}))
    allow = [word for server in servers for word in ("--allow-private", server.origin)]
    process = await asyncio.create_subprocess_exec(
        SYNCD, "sync", str(tmp_path / "m.yaml"), "--store", str(tmp_path / "store"), "--state", str(tmp_path / "state"),
        "--json", *allow, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == wanted, (out + err).decode()
    assert b"Traceback" not in err
    return json.loads(out.splitlines()[-1]), (out + err).decode()


def origins_of(tmp_path):
    """Return by path where the files came from, as the store keeps it."""
    found = {}
    for shard in (tmp_path / "store" / ".syncd").rglob("*.gz"):
        for line in gzip.decompress(shard.read_bytes()).splitlines():
            row = json.loads(line)
            if "url" in row:
                found[row["path"]] = (row["url"], row["verdict"], row.get("by", ""))
    return found


@pytest.mark.fault(34)
async def test_what_one_source_lacks_or_has_wrong_is_taken_from_the_next_and_we_know_whence(tmp_path):
    first = {**FILES, "SHA256SUMS": SUMS, "wrong": b"WRONG AT THE FIRST"}
    del first["gone"]
    async with HostileServer(first) as a, HostileServer(FILES) as b:
        a.fault("ill", Status(500), times=None)
        a.fault("big.bin", Truncate(after=5_000_000), times=None, when=lambda request: request.method == "GET")
        done, _ = await sync(tmp_path, (a, b), [source(a), {"url": b.url(), "reader": "autoindex"}])
        assert (done["complete"], done["fetched"], done["failed"]) == (True, len(FILES) + 1, 0)
        assert {path: content for path, content in tree(tmp_path / "store" / "m").items() if path in FILES} == FILES
        whence = origins_of(tmp_path)
        assert whence["good"] == (a.url("good"), "verified", a.url())
        assert {path: whence[path][0] for path in ("gone", "ill", "wrong")} == {
            path: b.url(path) for path in ("gone", "ill", "wrong")
        }
        a.assert_spent()
        again, _ = await sync(tmp_path, (a, b), [source(a), {"url": b.url(), "reader": "autoindex"}])
        assert (again["fetched"], again["replaced"], again["kept"]) == (0, 0, len(FILES) + 1)


@pytest.mark.fault(34)
async def test_when_no_source_has_what_was_promised_the_bytes_are_kept_apart_and_all_is_told(tmp_path):
    first = {**FILES, "SHA256SUMS": SUMS, "wrong": b"WRONG AT THE FIRST"}
    second = {**FILES, "wrong": b"wrong in other ways"[:18]}
    async with HostileServer(first) as a, HostileServer(second) as b:
        done, _ = await sync(tmp_path, (a, b), [source(a), {"url": b.url()}], wanted=1)
        assert (done["complete"], done["fetched"], done["failed"]) == (False, len(FILES), 1)
        kept = tree(tmp_path / "store" / ".syncd" / "quarantine")
        reason = json.loads(next(content for path, content in kept.items() if path.endswith("wrong.reason.json")))
        for content in (first["wrong"], second["wrong"]):
            assert hashlib.sha256(content).hexdigest() in reason["reason"]
        assert len(reason["tried"]) == 1
        assert next(content for path, content in kept.items() if path.endswith("/wrong")) == second["wrong"]
        assert "wrong" not in tree(tmp_path / "store" / "m")


async def test_a_mismatch_at_the_first_and_nothing_at_the_second_is_told_as_a_mismatch(tmp_path):
    first = {**FILES, "SHA256SUMS": SUMS, "wrong": b"WRONG AT THE FIRST"}
    second = {path: content for path, content in FILES.items() if path != "wrong"}
    async with HostileServer(first) as a, HostileServer(second) as b:
        done, said = await sync(tmp_path, (a, b), [source(a), {"url": b.url()}], wanted=1)
        assert done["failed"] == 1
        assert "no such file (404)" in said
        kept = tree(tmp_path / "store" / ".syncd" / "quarantine")
        assert next(content for path, content in kept.items() if path.endswith("/wrong")) == first["wrong"]


@pytest.mark.promise("P6")
@pytest.mark.fault(35)
async def test_where_two_sources_differ_and_no_digest_decides_a_file_is_of_one_of_them_and_never_of_both(tmp_path):
    one, other = random.Random(1).randbytes(9 << 20), random.Random(2).randbytes(9 << 20)
    async with (
        HostileServer({"big.bin": one, "small": b"one"}) as a,
        HostileServer({"big.bin": other, "small": b"two"}) as b,
    ):
        sources = [{"url": a.url()}, {"url": b.url()}]
        patience = Status(503, {"Retry-After": "0"})
        a.fault(
            "big.bin", patience, times=None, when=lambda request: "bytes=0-" not in request.headers.get("range", "")
        )
        done, _ = await sync(tmp_path, (a, b), sources)
        a.assert_spent()
        assert done["complete"]
        assert tree(tmp_path / "store" / "m") == {"big.bin": other, "small": b"one"}
        assert origins_of(tmp_path)["big.bin"][:2] == (b.url("big.bin"), "attested")


@pytest.mark.promise("P5")
async def test_when_the_first_source_is_down_the_second_is_asked_and_only_adds(tmp_path):
    async with HostileServer({**FILES, "SHA256SUMS": SUMS}) as a, HostileServer(FILES) as b:
        sources = [source(a), {"url": b.url()}]
        await sync(tmp_path, (a, b), sources)
        a.fault(None, Status(503), times=None)
        b.put("new", b"new at the second")
        b.put("good", b"behind, or ahead: who knows")
        b.remove("gone")
        done, said = await sync(tmp_path, (a, b), sources)
        assert (done["complete"], done["fetched"], done["replaced"], done["removed"]) == (True, 1, 0, 0)
        assert f"asking {b.url()} instead" in said
        there = tree(tmp_path / "store" / "m")
        assert (there["new"], there["good"], there["gone"]) == (b"new at the second", b"good", FILES["gone"])


async def test_of_several_sources_the_fastest_may_be_asked_first(tmp_path):
    many = {f"{number:03}": b"%d" % number for number in range(60)}
    async with HostileServer(many) as a, HostileServer(many) as b:
        done, _ = await sync(tmp_path, (a, b), [{"url": a.url()}, {"url": b.url()}], choose="fastest")
        assert (done["complete"], done["fetched"]) == (True, 60)
        assert {path: content for path, content in tree(tmp_path / "store" / "m").items() if path in many} == many
        served = [sum(request.path in many for request in server.requests) for server in (a, b)]
        assert sum(served) == 60
        assert min(served) > 0  # who was not measured yet is tried


@pytest.mark.parametrize("good", [0, 1])
async def test_of_the_places_that_a_document_names_for_a_file_the_first_good_one_serves_it(tmp_path, good):
    digest = hashlib.sha256(BIG).hexdigest()
    async with HostileServer({"big.bin": BIG}) as a, HostileServer({"big.bin": BIG}) as b:
        (a, b)[1 - good].put("big.bin", BIG[::-1])
        document = (
            '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="big.bin">'
            f'<size>{len(BIG)}</size><hash type="sha-256">{digest}</hash>'
            f'<url priority="1">{a.url("big.bin")}</url><url priority="2">{b.url("big.bin")}</url></file></metalink>'
        )
        a.put("list.meta4", document.encode())
        one = {"url": a.url(), "reader": "metalink", "lists": ["list.meta4"]}
        done, _ = await sync(tmp_path, (a, b), one)
        assert (done["complete"], done["fetched"]) == (True, 2)
        assert tree(tmp_path / "store" / "m")["big.bin"] == BIG
        assert origins_of(tmp_path)["big.bin"][0] == (a, b)[good].url("big.bin")
