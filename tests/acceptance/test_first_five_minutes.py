"""A new user: from an address to a verified copy, and to an alert when upstream sends something wrong.

`pytest -s` prints each step and its seconds.
"""

import asyncio
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager

import aiohttp

from tests.acceptance.cli import SYNCD, tree
from tests.acceptance.test_prometheus_scrape import Prometheus, process, until, write_prometheus
from tests.miniatures.miniature import served, sha256
from tests.miniatures.physionet import PhysioNet
from tests.servers.nginx import free_port

LIMIT = 300.0  # seconds for everything a new user waits for
CONFIG = """
state: ./state
store: {{url: ./store}}
manifests: [./manifests.d]
listen: 127.0.0.1:{port}
allow_private: ["{origin}"]
budget: {{keep_free: 0 B}}
"""


class Careless(PhysioNet):
    """Publishes, once `is_wrong`, a checksum of a file that is not that of its bytes."""

    is_wrong = False

    def answer(self, path, query, origin):
        found = super().answer(path, query, origin)
        if self.is_wrong and path.endswith("SHA256SUMS.txt"):
            right, wrong = sha256(self.files.get("102.dat", b"")), sha256(b"something else")
            assert isinstance(found, bytes)
            return found.replace(right.encode(), wrong.encode())
        return found


class Steps:
    """The steps of a new user, and how long each takes."""

    def __init__(self):
        self.taken = []

    @contextmanager
    def step(self, name):
        began = time.monotonic()
        yield
        self.taken.append((name, time.monotonic() - began))

    def lines(self):
        return [f"{seconds:7.1f} s  {name}" for name, seconds in self.taken]


async def command(folder, *words):
    """Run a command of a user in the folder."""
    ended = await asyncio.to_thread(
        subprocess.run, [str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


async def test_a_new_user_gets_from_an_address_to_a_verified_copy_and_an_alert(tmp_path):
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is not installed (Debian: prometheus)"
    port, ours, upstream, steps = free_port(), free_port(), Careless(), Steps()
    (tmp_path / "manifests.d").mkdir()
    with served(upstream.app()) as origin:
        (tmp_path / "syncd.yaml").write_text(CONFIG.format(port=port, origin=origin))
        with steps.step("syncd init URL --folder manifests.d"):
            address = f"{origin}/files/mitdb/1.0.0/"
            await command(
                tmp_path, SYNCD, "init", address, "--folder", "manifests.d", "--name", "mitdb", "--config", "syncd.yaml"
            )
        with steps.step("edit the schedule; syncd check manifests.d"):
            manifest = tmp_path / "manifests.d/mitdb.yaml"
            manifest.write_text(re.sub(r"schedule: .*", "schedule: {every: 2s}", manifest.read_text()))
            await command(tmp_path, SYNCD, "check", "manifests.d")
        prometheus = (
            program, f"--config.file={write_prometheus(tmp_path, port)}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ours}", "--log.level=warn",
        )  # fmt: skip
        daemon = (SYNCD, "run", "--config", "syncd.yaml")
        async with (
            process(*daemon, log=tmp_path / "daemon.log", env=dict(os.environ), cwd=tmp_path) as run,
            process(*prometheus, log=tmp_path / "prometheus.log", cwd=tmp_path),
            aiohttp.ClientSession() as session,
        ):
            watching = Prometheus(session, f"http://127.0.0.1:{ours}")

            async def holds(expr):
                assert run.poll() is None, (tmp_path / "daemon.log").read_text()
                try:
                    found = await watching.series(expr)
                except aiohttp.ClientError as error:
                    return [error]
                return [] if found else [f"{expr}: {(tmp_path / 'daemon.log').read_text()[-1500:]}"]

            verified = 'syncd_mirror_files{mirror="mitdb", verdict="verified"} == 4'
            with steps.step("syncd run: the copy is there, and all of it is verified"):
                await until("the copy is not verified", lambda: holds(verified))
            with steps.step("sha256sum -c, without syncd"):
                (sums,) = (tmp_path / "store/.syncd/snapshots/mitdb").glob("*/SHA256SUMS")
                checked = await command(tmp_path / "store/mitdb", "sha256sum", "--check", "--quiet", sums)
                assert not checked
            with steps.step("upstream publishes a wrong checksum: an alert"):
                upstream.is_wrong = True
                upstream.change()
                firing = 'ALERTS{alertname="SyncdVerifyFailures", mirror="mitdb", alertstate="firing"}'
                await until("no alert", lambda: holds(firing))
            copy = tree(tmp_path / "store/mitdb")
            assert "102.dat" not in copy  # the file is in the quarantine, and not in the copy
            assert copy["RECORDS"] == upstream.files["RECORDS"]
        assert run.returncode == 0, (tmp_path / "daemon.log").read_text()
    print("", *steps.lines(), sep="\n")
    assert sum(seconds for _, seconds in steps.taken) < LIMIT, steps.lines()
