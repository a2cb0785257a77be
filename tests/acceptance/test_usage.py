"""What the public side gave is counted as real clients took it, by the daemon and by a process of its own."""

import asyncio
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest

from syncd.api import UrlGrant, UrlKeys, sign_url
from syncd.face import Served
from syncd.usage import Period, UsageRecorder, read_report, read_totals, recording
from tests.acceptance.cli import SYNCD
from tests.acceptance.public_side import PublicSide
from tests.acceptance.test_public_bytes import at
from tests.acceptance.test_public_clients import call, program
from tests.acceptance.test_public_side_processes import PUBLISH, SERVE
from tests.daemons import House
from tests.fakes import Archive
from tests.servers.nginx import free_port

NOT_VALID = 2  # exit code
EVER = Period("2000-01-01", "2999-12-31")
LARGE = bytes(range(256)) * (24 << 12)  # 24 MiB: more than the system takes for a client that reads nothing
FILES = {"large.bin": LARGE, "small.txt": b"small"}
TOKENS = """
tokens:
- {{name: ihep, role: partner, institution: IHEP, country: cn, sha256: '{digest}'}}
- {{name: anna, role: operator, sha256: '{other}'}}
usage: {{networks: [{{cidr: 127.0.0.0/8, institution: Loopback, country: de}}], country: de}}
"""


async def run_cli(*words):
    command = [str(SYNCD), *map(str, words)]

    def run():
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    return await asyncio.to_thread(run)


class CountedSide(PublicSide):
    """A public side whose answers are counted."""

    snapshot = ""

    @asynccontextmanager
    async def counting(self):
        self.problems = []
        self.loaded = await asyncio.to_thread(self.config)
        async with recording(self.loaded, self.problems.append) as self.recorder:
            self.on_served = self.recorder.on_served
            async with self.serving():
                yield self
        assert not self.problems

    async def report(self, by="mirror"):
        await asyncio.to_thread(self.recorder.flush)
        return await asyncio.to_thread(read_report, self.loaded.state, EVER, by, (), (), "de")

    async def total(self, **expected):
        """The figures, once they are these: an answer is counted after the client has it."""
        async with asyncio.timeout(60):
            while True:
                found = (await self.report()).total
                if all(getattr(found, name) == value for name, value in expected.items()):
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def side(tmp_path):
    digests = {name: hashlib.sha256(f"syncd_{name}".encode()).hexdigest() for name in ("ihep", "anna")}
    made = CountedSide(tmp_path / "node", Archive(dict(FILES), digests=("sha256",)))
    with (made.folder / "syncd.yaml").open("a") as file:
        file.write(TOKENS.format(digest=digests["ihep"], other=digests["anna"]))
    made.snapshot = await made.run()
    async with made.counting():
        yield made


async def test_four_connections_of_aria2_for_one_file_are_one_request(side, tmp_path):
    url = f"http://127.0.0.1:{side.port}{at(side.snapshot, 'large.bin')}"
    done = await call(program("aria2c"), "--no-conf", "-x4", "-s4", "-k1M", "-d", tmp_path, "-o", "got", url)
    assert (tmp_path / "got").read_bytes() == LARGE, done
    assert (await side.total(requests=1, files=1)).bytes >= len(LARGE)
    kinds = [row.value for row in (await side.report("kind")).rows]
    assert kinds == ["tool"]
    assert (await side.report()).total.strict_requests == 0  # COUNTER's list has aria2


async def test_a_client_that_leaves_got_bytes_and_no_file_and_one_that_resumes_got_one(side, tmp_path):
    path = at(side.snapshot, "large.bin")
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port, limit=1 << 16)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8.5.0\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    got = await reader.readexactly(1 << 20)
    writer.transport.abort()
    async with asyncio.timeout(60):
        while not (found := (await side.report()).total).bytes:
            await asyncio.sleep(0.02)
    assert (found.requests, found.files) == (0, 0)
    assert 1 << 20 <= found.bytes < len(LARGE)
    (tmp_path / "got").write_bytes(got)
    await call(
        "curl",
        "-sS",
        "--fail",
        "-A",
        "curl/8.5.0",
        "-C",
        "-",
        "-o",
        tmp_path / "got",
        f"http://127.0.0.1:{side.port}{path}",
    )
    assert (tmp_path / "got").read_bytes() == LARGE
    await side.total(requests=1, files=1)


async def test_every_door_counts_and_says_who(side):
    path = at(side.snapshot, "small.txt")
    await side.get(path, User_Agent="Mozilla/5.0 Firefox/140.0")
    await side.get("/s3/scenes/small.txt", User_Agent="rclone/v1.75")
    await side.get(path, User_Agent="syncd/0.9")
    await side.get(path, User_Agent="Googlebot/2.1")
    await side.get(path, Authorization="Bearer syncd_ihep", User_Agent="Wget/1.21")
    now = int(time.time())
    key = await asyncio.to_thread(UrlKeys(side.loaded.state).signing, now)
    grant = UrlGrant("scenes", side.snapshot, "small.txt", now + 600, "ihep")
    query = urlencode(sign_url(grant, "data.example.org", key, now))
    assert (await side.get(f"{path}?{query}", User_Agent="curl/8.5.0")).status == 200
    await side.get("/mirrors/scenes/", Accept="text/html", User_Agent="Mozilla/5.0 Firefox/140.0")
    await side.get("/mirrors/scenes/head.json")
    await side.get(path, method="HEAD")
    await side.get(at(side.snapshot, "missing"))
    total = await side.total(requests=5, files=5, bytes=25, views=1)
    assert total.strict_requests == 3  # neither wget nor curl
    kinds = {row.value: row.figures.requests for row in (await side.report("kind")).rows}
    assert kinds == {"person": 1, "tool": 3, "node": 1, "robot": 1}
    who = {row.value: row.figures.requests for row in (await side.report("institution")).rows}
    assert who == {"Loopback": 3, "IHEP": 2}
    where = {row.value: row.figures.requests for row in (await side.report("country")).rows}
    assert where == {"de": 3, "cn": 2}
    (saved,) = (await side.report()).saved
    assert (saved.delivered, saved.domestic, saved.abroad) == (25, 15, 10)


