"""A daemon as a process of its own: its folders, its log, commands beside it."""

import json
import os
import subprocess
import time

from tests.acceptance.cli import SYNCD

CONFIG = """
state: ./state
store: {store}
manifests: [./m]
listen: 127.0.0.1:0
grace: {grace}
budget: {{keep_free: 0 B}}
allow_private: ["{origin}"]
"""


class Service:
    """The folders of a daemon that runs as a process of its own, and its log."""

    def __init__(self, root, origin, grace="10s", store="{url: ./store}", environ=None):
        """`environ` is added to our own environment."""
        self.root, self.origin, self.environ = root, origin, {**os.environ, **(environ or {})}
        (root / "m").mkdir()
        (root / "syncd.yaml").write_text(CONFIG.format(origin=origin, grace=grace, store=store))
        self.log = root / "log"
        self.process = None

    def declare(self, name, limits=""):
        (self.root / f"m/{name}.yaml").write_text(
            f"mirror: {name}\nsource: {{url: '{self.origin}/{name}/'{limits}}}\nschedule: {{every: 1h}}\n"
        )

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [SYNCD, "run", "--config", self.root / "syncd.yaml"],
                stderr=log,
                stdout=log,
                cwd=self.root,
                env=self.environ,
            )
        return self.process

    def events(self, name):
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [one for one in found if one["event"] == name]

    def until(self, true, what, seconds=90):
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process is None or self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"not {what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def command(self, *words):
        return self.run(*words, "--config", self.root / "syncd.yaml")

    def run(self, *words):
        done = subprocess.run(
            [SYNCD, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        return done.returncode, done.stdout, done.stderr

    def copy(self, name):
        root = self.root / "store" / name
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
