"""A power cut at any step costs time, never truth: what was not on the disk by then is gone, and nothing relies on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.power_cuts import mounted
from tests.servers.fixtures import unavailable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def disk(tmp_path):
    require_loop_devices()
    with mounted(tmp_path) as made:
        yield made


def require_loop_devices():
    if os.geteuid() != 0:
        unavailable("A disk to cut the power of", "mounting one needs root")
    try:
        os.close(os.open("/dev/loop-control", os.O_RDWR))
    except OSError as error:  # no package brings them
        pytest.skip(f"this system has no loop devices: {error}")


def test_a_cut_loses_what_was_not_synced_and_nothing_else(disk):
    with (disk.root / "synced").open("wb") as file:
        file.write(b"on the disk")
        file.flush()
        os.fsync(file.fileno())
    (disk.root / "unsynced").write_bytes(b"in memory")
    disk.cut()
    disk.unmount()
    disk.mount()
    assert {p.name: p.read_bytes() for p in disk.root.iterdir() if p.is_file()} == {"synced": b"on the disk"}


@pytest.mark.promise("P2", "P4")
@pytest.mark.fault(41)
def test_power_cuts_at_chosen_steps_of_a_pass_cost_time_and_never_truth():
    require_loop_devices()
    # a process of its own: it forks, and this one has threads
    words = [sys.executable, "-m", "tests.campaign.power_cuts", "--sample", "29"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 wrong; at " in done.stdout
    met = done.stdout.rpartition(" at ")[2].strip().split(", ")
    assert {"fsync", "pwrite", "rename"} <= set(met), f"too few kinds of steps were met: {met}"
