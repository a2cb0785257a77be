"""A second daemon is refused, and whoever is asked to stop leaves a store that is true."""

import random
import signal
import socket
import subprocess
import time

import pytest

from syncd.process.event_loop import GRACE
from tests.acceptance.cli import Folder, run, start, sync, tree
from tests.servers.nginx import nginx


@pytest.fixture
def slow(tmp_path):
    """A mirror whose pass takes seconds."""
    root = tmp_path / "www"
    root.mkdir()
    for n in range(12):
        (root / f"large{n}").write_bytes(random.Random(n).randbytes(8 << 20))
    manifest = tmp_path / "slow.yaml"
    with nginx(root, tmp_path / "nginx", "limit_rate 1m;") as upstream:
        manifest.write_text(f"mirror: slow\nsource: {{url: '{upstream.origin}/', limits: {{connections: 8}}}}\n")
        yield root, manifest, ("--allow-private", upstream.origin)


def until_at_work(store):
    deadline = time.monotonic() + 120
    while not any((store.root / ".syncd/tmp").glob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_twice_it_stops_at_once_with_130_and_the_next_run_resumes(slow, tmp_path, number):
    root, manifest, allowed = slow
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    process = start(store, state, "sync", manifest, *allowed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until_at_work(store)
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(120) in (130, -number)
    assert all(content == (root / path).read_bytes() for path, content in store.read("slow/").items())
    assert sync(store, state, manifest, *allowed)["complete"]
    assert store.read("slow/") == tree(root)


@pytest.fixture
def silent(tmp_path):
    """A mirror whose upstream fell silent after a first pass: it takes connections, and answers none."""
    root = tmp_path / "www"
    root.mkdir()
    (root / "kept.txt").write_bytes(b"kept")
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "silent.yaml"
    with nginx(root, tmp_path / "nginx") as upstream:
        manifest.write_text(f"mirror: silent\nsource: {{url: '{upstream.origin}/'}}\n")
        allowed = ("--allow-private", upstream.origin)
        sync(store, state, manifest, *allowed)
    with socket.socket() as silence:
        silence.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silence.bind(("127.0.0.1", int(upstream.origin.rpartition(":")[2])))
        silence.listen()
        silence.settimeout(30)
        yield store, state, manifest, allowed, silence


@pytest.mark.parametrize("words", [("survey",), ("plan",), ("verify", "--read-data", "--repair")], ids=" ".join)
def test_what_has_nothing_in_flight_stops_when_it_is_first_asked_to(silent, words):
    store, state, manifest, allowed, silence = silent
    (store.root / "silent/kept.txt").write_bytes(b"lost")
    subject = "silent" if words[0] == "verify" else manifest
    process = start(store, state, *words, subject, *allowed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    silence.accept()[0].close()
    asked, _ = silence.accept()  # it tries again, and waits
    process.send_signal(signal.SIGINT)
    assert process.wait(GRACE - 1) == 130
    asked.close()
    assert (store.root / "silent/kept.txt").read_bytes() == b"lost"


@pytest.mark.promise("P3")
@pytest.mark.fault(43)
def test_a_second_daemon_on_the_same_store_or_state_is_refused_with_exit_3(slow, tmp_path):
    _, manifest, allowed = slow
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    first = start(store, state, "sync", manifest, *allowed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until_at_work(store)
        run(store, state, "sync", manifest, *allowed, wanted=3)  # the same state
        run(store, tmp_path / "other", "sync", manifest, *allowed, wanted=3)  # the same store
    finally:
        first.kill()
        first.wait()
    # the lease of a dead process does not outlive it
    assert sync(store, state, manifest, *allowed)["complete"]


@pytest.mark.fault(39)
def test_an_unmounted_store_is_offline_and_not_empty(slow, tmp_path):
    _, manifest, allowed = slow
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    sync(store, state, manifest, *allowed)
    store.root.rename(tmp_path / "unmounted")
    store.root.mkdir()
    run(store, state, "sync", manifest, *allowed, wanted=4)
    assert list(store.root.iterdir()) == []
