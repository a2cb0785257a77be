"""A real Prometheus scrapes a real daemon at work: every query of every panel has series, and alerts fire."""

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
from ruamel.yaml import YAML

from syncd.catalogue import UsageCounts
from tests.hostile.faults import Status
from tests.hostile.server import HostileServer
from tests.servers.started import free_port

ROOT = Path(__file__).parents[2]
BOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SCRAPE = "250ms"
PATIENCE = 300.0  # seconds for all series to appear, on a machine that is busy with other tests
# the daemon as it is, but that it looks after its house and its store at once, and not after a minute
DAEMON = """
import syncd.daemon.maintenance, syncd.daemon.scrubber
syncd.daemon.maintenance.FIRST, syncd.daemon.scrubber.IDLE = 0.1, 0.2
from syncd.cli.main import main
main()
"""
yaml = YAML(typ="safe", pure=True)


def tree():
    now = time.time()
    files = {f"fresh/{n % 3}/f{n:02}.nc": os.urandom(1000 * n) for n in range(1, 13)}
    files["fresh/large.nc"] = os.urandom(9 << 20)
    listed = {"good.dat": os.urandom(5000), "bad.dat": os.urandom(5000)}
    sums = {name: sha256(content).hexdigest() for name, content in listed.items()}
    sums["bad.dat"] = sha256(b"another").hexdigest()
    files |= {f"listed/{name}": content for name, content in listed.items()}
    files["listed/SHA256SUMS"] = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    return files, now


