"""What the public side gave is counted once, to whom it was given, and nothing of it leads back to an address."""

import asyncio
import gzip
import io
import random
import tarfile
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from syncd.catalogue import BackgroundReader, Catalogue, UsageCounts
from syncd.config.api_access import Token
from syncd.config.load import Config
from syncd.config.usage import NetworkOwner, UsageSettings
from syncd.daemon.backup import back_up
from syncd.daemon.maintenance import Maintenance
from syncd.face import Served
from syncd.stores.filesystem.store import FilesystemStore
from syncd.usage import Period, UsageRecorder, read_report
from syncd.usage.agents import agent_of
from syncd.usage.day_key import FILE, day_key

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY = 86_400
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
WHENEVER = Period("2000-01-01", "2099-12-31")


class Node:
    """The counts of a node whose clock the test sets."""

    def __init__(self, folder, **usage):
        folder.mkdir(exist_ok=True)
        tokens = (Token(name="ihep", role="partner", institution="IHEP", country="cn", sha256="a" * 64),)
        self.state, self.now, self.problems = folder, NOON, []
        self.config = Config.model_construct(state=folder, usage=UsageSettings(**usage), tokens=tokens)
        self.start()

    def start(self):
        self.recorder = UsageRecorder(self.config, self.problems.append, now=lambda: self.now)

    def serve(self, start=0, stop=None, *, size=1000, status=None, sent=None, after=0.0, **more):
        self.now += after
        stop = size if stop is None else stop
        status = status or (200 if (start, stop) == (0, size) else 206)
        given = {
            "at": self.now, "method": "GET", "door": "http", "sent": stop - start if sent is None else sent,
            "seconds": 0.1, "address": "159.226.7.9", "agent": FIREFOX, "referrer": "", "mirror": "scenes",
            "snapshot": "0" * 64, "path": "a.tif", "target": "/mirrors/scenes/x",
        }  # fmt: skip
        self.recorder.on_served(Served(status=status, size=size, start=start, stop=stop, **{**given, **more}))

    def report(self, by="mirror", **more):
        self.recorder.flush()
        assert not self.problems, self.problems
        return read_report(self.state, WHENEVER, by, (), (), **more)

    def total(self):
        return self.report().total


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_the_pieces_of_one_download_are_one_request_and_one_file(node):
    for start in range(0, 1000, 250):
        node.serve(start, start + 250)
        node.recorder.flush()  # in separate batches too
    assert (node.total().requests, node.total().files, node.total().bytes) == (1, 1, 1000)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), pieces=st.integers(1, 40))
def test_pieces_in_any_order_and_cut_anyhow_are_one_request(tmp_path_factory, seed, pieces):
    node = Node(tmp_path_factory.mktemp("usage"))
    chance = random.Random(seed)
    cuts = sorted({0, 1000, *(chance.randrange(1, 1000) for _ in range(pieces)), 500})
    spans = list(pairwise(cuts))
    chance.shuffle(spans)
    for start, stop in spans:
        node.serve(start, stop)
    assert (node.total().requests, node.total().files, node.total().bytes) == (1, 1, 1000)


def test_a_part_that_is_read_is_a_request_and_no_file(node):
    node.serve(0, 16)
    assert (node.total().requests, node.total().files, node.total().bytes) == (1, 0, 16)


def test_a_download_that_broke_off_is_no_request_and_no_file_however_often_it_is_tried(node):
    for _ in range(3):
        node.serve(status=499, sent=600)
    assert (node.total().requests, node.total().files, node.total().bytes) == (0, 0, 1800)


def test_a_download_that_broke_off_and_was_resumed_is_one_request_and_one_file(node):
    node.serve(status=499, sent=600)
    node.serve(590, 1000)
    assert (node.total().requests, node.total().files, node.total().bytes) == (1, 1, 1010)


@pytest.mark.parametrize(
    ("seconds", "requests"),
    [((0, 29), 1), ((0, 30), 1), ((0, 35), 2), ((0, 22, 45), 1), ((0, 31, 62), 3)],
)
def test_a_double_click_is_one_request(node, seconds, requests):
    for at in seconds:
        node.now = NOON + at
        node.serve()
    assert (node.total().requests, node.total().files) == (requests, requests)


def test_a_double_click_is_of_one_client_and_one_address(node):
    node.serve()
    node.serve(path="b.tif")
    node.serve(address="8.8.8.8")
    assert node.total().requests == 3


def test_an_answer_that_nothing_changed_is_a_request(node):
    node.serve(status=304, sent=0)
    assert (node.total().requests, node.total().files, node.total().bytes) == (1, 0, 0)


