"""A full or failing disk: a clear message, exit 3 where there is no room, and the next run completes."""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from syncd.core.errors import Offline
from syncd.process.event_loop import first_of
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

MANIFEST = """
mirror: scenes
source: {{url: "file://{root}/", reader: checksums, checksums: [SHA256SUMS]}}
"""
SYNCD = Path(sys.executable).with_name("syncd")


@pytest.fixture
def archive(tmp_path):
    """Small and large files, whose sizes upstream does not say."""
    chance, root = random.Random(11), tmp_path / "archive"
    for n in range(30):
        (root / f"d{n % 3}").mkdir(parents=True, exist_ok=True)
        (root / f"d{n % 3}/s{n:02}").write_bytes(chance.randbytes(20_000))
    for n in range(3):
        (root / f"large{n}").write_bytes(chance.randbytes(6 << 20))
    files = sorted(p for p in root.rglob("*") if p.is_file())
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root)}\n" for p in files)
    (root / "SHA256SUMS").write_text(sums)
    (tmp_path / "scenes.yaml").write_text(MANIFEST.format(root=root))
    return root


def sync(folder, *, store, state, before=()):
    words = [*before, SYNCD, "sync", folder / "scenes.yaml", "--store", store, "--state", state]
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=280, check=False)


def same(archive, store):
    ours = store / "scenes"
    return {p.relative_to(archive): p.read_bytes() for p in archive.rglob("*") if p.is_file()} == {
        p.relative_to(ours): p.read_bytes() for p in ours.rglob("*") if p.is_file()
    }


def visible_is_proved(archive, store):
    ours = store / "scenes"
    return all(p.read_bytes() == (archive / p.relative_to(ours)).read_bytes() for p in ours.rglob("*") if p.is_file())


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("a small tmpfs needs root")
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.fault(36)
def test_a_full_disk_is_told_with_exit_3_and_the_next_run_completes(archive, small_disk, tmp_path):
    store, state = small_disk / "store", tmp_path / "state"
    full = sync(tmp_path, store=store, state=state)
    assert full.returncode == 3, full.stderr
    assert re.search(r"no (space|room)|No space", full.stderr), full.stderr
    assert "Traceback" not in full.stderr
    assert visible_is_proved(archive, store)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    done = sync(tmp_path, store=store, state=state)
    assert done.returncode == 0, done.stderr
    assert same(archive, store)


@pytest.mark.fault(36)
def test_a_full_state_folder_is_told_with_exit_3_and_the_next_run_completes(archive, small_disk, tmp_path):
    store, state = tmp_path / "store", small_disk / "state"
    state.mkdir()
    filler = small_disk / "filler"
    filler.write_bytes(bytes((12 << 20) - (150 << 10)))
    full = sync(tmp_path, store=store, state=state)
    assert full.returncode == 3, full.stderr
    assert "Traceback" not in full.stderr
    filler.unlink()
    done = sync(tmp_path, store=store, state=state)
    assert done.returncode == 0, done.stderr
    assert same(archive, store)


@pytest.mark.fault(36)
def test_a_state_folder_without_inodes_is_told_with_exit_3_and_the_next_run_completes(archive, small_disk, tmp_path):
    store, state = tmp_path / "store", small_disk / "state"
    for free in (1, 2, 3, 4, 5):  # the folder, the lock, the database, its log and its index, one after the other
        subprocess.run(["mount", "-o", f"remount,nr_inodes={free + 1}", small_disk], check=True)
        full = sync(tmp_path, store=store, state=state)
        assert full.returncode == 3, (free, full.stderr)
        assert "Traceback" not in full.stderr
        assert re.search(r"inode|[Nn]o space", full.stderr), full.stderr
        assert visible_is_proved(archive, store)
        shutil.rmtree(state, ignore_errors=True)
    subprocess.run(["mount", "-o", "remount,nr_inodes=1000", small_disk], check=True)
    assert sync(tmp_path, store=store, state=state).returncode == 0
    assert same(archive, store)


@pytest.mark.fault(36)
def test_a_plan_that_cannot_fit_is_refused_before_the_first_byte(archive, small_disk, tmp_path):
    (tmp_path / "scenes.yaml").write_text(f'mirror: scenes\nsource: {{settle: 0s, url: "file://{archive}/"}}\n')
    store, state = small_disk / "store", tmp_path / "state"
    refused = sync(tmp_path, store=store, state=state)
    assert refused.returncode == 3
    assert "make room" in refused.stderr
    assert not (store / "scenes").exists()


@pytest.mark.fault(39)
async def test_a_store_that_became_read_only_is_told_as_such_and_the_next_pass_completes(small_disk, tmp_path):
    mirroring = Mirroring(tmp_path, Archive({f"f{n:02}": b"%d" % n for n in range(20)}))
    (tmp_path / "store").symlink_to(small_disk)
    await mirroring.run()
    mirroring.archive.files["new"] = b"new"
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises((Offline, ExceptionGroup)) as raised:
        await mirroring.run()
    told = (
        raised.value if isinstance(raised.value, Offline) else first_of(cast("ExceptionGroup[Exception]", raised.value))
    )
    assert isinstance(told, Offline), told
    assert "Read-only file system" in str(told)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert (await mirroring.run()).complete
    assert mirroring.natural() == mirroring.archive.files


@pytest.mark.promise("P1")
@pytest.mark.fault(36, 37)
@pytest.mark.parametrize(
    ("call", "error", "when"),
    [
        ("pwrite64", "ENOSPC", 3),
        ("pwrite64", "ENOSPC", 60),
        ("pwrite64", "ENOSPC", 25),
        ("fsync", "ENOSPC", 6),
        ("fsync", "EIO", 6),
        ("fsync", "ENOSPC", 12),
    ],
)
def test_the_nth_call_fails_and_nothing_unproved_is_seen_and_the_next_run_completes(
    archive, tmp_path, call, error, when
):
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("strace is not installed (Debian: strace)")
        pytest.skip("strace is not installed (Debian: strace)")
    store, state, log = tmp_path / "store", tmp_path / "state", tmp_path / "strace"
    # the store exists before: what fails is the pass, not the making of the store
    assert sync(tmp_path, store=store, state=state, before=("true",)).returncode == 0
    inject = f"{call}:error={error}:when={when}"
    before = ("strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={inject}")
    failed = sync(tmp_path, store=store, state=state, before=before)
    assert "INJECTED" in log.read_text(), "the fault was never reached"
    assert "Traceback" not in failed.stderr, failed.stderr
    assert failed.returncode in ((1, 3) if error == "ENOSPC" else (1, 3, 4)), (failed.returncode, failed.stderr)
    assert visible_is_proved(archive, store)
    done = sync(tmp_path, store=store, state=state)
    assert done.returncode == 0, done.stderr
    assert same(archive, store)
