"""A clock that is years off, or steps, holds nothing up and loses nothing; whole programs, under libfaketime."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.cli import Folder, run, start, sync, tree
from tests.acceptance.daemon_process import Service
from tests.servers.fixtures import unavailable
from tests.servers.nginx import nginx

NOW = datetime.now(UTC)
CLOCKS = [(f"{days:+}d", (NOW + timedelta(days)).year) for days in (-400, 3650, -400, 0)]


@pytest.fixture
def faked():
    """Return the variables under which a program's clock is what a file says, and steps when that changes."""
    found = [str(file) for file in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        unavailable("libfaketime", "apt-get install libfaketime")
    return {"LD_PRELOAD": found[0], "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}


@pytest.fixture
def www(tmp_path):
    for n in range(12):
        file = tmp_path / f"www/m/{n % 3}/f{n}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(n).randbytes(5 << 20 if n == 5 else 30_000))
    return tmp_path / "www"


@pytest.mark.fault(44)
def test_passes_by_clocks_that_are_years_off_lose_nothing(tmp_path, www, faked):
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "m.yaml"
    with nginx(www, tmp_path / "nginx") as upstream:
        manifest.write_text(f"mirror: m\nsource: {{url: '{upstream.origin}/m/'}}\nguard: {{max_removed: 3}}\n")
        words = (manifest, "--allow-private", upstream.origin)
        assert sync(store, state, *words)["fetched"] == 12
        for number, (clock, year) in enumerate(CLOCKS):
            (www / f"m/new{number}").write_bytes(clock.encode())
            (www / f"m/0/f{3 * number}").unlink()
            store.environ = {**faked, "FAKETIME": clock}
            result = sync(store, state, *words)
            counts = {name: result[name] for name in ("complete", "fetched", "removed", "parked", "failed")}
            assert counts == {"complete": True, "fetched": 1, "removed": 1, "parked": 0, "failed": 0}
            assert json.loads(run(store, state, "snapshots", "m", "--json"))[0]["created"].startswith(str(year))
            verified = start(store, state, "verify", "m", "--read-data")
            assert verified.wait(200) == 0
            assert store.read("m/").items() >= tree(www / "m").items()


@pytest.mark.fault(44)
def test_a_daemon_whose_clock_steps_says_so_and_goes_on(tmp_path, www, faked):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    with nginx(www, tmp_path / "nginx") as upstream:
        service = Service(
            tmp_path, upstream.origin, environ={**faked, "FAKETIME_TIMESTAMP_FILE": str(clock), "TZ": "UTC"}
        )
        service.declare("m")

        def passes(count):
            return lambda: len([one for one in service.events("pass_finished") if one["complete"]]) >= count

        try:
            service.start()
            service.until(passes(1), "a pass")
            for number, step in enumerate(("+3650d", "-400d"), 1):
                clock.write_text(step)
                service.until(lambda number=number: len(service.events("clock_stepped")) >= number, "told")
                # years ahead a pass is due at once; years behind it is not held up for longer than its interval
                service.until(passes(2), "the next pass")
            assert [one["seconds"] > 0 for one in service.events("clock_stepped")] == [True, False]
            service.process.terminate()
            assert service.process.wait(120) == 0
            assert service.copy("m") == tree(www / "m")
        finally:
            service.stop()