async def test_what_the_engine_downloaded_is_known_by_day(side):
    async with side.mirroring.open() as (_, catalogue):
        (row,) = catalogue.pass_history.fetched("1900-01-01", "2999-12-31")
    assert (row[0], row[2]) == ("scenes", sum(map(len, FILES.values())))


async def test_a_killed_face_has_counted_and_the_command_shows_it(tmp_path):
    side = PublicSide(tmp_path, Archive({"a.txt": b"hello"}, digests=("sha256",)))
    snapshot = await side.run()
    port = await asyncio.to_thread(_serve_elsewhere, tmp_path)
    command = [sys.executable, "-m", "syncd", "face", "--config", str(tmp_path / "syncd.yaml")]
    face = await asyncio.to_thread(
        subprocess.Popen, command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    side.port = port
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    if (await side.get(at(snapshot, "a.txt"))).status == 200:
                        break
                except OSError:
                    await asyncio.sleep(0.05)
            while not (tmp_path / "state/usage.sqlite").exists() or not await shown(tmp_path):
                await asyncio.sleep(0.2)
    finally:
        face.send_signal(signal.SIGKILL)
        await asyncio.to_thread(face.wait, 30)
    report = json.loads((await run_cli("usage", "--json", "--config", tmp_path / "syncd.yaml")).stdout)
    (row,) = report["rows"]
    assert (row["value"], row["figures"]["requests"], row["figures"]["clients"]) == ("scenes", 1, "<5")
    everything = await run_cli("usage", "--json", "--from", "1970-01", "--config", tmp_path / "syncd.yaml")
    assert sum(one["fetched"] for one in json.loads(everything.stdout)["saved"]) == 5
    table = (await run_cli("usage", "--by", "kind", "--config", tmp_path / "syncd.yaml")).stdout
    assert "tool" in table
    assert "network saved" in table
    text = (await run_cli("usage", "--csv", "--config", tmp_path / "syncd.yaml")).stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert (rows[0]["mirror"], rows[0]["requests"], rows[0]["bytes"]) == ("scenes", "1", "5")


async def shown(folder):
    return json.loads((await run_cli("usage", "--json", "--config", folder / "syncd.yaml")).stdout)["rows"]


def _serve_elsewhere(folder):
    port = free_port()
    text = (folder / "syncd.yaml").read_text()
    (folder / "syncd.yaml").write_text(text.replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}"))
    return port


async def test_the_command_says_what_is_wrong_with_what_it_was_given(tmp_path):
    for given, why in (
        (("--by", "person"), "allowed: mirror, institution, country, month, kind"),
        (("--from", "2026-13"), "is not a day"),
        (("--from", "2026-02", "--to", "2026-01"), "ends before it begins"),
        (("--csv", "--json"), "exclude each other"),
    ):
        done = await run_cli("usage", "--state", tmp_path, *given)
        assert done.returncode == NOT_VALID, done
        assert why in done.stderr + done.stdout


async def test_a_daemon_reports_what_its_face_counted_and_what_its_passes_downloaded(tmp_path):
    house = House(tmp_path, SERVE.format(port=free_port()))
    house.archive("a", {"x.txt": b"xyz"})
    house.declare("a", PUBLISH)
    async with house.living():
        await house.control.sync("a", "anna")
        async with asyncio.timeout(60):
            while not house.control.mirror("a").snapshot:
                await asyncio.sleep(0.02)
        config = await asyncio.to_thread(house.load)
        recorder = UsageRecorder(config, house.bugs.append, now=house.time.now)
        one = Served(
            at=house.time.now(), method="GET", door="http", status=200, sent=3, seconds=0.1, address="192.0.2.1",
            agent="curl/8", referrer="", mirror="a", snapshot="0" * 64, path="x.txt", size=3, stop=3,
        )  # fmt: skip
        recorder.on_served(one)
        await asyncio.to_thread(recorder.close)
        report = await house.control.usage(by="mirror")
        assert [(row.value, row.figures.bytes) for row in report.rows] == [("a", 3)]
        (saved,) = report.saved
        assert (saved.delivered, saved.fetched, saved.saved) == (3, 3, 0)
        assert (await house.control.usage(mirrors=())).saved == ()
        datasets = json.loads(await house.control.dataset_report())
        assert datasets["report-datasets"] == []  # it has no DOI
        assert await asyncio.to_thread(read_totals, config.state) == [("a", "tool", 200, 1, 3)]
