"""`syncd run` as an operator meets it: signals, kills, a second daemon, commands beside it."""

import json
import random
import signal
import subprocess
import urllib.request

import pytest

from tests.acceptance.cli import SYNCD
from tests.acceptance.daemon_process import Service
from tests.servers.nginx import nginx


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def slow(tmp_path):
    """A daemon whose only mirror takes seconds."""
    www = tmp_path / "www"
    (www / "slow").mkdir(parents=True)
    for n in range(3):
        (www / f"slow/large{n}").write_bytes(random.Random(n).randbytes(8 << 20))
    (www / "quick").mkdir()
    (www / "quick/one").write_bytes(b"one")
    with nginx(www, tmp_path / "nginx", "limit_rate 2m;") as upstream:
        service = Service(tmp_path, upstream.origin)
        service.declare("slow", ", limits: {connections: 2, rate: 8 MB/s}")
        try:
            yield service
        finally:
            service.stop()


def at_work(service):
    return any((service.root / "store/.syncd/tmp").glob("*.part"))


@pytest.mark.promise("P4")
@pytest.mark.fault(40)
def test_killed_in_the_middle_it_goes_on_by_itself_and_commands_look_beside_it(slow):
    slow.start()
    slow.until(lambda: at_work(slow), "at work")
    slow.process.kill()
    slow.process.wait()
    slow.start()
    slow.until(lambda: slow.events("pass_finished"), "finished")
    assert slow.copy("slow") == tree(slow.root / "www/slow")
    second = subprocess.run(
        [SYNCD, "run", "--config", slow.root / "syncd.yaml"], capture_output=True, text=True, check=False, timeout=240
    )
    assert second.returncode == 3
    assert f"in use by process {slow.process.pid}, `syncd run`: ask it (POST http://" in second.stderr
    code, out, _ = slow.command("status", "--json")
    assert (code, [one["mirror"] for one in json.loads(out)]) == (0, ["slow"])
    for words in (("approve", "slow"), ("sync", str(slow.root / "m/slow.yaml"))):
        assert slow.command(*words)[0] == 0, "the daemon is asked to do it"
    code, _, err = slow.command("rebuild")
    assert code == 3
    assert "a running daemon works with the Catalogue: stop it, or name one mirror" in err
    code, out, _ = slow.command("snapshots", "slow", "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    url = slow.events("serving")[-1]["url"]
    with urllib.request.urlopen(f"{url}/api/v1/mirrors/slow/passes") as answer:
        passes = json.load(answer)["passes"]
    assert [one["outcome"] for one in passes] == ["complete", "complete", "killed"]
    slow.process.send_signal(signal.SIGTERM)
    assert slow.process.wait(120) == 0
    assert not list((slow.root / "state").glob("spool-*"))
    assert slow.events("daemon_stopping")


@pytest.mark.fault(40)
@pytest.mark.parametrize("times", [1, 2])
def test_asked_to_stop_it_lets_transfers_end_and_asked_twice_it_stops_at_once(slow, times):
    slow.start()
    slow.until(lambda: at_work(slow), "at work")
    slow.process.send_signal(signal.SIGTERM)
    if times == 2:
        slow.until(lambda: slow.events("daemon_stopping"), "stopping")
        slow.process.send_signal(signal.SIGTERM)
        assert slow.process.wait(120) == 130
    else:
        assert slow.process.wait(120) == 0
        assert slow.events("published"), "what was proved is published"
    truth = tree(slow.root / "www/slow")
    assert all(truth[path] == content for path, content in slow.copy("slow").items())
    slow.process = None
    slow.start()
    slow.until(lambda: any(one["complete"] for one in slow.events("pass_finished")), "complete")
    assert slow.copy("slow") == truth


def test_hung_up_it_reads_everything_again_and_a_new_manifest_needs_no_signal(slow):
    slow.declare("slow", ", limits: {rate: 500 kB/s}")  # most of a minute: it does not end here
    slow.start()
    slow.until(lambda: at_work(slow), "at work")
    slow.declare("quick")
    slow.until(lambda: [one for one in slow.events("pass_finished") if one["mirror"] == "quick"], "quick")
    assert not [one for one in slow.events("pass_finished") if one["mirror"] == "slow"], (
        "one did not wait for the other"
    )
    slow.process.send_signal(signal.SIGHUP)
    slow.until(lambda: slow.events("reloaded"), "reloaded")
    (slow.root / "m/quick.yaml").write_text("mirror: quick\nsource: 5\n")
    slow.until(lambda: slow.events("manifest_rejected"), "rejected")
    assert "quick.yaml:2:9: source: " in slow.events("manifest_rejected")[0]["problems"][0]


def test_an_address_that_is_taken_is_said_with_what_to_do(slow):
    slow.start()
    slow.until(lambda: slow.events("serving"), "serving")
    port = slow.events("serving")[0]["url"].rsplit(":", 1)[1]
    other = slow.root / "other"
    other.mkdir()
    (other / "syncd.yaml").write_text(f"listen: 127.0.0.1:{port}\n")
    done = subprocess.run(
        [SYNCD, "run", "--config", other / "syncd.yaml"], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 2
    assert f"listen: 127.0.0.1:{port}: cannot listen on this address" in done.stderr
