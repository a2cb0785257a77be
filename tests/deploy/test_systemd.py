"""The unit under deploy/systemd: hardened, complete, and not so hard that syncd cannot work in it."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.config.load import load_config

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "systemd"
UNIT = FOLDER / "syncd.service"
FACE = FOLDER / "syncd-face.service"
SYNCD = Path(sys.executable).with_name("syncd")
MAX_EXPOSURE = 15  # tenths


def tool(name):
    found = shutil.which(name)
    if found is None:
        assert "CI" not in os.environ, f"{name} is not installed (.ci/apt-packages)"
        pytest.skip(f"{name} is not installed here")
    return found


def settings():
    """Every setting of the unit, the last value of each; lists joined."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found[name] = f"{found[name]} {value}" if name in found else value
    return found


@pytest.mark.parametrize("file", [UNIT, FACE], ids=["run", "face"])
def test_what_an_intruder_could_do_is_little(file):
    done = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def test_systemd_understands_every_line(tmp_path):
    unit = tmp_path / "syncd.service"
    unit.write_text(UNIT.read_text().replace("/opt/syncd/bin/syncd", str(SYNCD)))
    done = subprocess.run([tool("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchDogSec="))
    wrong = subprocess.run([tool("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
    assert "WatchDogSec" in wrong.stderr  # it would have told


def test_the_public_side_has_a_unit_that_reads_the_store_only(tmp_path):
    unit = tmp_path / "syncd-face.service"
    unit.write_text(FACE.read_text().replace("/opt/syncd/bin/syncd", str(SYNCD)))
    done = subprocess.run([tool("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "ReadWritePaths" not in FACE.read_text()
    assert "ReadOnlyPaths=/srv/mirrors" in FACE.read_text()


def test_the_unit_fits_the_example_configuration():
    config, unit = load_config(ROOT / "deploy" / "syncd.yaml", environ={}), settings()
    assert unit["ExecStart"].endswith("syncd run --config /etc/syncd/syncd.yaml")
    assert str(config.state).startswith(f"/var/lib/{unit['StateDirectory']}/")
    assert unit["ReadWritePaths"] == unit["RequiresMountsFor"] == config.store.url
    assert all(str(folder).startswith("/etc/syncd/") for folder in config.manifests)
    assert int(unit["TimeoutStopSec"]) > config.grace
    assert (unit["Type"], unit["NotifyAccess"]) == ("notify", "main")
    assert "kill -HUP" in unit["ExecReload"]


def test_user_and_folders_are_made_as_the_unit_wants_them(tmp_path):
    if os.geteuid() != 0:
        assert "CI" not in os.environ
        pytest.skip("only root can make users")
    for name in ("sysusers", "tmpfiles"):
        place = tmp_path / "usr" / "lib" / f"{name}.d" / "syncd.conf"
        place.parent.mkdir(parents=True)
        shutil.copy(FOLDER / f"syncd.{name}.conf", place)
    (tmp_path / "etc").mkdir()
    for command in (("systemd-sysusers", f"--root={tmp_path}"), ("systemd-tmpfiles", f"--root={tmp_path}", "--create")):
        done = subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert settings()["User"] in (tmp_path / "etc" / "passwd").read_text()
    uid = int((tmp_path / "etc" / "passwd").read_text().split(":")[2])
    assert (tmp_path / "srv" / "mirrors").stat().st_uid == uid
    assert (tmp_path / "etc" / "syncd" / "credentials").stat().st_mode & 0o777 == 0o700


@functools.cache
def calls(group):
    """The system calls of one of systemd's groups, with the groups within it."""
    done = subprocess.run(
        [tool("systemd-analyze"), "syscall-filter", group], capture_output=True, text=True, check=True
    )
    words = [line.strip() for line in done.stdout.splitlines()[1:]]
    names = [word for word in words if word and not word.startswith("#")]
    return frozenset().union(*(calls(name) if name.startswith("@") else {name} for name in names))


def allowed_calls():
    """What SystemCallFilter= leaves: lists are added, those with ~ taken away."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        for group in line.removeprefix("~").split():
            allowed = allowed - calls(group) if line.startswith("~") else allowed | calls(group)
    return allowed


AS_ROOT_ONLY = {"fchown"}  # SQLite keeps the owner of its files, where it could change it


def test_a_pass_makes_no_system_call_that_the_unit_forbids(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "small").write_bytes(b"small")
    (source / "large").write_bytes(os.urandom(9 << 20))
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{settle: 0s, url: 'file://{source}/'}}\n")
    counted = tmp_path / "calls"
    subprocess.run(
        [tool("strace"), "-f", "-qq", "-c", "-o", counted, SYNCD, "sync", manifest, "--state", tmp_path / "state"],
        env={**os.environ, "SYNCD_STORE": str(tmp_path / "store")},
        check=True,
        capture_output=True,
        timeout=240,
    )
    made = {line.split()[-1] for line in counted.read_text().splitlines()[2:-2]}
    assert {"openat", "fsync", "fdatasync", "futex"} & made
    assert made - allowed_calls() - AS_ROOT_ONLY == set()


NO_MEMORY_BOTH_WRITABLE_AND_EXECUTABLE = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0) != 0:  # PR_SET_MDWE, inherited
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
EVERY_COMPILED_LIBRARY = """
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    raise SystemExit("nothing is forbidden")
import aiohttp, apsw, asyncio, asyncssh, awscrt.checksums, blake3, msgspec, selectolax.lexbor, uvloop, xxhash
import pyarrow.parquet
assert awscrt.checksums.crc64nvme(b"x")
assert blake3.blake3(b"x").digest() and apsw.Connection(":memory:").execute("select 1").fetchall()
assert selectolax.lexbor.LexborHTMLParser("<a href=x>").css("a")
asyncio.Runner(loop_factory=uvloop.new_event_loop).run(asyncio.sleep(0))
print("works")
"""


def test_no_library_needs_memory_that_is_both_writable_and_executable():
    assert settings()["MemoryDenyWriteExecute"] == "yes"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_MEMORY_BOTH_WRITABLE_AND_EXECUTABLE, EVERY_COMPILED_LIBRARY],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if done.returncode == 77:
        assert "CI" not in os.environ
        pytest.skip("this kernel cannot forbid it (Linux 6.3 can)")
    assert done.stdout == "works\n", done.stderr
