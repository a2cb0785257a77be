"""One mirror is steered through the running daemon, and forty others go on; a job outlasts a kill of the daemon."""

import json
import subprocess

import pytest

from syncd.cli.daemon_client import find_daemon
from tests.acceptance.cli import SYNCD
from tests.acceptance.daemon_process import Service
from tests.acceptance.gated_site import GatedSite

FILES = {f"f{number}": b"content %d" % number for number in range(10)}
OTHERS = [f"other-{number:02}" for number in range(40)]


@pytest.fixture
def site():
    with GatedSite(FILES).serving() as site:
        yield site


@pytest.fixture
def service(tmp_path, site):
    service = Service(tmp_path, site.origin)
    (tmp_path / "m/one.yaml").write_text(
        f"mirror: one\nsource: {{settle: 0s, url: '{site.origin}/one/'}}\nkeep: {{versions: 9}}\n"
    )
    try:
        yield service
    finally:
        service.stop()


def begin(service):
    before = len(service.events("daemon_started")) if service.log.exists() else 0
    service.start()
    service.until(lambda: len(service.events("daemon_started")) > before, "started")
    return find_daemon(service.root / "state")


def asked(client, path, method="GET"):
    return json.loads(client.ask(method, path))


def last_pass(client, name):
    return asked(client, f"/api/v1/mirrors/{name}/passes?limit=1")["passes"][0]


def done(service, *words, wanted=0):
    code, out, err = service.command(*words)
    assert code == wanted, (words, code, out, err)
    return out


def test_one_mirror_is_steered_while_forty_others_finish_passes(service, site):
    for name in OTHERS:
        (service.root / "www" / name).mkdir(parents=True)
        (service.root / "www" / name / "file").write_text(name)
        url = f"file://{service.root}/www/{name}/"
        (service.root / f"m/{name}.yaml").write_text(f"mirror: {name}\nsource: {{settle: 0s, url: '{url}'}}\n")
    client = begin(service)
    before = asked(client, "/api/v1/daemon")
    manifest = str(service.root / "m/one.yaml")
    done(service, "sync", manifest)
    first = asked(client, "/api/v1/mirrors/one")["snapshot"]

    for number in range(5):  # half of the files vanish upstream: the guard holds them
        del site.files[f"f{number}"]
    done(service, "sync", manifest, wanted=3)
    assert "the next pass deletes 5 files" in done(service, "approve", "one")
    service.until(lambda: len(service.copy("one")) == 5, "deleted")
    done(service, "rollback", "one", first[:12], "--hold")
    assert service.copy("one") == FILES
    assert asked(client, "/api/v1/mirrors/one")["state"] == "paused"
    done(service, "sync", manifest, wanted=3)
    done(service, "release", "one")
    done(service, "sync", manifest, wanted=3)
    done(service, "approve", "one")
    service.until(lambda: len(service.copy("one")) == 5, "deleted again")
    done(service, "undelete", "one", "f0")
    assert service.copy("one")["f0"] == FILES["f0"]

    damaged = service.root / "store/one/f9"
    damaged.unlink()
    damaged.write_bytes(b"CONTENT 9")
    site.gate.clear()
    with subprocess.Popen(
        [SYNCD, "verify", "one", "--read-data", "--repair", "--config", service.root / "syncd.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as repair:  # fmt: skip
        assert site.waited.wait(60), "the repair does not ask upstream"
        (job,) = [one for one in asked(client, "/api/v1/jobs")["jobs"] if one["act"] == "verify"]
        assert job["state"] == "running"
        for name in OTHERS:
            asked(client, f"/api/v1/mirrors/{name}/sync", "POST")
        service.until(
            lambda: all(
                (one := last_pass(client, name))["began"] >= job["began"] and one["outcome"] == "complete"
                for name in OTHERS
            ),
            "the others' passes",
        )
        assert asked(client, f"/api/v1/jobs/{job['id']}")["state"] == "running"
        site.gate.set()
        out, _ = repair.communicate(timeout=120)
        assert repair.returncode == 0, out
    assert out.splitlines()[0].startswith("repaired: digest: ")
    assert damaged.read_bytes() == b"content 9"

    (service.root / "m/one.yaml").unlink()
    service.until(lambda: asked(client, "/api/v1/mirrors/one")["state"] == "retired", "retired")
    done(service, "forget", "one", "--bytes", wanted=2)
    done(service, "forget", "one", "--bytes", "--yes", "one")
    assert not service.copy("one")
    assert {one["name"] for one in asked(client, "/api/v1/mirrors")["mirrors"]} == set(OTHERS)
    after = asked(client, "/api/v1/daemon")
    assert [after[key] for key in ("pid", "started", "state")] == [before[key] for key in ("pid", "started", "state")]
    assert not service.events("bug")


def test_a_job_that_a_kill_cut_off_goes_on_at_the_next_start(service, site):
    client = begin(service)
    done(service, "sync", str(service.root / "m/one.yaml"))
    for path in ("f1", "f2"):
        (service.root / "store/one" / path).unlink()
    site.gate.clear()
    job = asked(client, "/api/v1/mirrors/one/acts/reset", "POST")
    assert asked(client, f"/api/v1/jobs/{job['id']}?wait=30")["state"] == "done"
    with subprocess.Popen(
        [SYNCD, "verify", "one", "--repair", "--config", service.root / "syncd.yaml"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as repair:  # fmt: skip
        assert site.waited.wait(60)
        service.stop()
        _, err = repair.communicate(timeout=120)
        assert repair.returncode == 4
        assert "the daemon does not answer" in err
    site.gate.set()
    service.process = None
    client = begin(service)
    job = asked(client, "/api/v1/jobs?limit=1")["jobs"][0]
    job = asked(client, f"/api/v1/jobs/{job['id']}?wait=60")
    assert (job["act"], job["state"], job["code"]) == ("verify", "done", 0)
    assert service.copy("one") == FILES
    kinds = [one["act"] for one in asked(client, "/api/v1/jobs")["jobs"]]
    assert kinds == ["verify", "reset", "sync"]
