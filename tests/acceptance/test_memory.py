"""The formula of docs/operating.md ("How much memory") against real daemons and their workers.

Each setting has the MiB that it needed when it was written: a quarter more fails, long before the formula does.
A slow disk fills buffers that a quick one leaves empty, so the least of six runs counts; the formula bounds each.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.config import BudgetSettings
from tests.acceptance.cli import SYNCD
from tests.bench import publish
from tests.servers.nginx import nginx

ROOT = Path(__file__).parents[2]
MB = 1 << 20
CONNECTIONS = 16
RUNS = 6
PUBLISH_NEEDED = 22  # MiB of a publish of 100,000 files
CONFIG = f"""
state: ./state
store: {{{{url: ./store}}}}
manifests: [./m]
listen: 127.0.0.1:0
allow_private: ["{{origin}}"]
workers: {{workers}}
budget: {{{{keep_free: 0 B, memory: {{memory}} MiB, connections: {CONNECTIONS}, passes: {{mirrors}}}}}}
backup: {{{{keep: 0}}}}
"""
LISTED = "reader: checksums, checksums: [SHA256SUMS], include: ['y000/observation-0000000.nc']"


@dataclass(frozen=True)
class Setting:
    """What a daemon mirrors, and the MiB that it needed."""

    needed: int
    mirrors: int
    files: int
    size: int
    memory: int = 64
    workers: int = 0
    is_list: bool = False


SETTINGS = {
    "large files": Setting(90, 1, 4, 48 * MB),
    "large files, more of them in flight": Setting(103, 1, 4, 48 * MB, memory=192),
    "files of 4 MiB in two mirrors": Setting(175, 2, 20, 4 * MB),
    "small files in four mirrors": Setting(90, 4, 1_000, 600),
    "small files and two workers": Setting(172, 1, 4_500, 600, workers=2),
    "a list of 100,000 names": Setting(84, 1, 100_000, 0, is_list=True),
}


def formula():
    """Return the module with the formula: the one that writes it into docs/operating.md."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "deploy/generate.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(folder, setting):
    """Make what one mirror copies: holes, or a list of files of which one is wanted."""
    folder.mkdir(parents=True)
    if setting.is_list:
        lines = (f"{hashlib.sha256(b'').hexdigest()}  {name(n)}\n" for n in range(setting.files))
        (folder / "SHA256SUMS").write_text("".join(lines))
        (folder / name(0)).parent.mkdir()
        (folder / name(0)).touch()
        return
    for n in range(setting.files):
        file = folder / f"{n // 500:02}" / f"f{n:05}.dat"
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as out:
            out.truncate(setting.size)


def name(number):
    return f"y{number // 1000:03}/observation-{number:07}.nc"


def held(pid):
    """Return the most bytes that a process, and its children now alive, have held."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        lists = Path(f"/proc/{pid}/task").glob("*/children")  # of each thread: the daemon starts workers in one
        children = [child for threads in lists for child in threads.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")]
    return sum(own) + sum(held(child) for child in children)


def most_held(root):
    """Run the daemon until each mirror has had a pass, and return the most bytes that it held."""
    log, mirrors, most = root / "log", len(list((root / "m").iterdir())), 0
    with log.open("wb") as out:
        process = subprocess.Popen([SYNCD, "run", "--config", root / "syncd.yaml"], stdout=out, stderr=out, cwd=root)
    try:
        until, passed = time.monotonic() + 120, 0
        while passed < mirrors:
            passed = log.read_bytes().count(b'"event": "pass_finished"')
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            most = max(most, held(process.pid))
            time.sleep(0.05)
        return most
    finally:
        process.kill()
        process.wait()


def configure(root, setting, origin):
    """Write the configuration and the manifests of a daemon."""
    (root / "m").mkdir(parents=True)
    (root / "syncd.yaml").write_text(
        CONFIG.format(origin=origin, workers=setting.workers, memory=setting.memory, mirrors=setting.mirrors)
    )
    more = f", {LISTED}" if setting.is_list else ""
    for m in range(setting.mirrors):
        (root / f"m/m{m}.yaml").write_text(
            f"mirror: m{m}\nsource: {{url: '{origin}/m{m}/'{more}}}\nschedule: {{every: 1d}}\n"
        )


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_daemon_needs_no_more_memory_than_the_formula_says_and_than_it_did(setting, tmp_path):
    budget = BudgetSettings.model_validate(
        {"memory": f"{setting.memory} MiB", "connections": CONNECTIONS, "passes": setting.mirrors}
    )
    for m in range(setting.mirrors):
        make(tmp_path / "www" / f"m{m}", setting)
    runs = []
    with nginx(tmp_path / "www", tmp_path / "nginx") as upstream:
        for run in range(RUNS):
            configure(tmp_path / str(run), setting, upstream.origin)
            runs.append(most_held(tmp_path / str(run)))
            assert runs[-1] <= formula().bound(budget, setting.workers)
            if runs[-1] <= 1.25 * setting.needed * MB:
                return
    pytest.fail(f"{[most // MB for most in runs]} MiB; it was {setting.needed} MiB")


def test_a_publish_of_scattered_changes_needs_no_more_memory_than_the_formula_says_and_than_it_did(tmp_path):
    def run(work, number):
        command = [sys.executable, "-P", publish.__file__, publish.CHILD, tmp_path, work, "100000", str(number)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=True
        )
        found = json.loads(done.stdout)
        return (found["peak_MB"] - found["rest_MB"]) * 1e6

    run("prepare", 0)
    runs = []
    for number in range(RUNS):
        runs.append(run("scattered", number))
        assert runs[-1] <= formula().PUBLISH
        if runs[-1] <= 1.25 * PUBLISH_NEEDED * MB:
            return
    pytest.fail(f"{[most // MB for most in runs]} MiB; it was {PUBLISH_NEEDED} MiB")