@pytest.mark.parametrize(
    "more", [{"method": "HEAD"}, {"status": 404}, {"status": 416}, {"status": 302}, {"mirror": ""}]
)
def test_what_brings_no_bytes_of_a_file_is_no_request(node, more):
    node.serve(**more)
    assert (node.total().requests, node.total().bytes, node.total().clients) == (0, 0, 0)


def test_views_of_descriptions_are_counted_and_lists_for_machines_are_not(node):
    for target in ("", "citation.bib", "head.json", "shards/abc", "snapshots/abc/SHA256SUMS", "evidence/a.tif"):
        node.serve(path="", target=f"/mirrors/scenes/{target}", size=0)
    assert (node.total().views, node.total().requests) == (3, 0)
    assert (node.total().strict_investigations, node.total().unique_investigations) == (3, 1)


@pytest.mark.parametrize(
    ("agent", "kind", "is_listed"),
    [
        (FIREFOX, "person", False),
        ("Wget/1.21.3", "tool", True),
        ("curl/8.5.0", "tool", True),
        ("python-requests/2.32", "tool", True),
        ("aria2/1.36.0", "tool", True),
        ("rclone/v1.75.0", "tool", False),
        ("GDAL/3.10.1", "tool", False),
        ("aws-cli/2.15.30", "tool", False),
        ("Java/17.0.2", "tool", False),
        ("syncd/0.9 (contact@example.org)", "node", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "robot", True),
        ("Mozilla/5.0 (compatible; python crawler)", "robot", True),
        ("Baiduspider+(+http://www.baidu.com/search/spider.htm)", "robot", True),
        ("", "tool", True),
        ("something of our own", "tool", False),
    ],
)
def test_tools_are_told_from_robots_nodes_and_people(agent, kind, is_listed):
    assert agent_of(agent)[1:] == (kind, is_listed)


def test_counters_rules_stand_beside_what_was_delivered(node):
    for number, agent in enumerate(("Wget/1.21", "rclone/v1.75", FIREFOX, "Googlebot/2.1")):
        node.serve(agent=agent, address=f"10.0.{number}.1")
    total = node.total()
    assert (total.requests, total.strict_requests) == (3, 2)  # no robot; and neither wget
    kinds = {row.value: row.figures.requests for row in node.report("kind").rows}
    assert kinds == {"tool": 2, "person": 1, "robot": 1}


def test_unique_requests_are_of_a_client_a_mirror_and_an_hour(node):
    for path in ("a", "b", "c"):
        node.serve(path=path)
    node.serve(path="a", after=3600)
    node.serve(mirror="other")
    assert (node.total().strict_requests, node.total().unique_requests) == (5, 3)


def test_a_partner_comes_before_a_network_and_the_longest_network_decides(tmp_path):
    (tmp_path / "countries.csv").write_text("first,last,country\n8.8.8.0,8.8.8.255,US\n2001:da8::/32,CN\n")
    networks = (
        NetworkOwner(cidr="159.226.0.0/16", institution="CAS", country="cn"),
        NetworkOwner(cidr="159.226.7.0/24", institution="CNIC", country="cn"),
        NetworkOwner(cidr="192.0.2.0/24", institution="We", own=True),
    )
    node = Node(tmp_path / "state", networks=networks, country_db=tmp_path / "countries.csv")
    node.serve(partner="ihep", address="8.8.8.8")
    node.serve(address="159.226.7.9")
    node.serve(address="::ffff:159.226.1.1")
    node.serve(address="8.8.8.9")
    node.serve(address="2001:da8::1")
    node.serve(address="203.0.113.5")
    node.serve(address="192.0.2.7")
    by = {row.value: row.figures.requests for row in node.report("institution").rows}
    assert by == {"IHEP": 1, "CNIC": 1, "CAS": 1, "unknown": 3}
    by = {row.value: row.figures.requests for row in node.report("country").rows}
    assert by == {"cn": 4, "us": 1, "unknown": 1}
    assert node.report().institutions == 3
    saved = read_report(node.state, WHENEVER, "mirror", [("scenes", "2026-11-02", 4500)], (), "cn").saved
    assert [(one.delivered, one.fetched, one.saved) for one in saved] == [(6000, 4500, 1500)]  # our own is not given
    assert [(one.domestic, one.abroad, one.ratio) for one in saved] == [(4000, 1000, 1.333)]


def test_a_mirror_that_was_only_filled_has_saved_less_than_nothing(node):
    node.serve()
    (one,) = read_report(node.state, WHENEVER, "mirror", [("scenes", "2026-11-02", 10)], ()).saved
    assert one.saved == -10  # not yet counted
    node.recorder.flush()
    (one,) = read_report(node.state, WHENEVER, "mirror", [("scenes", "2026-11-02", 10)], ()).saved
    assert one.saved == 990