def token():
    """A bearer token that says when it ends."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 90 * 86_400}).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJl"


@asynccontextmanager
async def process(*words, log, **more):
    """A process that is told to end, by its id, when the block is left."""
    with log.open("wb") as out:
        started = subprocess.Popen([*map(str, words)], stdout=out, stderr=out, **more)
    try:
        yield started
    finally:
        started.terminate()
        try:
            await asyncio.to_thread(started.wait, 20)
        except subprocess.TimeoutExpired:
            started.kill()
            await asyncio.to_thread(started.wait)


def write_daemon(folder, server, port):
    source = f"credentials: portal, url: '{server.url()}"
    manifests = folder / "manifests.d"
    manifests.mkdir()
    (manifests / "fresh.yaml").write_text(
        f"mirror: fresh\nsource: {{{source}fresh/', reader: autoindex}}\nschedule: {{every: 1h}}\nverify: {{scrub: 1h}}\n"
    )
    (manifests / "listed.yaml").write_text(
        f"mirror: listed\nsource: {{{source}listed/', reader: checksums, checksums: [SHA256SUMS]}}\nschedule: {{every: 2s}}\n"
    )
    (manifests / "wrong.yaml").write_text("mirror: wrong\nsource: {}\n")
    (folder / "state").mkdir()
    with UsageCounts(folder / "state") as counts:  # as a public side with the same state folder leaves it
        given = {("fresh", "tool", 200): [3, 4096], ("fresh", "tool", 499): [1, 10]}
        counts.together(lambda: counts.add("2026-01-01", {}, given, {}, (), ()))
    config = folder / "syncd.yaml"
    config.write_text(
        f"state: ./state\nstore: {{url: ./store}}\nmanifests: [./manifests.d]\nlisten: 127.0.0.1:{port}\n"
        f'allow_private: ["{server.origin}"]\nbudget: {{keep_free: 1 MiB}}\n'
        f'credentials: {{portal: {{origin: "{server.origin}", bearer: {{env: PORTAL_TOKEN}}}}}}\n'
    )
    return config


def write_prometheus(folder, port):
    """Our example, with another address and in more of a hurry."""
    config = yaml.load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
    config["rule_files"] = [str(ROOT / "deploy/prometheus" / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    return file


class Prometheus:
    def __init__(self, session, url):
        self.session, self.url = session, url

    async def ask(self, path, **words):
        async with self.session.get(f"{self.url}/api/v1/{path}", params=words) as response:
            said = await response.json()
            assert said["status"] == "success", f"{words}: {said}"
            return said["data"]

    async def series(self, expr):
        return (await self.ask("query", query=expr))["result"]


def queries():
    """Every query of every panel and variable, as Grafana sends it: for all instances, for one mirror."""
    for file in BOARDS:
        board = json.loads(file.read_text())
        mirror = "fresh" if file.stem == "syncd-mirror" else ".*"
        chosen = {"instance": ".*", "origin": ".*", "mirror": mirror, "__rate_interval": "30s", "__range": "1h"}
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                expr = re.sub(r"\$(\w+)", lambda name: chosen[name[1]], target["expr"])  # noqa: B023 called before the next board
                yield f"{file.stem}: {panel['title']}: {target['refId']}", expr
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                name = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                assert name is not None
                yield f"{file.stem}: ${variable['name']}", f"{name[1].replace('$instance', '.*')}"


async def until(what, holds):
    """Wait until `holds` returns nothing that is missing."""
    deadline = time.monotonic() + PATIENCE
    while missing := await holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}:\n" + "\n".join(map(str, missing)))
        await asyncio.sleep(0.05)


async def test_every_query_of_every_panel_has_series_and_alerts_fire(tmp_path, authority):
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is not installed (Debian: prometheus)"
    files, now = tree()
    port, ours = free_port(), free_port()
    environ = {**os.environ, "SSL_CERT_FILE": str(authority.root), "PORTAL_TOKEN": token()}
    async with HostileServer(ssl_context=authority.server) as server:
        for path, content in files.items():
            server.put(path, content, modified=now - 600)
        server.fault("fresh/0/f03.nc", Status(503))
        daemon = (sys.executable, "-P", "-c", DAEMON, "run", "--config", write_daemon(tmp_path, server, port))
        prometheus = (
            program, f"--config.file={write_prometheus(tmp_path, port)}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ours}", "--log.level=warn",
        )  # fmt: skip
        async with (
            process(*daemon, log=tmp_path / "daemon.log", env=environ, cwd=tmp_path) as run,
            process(*prometheus, log=tmp_path / "prometheus.log", cwd=tmp_path),
            aiohttp.ClientSession() as session,
        ):
            watching = Prometheus(session, f"http://127.0.0.1:{ours}")

            async def answers():
                assert run.poll() is None, (tmp_path / "daemon.log").read_text()
                try:
                    up = await watching.series('up{job="syncd"} == 1')
                except aiohttp.ClientError as error:
                    return [error]
                return [] if up else [(tmp_path / "daemon.log").read_text()[-2000:]]

            waiting = dict(queries())

            async def without_series():
                found = await asyncio.gather(*map(watching.series, waiting.values()))
                for where, series in zip(tuple(waiting), found, strict=True):
                    if series:
                        del waiting[where]
                return waiting.items()

            async def not_firing():
                rules = await watching.ask("rules")
                alerts = {rule["name"]: rule for group in rules["groups"] for rule in group["rules"]}
                assert {rule["health"] for rule in alerts.values()} <= {"ok", "unknown"}, alerts
                return [name for name in ("SyncdVerifyFailures",) if alerts[name]["state"] != "firing"]

            await until("the daemon is not scraped", answers)
            await until("panels without series", without_series)
            await until("alerts that should fire", not_firing)
            server.assert_spent()
            assert (await watching.series('syncd_transfers_total{mirror="fresh", outcome="fetched"}'))[0]["value"][
                1
            ] == "13"
            assert [one["metric"]["error"] for one in await watching.series("syncd_transfer_errors_total > 0")] == [
                "Mismatch"
            ]
            assert await watching.series("syncd_origin_certificate_expiry_timestamp_seconds > time()")
            assert await watching.series('syncd_origin_requests_total{outcome="refused"} > 0')
            (series,) = await watching.series('count({__name__=~"syncd_.+"})')
            assert int(series["value"][1]) < 600
        assert run.returncode == 0, (tmp_path / "daemon.log").read_text()
