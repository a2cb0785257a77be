"""An operator pauses an upstream origin until a time, over restarts too, and changes its rate while the daemon runs."""

import json

import pytest

from syncd.cli.daemon_client import find_daemon
from tests.acceptance.daemon_process import Service
from tests.acceptance.gated_site import GatedSite


@pytest.fixture
def service(tmp_path):
    with GatedSite({"f": b"f"}).serving() as site:
        service = Service(tmp_path, site.origin)
        (tmp_path / "m/one.yaml").write_text(
            f"mirror: one\nsource: {{settle: 0s, url: '{site.origin}/one/'}}\nschedule: {{every: 1h}}\n"
        )
        try:
            yield service
        finally:
            service.stop()


def asked(service, path):
    client = find_daemon(service.root / "state")
    assert client is not None
    return json.loads(client.ask("GET", path))


def begin(service):
    service.process = None
    before = len(service.events("daemon_started")) if service.log.exists() else 0
    service.start()
    service.until(lambda: len(service.events("daemon_started")) > before, "started")


def test_a_paused_origin_is_asked_nothing_until_it_is_resumed(service):
    (service.root / "m/one.yaml").rename(service.root / "later")
    code, out, _ = service.command("origin", "pause", service.origin, "2h")
    assert (code, out.startswith(f"{service.origin} is paused until ")) == (0, True)
    begin(service)
    (service.root / "later").rename(service.root / "m/one.yaml")
    service.until(lambda: asked(service, "/api/v1/mirrors")["mirrors"], "declared")
    service.until(lambda: asked(service, "/api/v1/mirrors/one")["state"] == "waiting", "waiting")
    assert asked(service, "/api/v1/mirrors/one")["message"]["code"] == "waits.origin"
    assert not service.events("pass_started")
    service.stop()
    begin(service)
    service.until(lambda: asked(service, "/api/v1/mirrors/one")["state"] == "waiting", "waiting again")
    assert service.command("origin", "resume", service.origin)[:2] == (0, f"{service.origin} is resumed\n")
    service.until(lambda: service.events("pass_finished"), "finished")
    assert service.copy("one") == {"f": b"f"}
    assert service.command("origin", "rate", service.origin, "20MB/s")[0] == 0
    (listed,) = json.loads(service.command("origin", "list", "--json")[1])
    assert (listed["origin"], listed["rate_limit"], listed["paused_until"]) == (service.origin, 20_000_000, None)
    assert service.command("origin", "rate", service.origin, "fast")[0] == 2
    assert service.command("origin", "pause", "nowhere", "2h")[0] == 2
    assert service.command("origin", "pause", service.origin, "soon")[0] == 2
    service.stop()
    assert service.command("origin", "rate", service.origin, "1MB/s")[0] == 3