def test_few_clients_are_not_numbered(node):
    for number in range(4):
        node.serve(address=f"10.0.{number}.1")
    assert node.total().clients == "<5"
    node.serve(address="10.0.9.1")
    assert node.total().clients == 5
    node.serve(address="10.0.9.2")  # in the same /24: an institution behind one address is one
    assert node.total().clients == 5
    node.now += DAY
    node.serve()
    assert node.total().clients == 5  # the most of one day: days cannot be linked
    assert [row.figures.clients for row in node.report("month").rows] == [5, "<5"]


def everything(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_address_no_agent_and_no_query_is_in_any_file(tmp_path):
    node = Node(tmp_path)
    addresses = [f"198.51.{number}.77" for number in range(50)]
    for address in addresses:
        node.serve(address=address, agent="Wget/1.21.3-secret-build", referrer="https://search.example/?q=who")
    node.recorder.flush()
    before = everything(tmp_path)
    node.now += DAY
    node.recorder.flush()
    for content in (before, everything(tmp_path)):
        for word in (*addresses, "secret-build", "search.example", "q=who", "a.tif"):
            assert word.encode() not in content
        for address in addresses:
            assert bytes(map(int, address.split("."))) not in content


def marks(state):
    with UsageCounts(state, read_only=True) as counts:
        tables = ("open_download", "open_mark", "open_client")
        return [counts._db.execute(f"SELECT count(*) FROM {name}").get for name in tables]


def test_the_key_ends_with_its_day_without_a_request_and_what_told_clients_apart_is_gone(node):
    node.serve()
    node.recorder.flush()
    key = (node.state / FILE).read_text().split()[1]
    stored = everything(node.state)
    with UsageCounts(node.state, read_only=True) as counts:
        who = counts._db.execute("SELECT who FROM open_client").get
    assert key.encode() in stored
    assert who in stored
    node.now += DAY
    node.recorder.flush()
    assert not (node.state / FILE).exists()
    assert marks(node.state) == [0, 0, 0]
    left = everything(node.state)
    assert not [one for one in (key.encode(), bytes.fromhex(key), who) if one in left]
    assert node.total().clients == "<5"  # the number stays


def test_the_key_is_for_syncd_alone_and_in_no_other_file(node):
    node.serve()
    node.recorder.flush()
    path = node.state / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text().split()[1]
    others = b"".join(one.read_bytes() for one in node.state.iterdir() if one != path)
    assert not [one for one in (key.encode(), bytes.fromhex(key)) if one in others]


def test_a_restart_within_the_day_goes_on_with_the_key_and_a_client_stays_one(node):
    node.serve(0, 500)
    node.recorder.flush()
    key = (node.state / FILE).read_text()
    node.start()  # the one before was killed: it closed nothing
    node.serve(500, 1000)
    assert (node.total().requests, node.total().files) == (1, 1)
    assert (node.state / FILE).read_text() == key


def test_a_restart_after_midnight_destroys_the_key_before_anything_is_counted(node):
    node.serve()
    node.recorder.flush()
    old = (node.state / FILE).read_text()
    node.now += DAY
    node.start()
    node.serve()
    node.recorder.flush()
    assert (node.state / FILE).read_text() != old
    assert old.split()[1].encode() not in everything(node.state)
    assert node.total().requests == 2


@pytest.mark.parametrize("where", ["turn", "forget", "scrub_log"])
def test_a_kill_while_the_day_is_closed_leaves_no_key_and_counts_nothing_twice(node, where, monkeypatch):
    for number in range(6):
        node.serve(address=f"10.0.{number}.1")
    node.recorder.flush()
    old = (node.state / FILE).read_text().split()[1]

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    monkeypatch.setattr(UsageCounts, where, die)
    node.now += DAY
    with pytest.raises(Killed):
        node.recorder.flush()
    monkeypatch.undo()
    assert old.encode() not in everything(node.state)
    node.recorder._counts.close()
    node.start()
    node.recorder.flush()
    assert marks(node.state) == [0, 0, 0]
    assert (node.total().requests, node.total().clients) == (6, 6)


def test_a_kill_while_a_key_is_made_leaves_no_part_of_it(tmp_path):
    (tmp_path / f"{FILE}.999999999.abcd").write_text("2026-11-30 " + "ab" * 32)
    (tmp_path / FILE).write_text("2026-11-30 ab")  # and one that is not whole
    made = day_key(tmp_path, "2026-11-30")
    assert len(made) == 32
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_two_processes_of_one_day_share_its_key_and_count_into_one_file(node, tmp_path):
    other = UsageRecorder(node.config, node.problems.append, now=lambda: node.now)
    node.serve(0, 500)
    node.recorder.flush()
    mine, node.recorder = node.recorder, other
    node.serve(500, 1000)
    assert (node.total().requests, node.total().files) == (1, 1)
    node.now += DAY - 43_200  # midnight
    node.serve(path="b", at=node.now - 1)  # it ended just before
    mine.flush()
    node.serve(path="c")
    assert node.total().requests == 3
    assert {row.value for row in node.report("month").rows} == {"2026-11", "2026-12"}


def test_a_clock_that_is_set_back_loses_no_count(node):
    node.serve()
    node.recorder.flush()
    node.now -= 3 * DAY
    node.serve()
    assert node.total().requests == 2


def test_what_cannot_be_written_waits_and_is_told(node):
    (node.state / "usage.sqlite").mkdir()
    node.serve()
    node.recorder.flush()
    assert "usage.sqlite" in str(node.problems[0])
    node.problems.clear()
    (node.state / "usage.sqlite").rmdir()
    assert node.total().requests == 1


def test_answers_that_wait_too_long_are_bounded_and_told(node, monkeypatch):
    monkeypatch.setattr("syncd.usage.recorder.MOST", 10)
    (node.state / "usage.sqlite").mkdir()
    for number in range(15):
        node.serve(path=f"{number}")
    node.recorder.flush()
    (node.state / "usage.sqlite").rmdir()
    node.problems.clear()
    node.recorder.flush()
    assert "5 answers are not counted" in str(node.problems.pop())
    assert node.total().requests == 10


def test_a_failure_between_two_days_counts_nothing_twice(node, monkeypatch):
    node.serve()
    node.now += DAY
    node.serve()
    counted = node.recorder._count

    def fail(day, answers):
        if day == "2026-12-01" and not node.problems:
            raise OSError(5, "the disk failed")
        counted(day, answers)

    monkeypatch.setattr(node.recorder, "_count", fail)
    node.recorder.flush()
    assert node.problems
    node.recorder.flush()
    node.problems.clear()
    assert node.total().requests == 2


def test_a_damaged_file_is_named_with_what_to_do(node):
    (node.state / "usage.sqlite").write_bytes(b"no database at all" * 500)
    node.serve()
    node.recorder.flush()
    assert "move the file away" in str(node.problems[0])


def test_counts_are_kept_as_long_as_the_configuration_says(node):
    node.serve()
    node.recorder.flush()
    keep = node.config.retention.usage
    node.now += keep - DAY
    assert node.total().requests == 1
    node.now += 2 * DAY
    assert node.total().requests == 0


def test_only_the_mirrors_that_one_may_see_are_reported(node):
    node.serve()
    node.serve(mirror="secret")
    report = node.report("kind", sees=lambda name: name == "scenes")
    assert report.total.requests == 1
    assert [row.figures.requests for row in report.rows] == [1]
    assert report.total.clients == "<5"
    assert {one.mirror for one in report.saved} == {"scenes"}


async def nothing_else():
    """Stand for what else a round of maintenance does."""


async def test_a_key_of_another_day_ends_also_where_no_public_side_runs(tmp_path):
    await asyncio.to_thread(day_key, tmp_path, "2026-11-30")
    session: Any = SimpleNamespace(config=Config.model_construct(state=tmp_path))
    forgetting = SimpleNamespace(
        forget_events=lambda _: None, forget_passes=lambda *_: None, forget_audit=lambda *_: None
    )  # fmt: skip
    registry: Any = SimpleNamespace(
        catalogue=SimpleNamespace(
            pass_history=forgetting, jobs=SimpleNamespace(forget=lambda _: None), tidy=lambda: False
        ),
        now=lambda: NOON,
        clock=lambda: 0.0,
    )
    unused: Any = None
    maintenance: Any = Maintenance(registry, lambda: session, unused)
    maintenance.back_up = maintenance._empty_quarantine = nothing_else
    await maintenance.once()
    assert await asyncio.to_thread((tmp_path / FILE).exists)  # it is of today
    registry.now = lambda: NOON + DAY
    await maintenance.once()
    assert not await asyncio.to_thread((tmp_path / FILE).exists)


async def test_a_backup_of_the_catalogue_has_neither_the_key_nor_the_marks(tmp_path):
    node = Node(tmp_path / "state")
    await asyncio.to_thread(Catalogue(node.state).close)
    node.serve()
    await asyncio.to_thread(node.recorder.flush)
    key = (node.state / FILE).read_text().split()[1]
    store, reader = FilesystemStore(tmp_path / "store"), BackgroundReader(node.state)
    await store.identify(None)
    try:
        backup, _ = await back_up(store, reader, tmp_path)
    finally:
        await asyncio.to_thread(reader.close)
    packed = await asyncio.to_thread((tmp_path / "store" / backup.place).read_bytes)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["catalogue.sqlite"]
    content = gzip.decompress(packed)
    assert not [one for one in (key.encode(), bytes.fromhex(key)) if one in content]
