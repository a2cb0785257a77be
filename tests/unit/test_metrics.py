"""What is exposed is what is declared and documented, begins at 0, stays bounded, and vanishes with its mirror."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncd.core import events as e
from syncd.core.errors import Damaged, NotFound
from syncd.metrics import Metrics, families as f
from syncd.metrics.counting import OLD
from syncd.metrics.page import page
from syncd.stores.filesystem.store import FilesystemStore
from syncd.wrappers.governors import Governors
from syncd.wrappers.metered_store import MeteredStore
from tests.acceptance.mirroring import Mirroring, scenes
from tests.fakes import Archive, flip
from tests.fakes_control import FakeControl

ROOT = Path(__file__).parents[2]
NOW = 1_700_000_000.0
VERSION = "1.2.3"
OURS = re.compile(r"(process|python)_")


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def filled():
    """Metrics that have a sample in every family."""
    metrics, control, governors = Metrics(VERSION, now=Clock()), FakeControl(NOW), Governors()
    governors.of("https://running.example.org")
    for event in (
        e.PassStarted("running", 1, "schedule", ""),
        e.Planned("running", 2, 0, 0, 0, 0, 30, complete=True),
        e.TransferStarted("running", "a", 10, NOW - 100),
        e.TransferFinished("running", "a", 10, "verified", replaced=False, seconds=0.2, modified=NOW - 100),
        e.Published("running", "0" * 64, 1, 10, changed=True),
    ):
        metrics.listener(event)
    governors.watch({"https://running.example.org": NOW + 1})
    metrics.watch(control, governors, {"earthdata": NOW + 2})
    metrics._watched.served = [("running", "tool", 200, 3, 4096), ("running", "robot", 418, 1, 10)]
    return metrics, control


def samples(metrics):
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def value(metrics, name, **labels):
    return samples(metrics)[name, frozenset(labels.items())]


# -- what is declared -------------------------------------------------------------------------------------------------


def test_what_is_exposed_is_what_is_declared_and_every_family_has_samples():
    metrics, _ = filled()
    shown = {one.name: one for one in metrics.registry.collect() if not OURS.match(one.name)}
    assert set(shown) == {family.name.removesuffix("_total") for family in f.ALL}
    for family in f.ALL:
        found = shown[family.name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.kind, family.help)
        assert found.samples, family.name
        for sample in found.samples:
            assert set(sample.labels) - {"le"} == set(family.labels), family.name
            if family.choices:
                assert sample.labels[family.labels[-1]] in family.choices, family.name
    assert {"process_resident_memory_bytes", "process_start_time_seconds", "python_gc_collections"} <= {
        one.name for one in metrics.registry.collect()
    }


def test_names_say_kind_and_unit_and_labels_are_of_the_closed_list():
    for family in f.ALL:
        assert re.fullmatch(r"syncd_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert set(family.labels) <= set(f.LABELS)
        assert not re.search(r"_(age|ms|milliseconds|kb|mb|percent)(_|$)", family.name), family.name
        if "timestamp" in family.name:
            assert family.name.endswith("_timestamp_seconds")
        if family.kind == "histogram":
            assert family.bounds == tuple(sorted(set(family.bounds)))
            assert family.name.endswith(("_seconds", "_bytes"))
        assert family.help[-1] != "."


async def test_promtool_finds_nothing_to_blame():
    metrics, _ = filled()
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is not installed (Debian: prometheus)"
    body, _ = await metrics.exposition("")
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_page_of_metrics_is_what_the_code_writes():
    assert (ROOT / "docs/metrics.md").read_text() == page(), "run: make docs"


async def test_who_asks_for_openmetrics_gets_it_and_everybody_else_the_text():
    metrics, _ = filled()
    body, kind = await metrics.exposition("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    for accept in ("*/*", "", "application/openmetrics-text; version=x", "text/plain; version="):
        body, kind = await metrics.exposition(accept)
        assert kind.startswith("text/plain")
        shown = {sample.name for one in text_string_to_metric_families(body.decode()) for sample in one.samples}
        assert shown == {name for name, _ in samples(metrics)}


# -- series -----------------------------------------------------------------------------------------------------------


def test_a_mirror_in_force_begins_at_0_in_every_family_that_counts():
    metrics = Metrics(VERSION)
    metrics.watch(FakeControl())
    found = samples(metrics)
    for family in f.ALL:
        if family.kind != "counter" or "mirror" not in family.labels or family.part == "sharing":
            continue  # a mirror that is not published gives nothing
        for choice in family.choices or (None,):
            labels = {"mirror": "idle"} | ({family.labels[-1]: choice} if choice else {})
            assert found[family.name, frozenset(labels.items())] == 0, (family.name, labels)
    assert found["syncd_mirror_publication_lag_seconds_count", frozenset({("mirror", "idle")})] == 0


async def test_what_the_public_side_gave_is_read_at_each_scrape_and_a_mirror_that_left_is_counted_under_other():
    metrics, given = Metrics(VERSION), [("idle", "tool", 200, 3, 4096), ("gone", "person", 206, 2, 7)]
    metrics.watch(FakeControl(), served=lambda: given)
    body, _ = await metrics.exposition("")
    assert b'syncd_served_bytes_total{kind="tool",mirror="idle"} 4096' in body
    assert b'syncd_served_requests_total{kind="tool",mirror="idle",status="200"} 3' in body
    assert b'syncd_served_bytes_total{kind="person",mirror="other"} 7' in body
    given[0] = ("idle", "tool", 200, 4, 5000)
    body, _ = await metrics.exposition("")
    assert b'syncd_served_bytes_total{kind="tool",mirror="idle"} 5000' in body


def test_the_series_of_a_mirror_that_left_vanish():
    metrics, control = Metrics(VERSION), FakeControl()
    metrics.watch(control)
    metrics.listener(e.PassFinished("idle", "", True, 1, 0, 0, 0, 0, 0, 10, 1.0))
    assert value(metrics, "syncd_passes_total", mirror="idle", outcome="complete") == 1
    del control.by_name["idle"]
    assert not any(("mirror", "idle") in labels for _, labels in samples(metrics))
    assert not any(("mirror", "retired") in labels for _, labels in samples(metrics)), (
        "withdrawn, though its copy stays"
    )


def test_what_is_never_complete_has_no_time_of_success_rather_than_1970():
    metrics = Metrics(VERSION)
    metrics.watch(FakeControl())
    found = samples(metrics)
    name = "syncd_mirror_last_success_timestamp_seconds"
    assert (name, frozenset({("mirror", "idle")})) in found
    assert (name, frozenset({("mirror", "rejected")})) not in found


@pytest.mark.promise("P9")
@pytest.mark.fault(48)
def test_labels_are_bounded_and_what_is_over_is_folded_and_said(monkeypatch):
    monkeypatch.setitem(f.MOST, "mirror", 3)
    monkeypatch.setitem(f.MOST, "origin", 2)
    metrics, control, governors = Metrics(VERSION, now=Clock()), FakeControl(NOW), Governors()
    metrics.watch(control, governors)
    for number in range(5):
        governors.of(f"https://{number}.example.org").moved(10)
    for name in control.by_name:
        metrics.listener(e.PassFinished(name, "", True, 1, 0, 0, 0, 0, 0, 10, 1.0))
    found = samples(metrics)
    mirrors = {dict(labels)["mirror"] for _, labels in found if "mirror" in dict(labels)}
    assert mirrors == {"failing", "idle", "nothing-found", "other"}
    assert value(metrics, "syncd_metric_label_overflow", label="mirror") == 5
    assert value(metrics, "syncd_metric_label_overflow", label="origin") == 3
    assert value(metrics, "syncd_passes_total", mirror="other", outcome="complete") == 5
    assert value(metrics, "syncd_origin_received_bytes_total", origin="other") == 30
    oldest = min(
        view.succeeded or 0 for name, view in control.by_name.items() if name in {"paused", "running", "waiting"}
    )
    assert value(metrics, "syncd_mirror_last_success_timestamp_seconds", mirror="other") == oldest
    assert value(metrics, "syncd_mirror_publication_lag_seconds_count", mirror="other") == 0
    del control.by_name["failing"], control.by_name["nothing-found"]
    for _ in range(2):
        assert value(metrics, "syncd_metric_label_overflow", label="mirror") == 3, "who came first stays"


def test_a_copied_file_is_stored_and_not_received():
    metrics = Metrics(VERSION)
    metrics.watch(FakeControl(), Governors())
    for copied in (False, True):
        metrics.listener(e.TransferStarted("running", "a", 10))
        metrics.listener(e.TransferFinished("running", "a", 10, "verified", replaced=False, seconds=0.1, copied=copied))
    totals = {"received_bytes": 10, "stored_bytes": 20, "copied_files": 1, "copied_bytes": 10}
    assert {name: value(metrics, f"syncd_{name}_total", mirror="running") for name in totals} == totals


def test_fifty_mirrors_and_ten_origins_are_fewer_than_5000_series():
    metrics, control, governors = Metrics(VERSION), FakeControl(), Governors()
    idle = control.by_name["running"]
    control.by_name = {f"m{n}": msgspec.structs.replace(idle, name=f"m{n}") for n in range(50)}
    for number in range(10):
        governors.of(f"https://{number}.example.org")
    metrics.watch(control, governors)
    for name in control.by_name:
        metrics.listener(e.Planned(name, 1, 0, 0, 0, 0, 1, complete=True))
        metrics.listener(e.TransferStarted(name, "a", 1, NOW))
        metrics.listener(e.TransferFinished(name, "a", 1, "verified", replaced=False, seconds=1.0, modified=NOW))
        metrics.listener(e.Published(name, "", 1, 1, changed=True))
    assert 4000 < len(samples(metrics)) < 5000


@pytest.mark.promise("P9")
@pytest.mark.fault(48)
async def test_no_name_of_a_file_or_a_document_ever_reaches_a_scrape():
    metrics = Metrics(VERSION)
    planted = "PLANTED-NAME"
    for event in (
        e.TransferStarted("m", planted, 1),
        e.TransferAdvanced("m", planted, 1),
        e.TransferRetried("m", planted, planted, 1, 0.1, planted),
        e.TransferRestarted("m", planted, planted, planted),
        e.TransferFailed("m", planted, planted, quarantined=True, reason=planted),
        e.DocumentFailed("m", planted, planted),
        e.DamageFound("m", planted, planted, planted),
        e.DamageMended("m", planted),
        e.PassFailed("m", planted, planted, None),
        e.ManifestRejected("m", planted, (planted,), in_force=False),
        e.Published("m", planted, 1, 1, changed=True),
        e.ReloadFailed("", (planted,)),
    ):
        metrics.listener(event)
    body, _ = await metrics.exposition("")
    assert planted.encode() not in body
    assert value(metrics, "syncd_transfer_errors_total", mirror="m", error="other") == 1
    assert value(metrics, "syncd_scrub_errors_total", mirror="m", finding="other") == 1


# -- counting ---------------------------------------------------------------------------------------------------------


async def test_received_is_stored_and_wasted_over_a_real_pass(tmp_path):
    files = scenes()
    mirroring = Mirroring(tmp_path, Archive(files, digests=("md5",)))
    again, hopeless = "LC08/2/b05.tif", "LC08/0/b03.tif"
    mirroring.archive.faults = {again: [flip], hopeless: [flip, flip]}
    metrics = Metrics(VERSION)
    mirroring.events = Told(metrics)
    result = await mirroring.run()
    mirroring.archive.assert_spent()
    assert (result.failed, result.complete) == (1, False)
    stored = sum(len(content) for path, content in files.items() if path != hopeless)
    wasted = len(files[again]) + 2 * len(files[hopeless])
    assert value(metrics, "syncd_stored_bytes_total", mirror="scenes") == stored
    assert value(metrics, "syncd_received_bytes_total", mirror="scenes") == stored + wasted
    assert value(metrics, "syncd_wasted_bytes_total", mirror="scenes", reason="mismatch") == len(files[again]) + len(
        files[hopeless]
    )
    assert value(metrics, "syncd_wasted_bytes_total", mirror="scenes", reason="failed") == len(files[hopeless])
    assert value(metrics, "syncd_transfers_total", mirror="scenes", outcome="fetched") == 11
    assert value(metrics, "syncd_transfers_total", mirror="scenes", outcome="quarantined") == 1
    assert value(metrics, "syncd_transfer_errors_total", mirror="scenes", error="Mismatch") == 1
    assert value(metrics, "syncd_passes_total", mirror="scenes", outcome="incomplete") == 1
    assert value(metrics, "syncd_transfer_size_bytes_count") == 11
    assert value(metrics, "syncd_inflight_files", mirror="scenes") == 0


class Told(list):
    """Where a Mirroring appends its events."""

    def __init__(self, metrics):
        self.append = metrics.listener


def test_a_pass_that_ran_out_of_room_is_one_pass_and_one_failure():
    metrics = Metrics(VERSION)
    for event in (
        e.PassStarted("m", 1, "schedule", ""),
        e.PassFinished("m", "", False, 1, 0, 0, 0, 0, 0, 10, 1.0),
        e.PassFailed("m", "NoSpace", "m: no room", 60.0),
        e.PassStarted("m", 2, "schedule", ""),
        e.PassFailed("m", "Unreachable", "nobody answered", 60.0),
    ):
        metrics.listener(event)
    outcomes = {o: value(metrics, "syncd_passes_total", mirror="m", outcome=o) for o in f.PASS_OUTCOMES}
    assert outcomes == {"complete": 0, "incomplete": 1, "failed": 1}
    assert value(metrics, "syncd_pass_errors_total", mirror="m", error="NoSpace") == 1
    assert value(metrics, "syncd_pass_errors_total", mirror="m", error="Unreachable") == 1


def test_what_waits_is_known_since_when_until_a_pass_is_complete():
    clock = Clock()
    metrics = Metrics(VERSION, now=clock)
    name = "syncd_pending_since_timestamp_seconds", frozenset({("mirror", "m")})

    def tell(*events):
        clock.now += 60
        for event in events:
            metrics.listener(event)

    tell(e.Planned("m", 0, 0, 5, 0, 0, 0, complete=True), e.PassFinished("m", "", True, 0, 0, 5, 0, 0, 0, 0, 1.0))
    assert name not in samples(metrics)
    tell(e.Planned("m", 3, 0, 5, 0, 0, 0, complete=True), e.PassFinished("m", "", False, 2, 0, 5, 0, 0, 1, 0, 1.0))
    tell(e.Planned("m", 1, 0, 5, 0, 0, 0, complete=True))
    assert samples(metrics)[name] == NOW + 120
    tell(e.PassFinished("m", "", True, 1, 0, 7, 0, 0, 0, 0, 1.0))
    assert name not in samples(metrics)


def test_lag_is_from_upstreams_publication_to_ours_and_not_to_the_transfer():
    clock = Clock()
    metrics = Metrics(VERSION, now=clock)
    start = e.PassStarted("m", 1, "schedule", "")
    for event in (start, *(proved(n, modified) for n, modified in enumerate((NOW - 30, NOW - OLD - 60, None)))):
        metrics.listener(event)
    clock.now += 3000
    bucket = "syncd_mirror_publication_lag_seconds_bucket"
    assert value(metrics, "syncd_mirror_publication_lag_seconds_count", mirror="m") == 1, "the old one"
    metrics.listener(e.Published("m", "", 3, 3, changed=True))
    assert value(metrics, bucket, mirror="m", le="900.0") == 0
    assert value(metrics, bucket, mirror="m", le="3600.0") == 1
    assert value(metrics, bucket, mirror="m", le="604800.0") == 1
    assert value(metrics, bucket, mirror="m", le="+Inf") == 2
    assert value(metrics, "syncd_mirror_local_newest_timestamp_seconds", mirror="m") == NOW - 30
    metrics.listener(e.Published("m", "", 3, 3, changed=False))
    assert value(metrics, "syncd_mirror_publication_lag_seconds_count", mirror="m") == 2, "nothing is counted twice"
    assert value(metrics, "syncd_mirror_snapshots_published_total", mirror="m") == 1


def proved(number, modified):
    return e.TransferFinished("m", str(number), 1, "verified", replaced=False, seconds=0.1, modified=modified)


def test_memory_does_not_grow_with_the_files_of_a_pass():
    metrics = Metrics(VERSION, now=Clock())
    metrics.listener(e.PassStarted("m", 1, "schedule", ""))
    for number in range(20_000):
        metrics.listener(e.TransferStarted("m", str(number), 1))
        metrics.listener(proved(number, NOW - number * 7))
    count = metrics.counting.of("m")
    assert (len(count.moving), len(count.proved) < 2400) == (0, True)


def test_a_reload_that_fails_is_told_until_one_succeeds():
    clock = Clock()
    metrics = Metrics(VERSION, now=clock)
    clock.now += 10
    metrics.listener(e.ReloadFailed("", ("syncd.yaml:1:1: x",)))
    assert value(metrics, "syncd_config_last_reload_successful") == 0
    assert value(metrics, "syncd_config_last_reload_success_timestamp_seconds") == NOW
    metrics.listener(e.Reloaded("", (), ()))
    assert value(metrics, "syncd_config_last_reload_successful") == 1
    assert value(metrics, "syncd_config_last_reload_success_timestamp_seconds") == NOW + 10


async def test_the_store_is_timed_and_what_is_not_there_is_no_failure(tmp_path):
    metrics = Metrics(VERSION)
    inner = FilesystemStore(tmp_path)
    await inner.identify(None)
    store = MeteredStore(inner, metrics.meter)
    try:
        await store.put("a", b"1")
        with pytest.raises(NotFound):
            await store.stat("b")
        async with store.open("a") as body:
            assert [chunk async for chunk in body] == [b"1"]
        async with store.stage("c", size=1) as file:
            await file.write(0, b"1")
            with pytest.raises(Damaged):
                await file.commit(size=2, sha256="0" * 64)
    finally:
        await store.aclose()
    counted = {
        (operation, outcome): value(metrics, "syncd_store_operations_total", operation=operation, outcome=outcome)
        for operation in ("put", "stat", "open", "stage", "commit", "move")
        for outcome in ("done", "failed")
    }
    assert {key for key, count in counted.items() if count} == {
        ("put", "done"), ("stat", "done"), ("open", "done"), ("stage", "done"), ("commit", "failed"),
    }  # fmt: skip
    assert value(metrics, "syncd_store_operation_seconds_count", operation="commit") == 1


async def test_the_lag_of_the_event_loop_is_measured():
    metrics = Metrics(VERSION)
    watching = asyncio.create_task(metrics.watch_loop(0.001))
    while value(metrics, "syncd_event_loop_lag_seconds_count") < 3:
        await asyncio.sleep(0.001)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert value(metrics, "syncd_event_loop_lag_seconds_sum") >= 0
