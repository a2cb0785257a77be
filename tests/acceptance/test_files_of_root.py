"""Root does not write where another user keeps the state or the store; asking, and asking a daemon, is no writing."""

import os
import subprocess

import pytest

from tests.acceptance.cli import SYNCD

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
OTHER = 65534  # nobody


def run(root, *words):
    command = [SYNCD, *words, "--state", root / "state", "--store", root / "store"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def give_away(folder):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OTHER, OTHER, follow_symlinks=False)


@pytest.mark.parametrize("whose", ["state", "store"])
def test_root_is_told_as_whom_to_run_the_command_and_changes_nothing(tmp_path, whose):
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f").write_text("f")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{settle: 0s, url: 'file://{tmp_path}/www/'}}\n")
    assert run(tmp_path, "sync", manifest).returncode == 0
    give_away(tmp_path / whose)
    for words in (("sync", manifest), ("verify", "m"), ("release", "m"), ("rebuild",)):
        done = run(tmp_path, *words)
        assert done.returncode == 2, (words, done.stderr)
        assert f"sudo -u nobody syncd {words[0]}" in done.stderr
    for asks in (
        ("status",),
        ("snapshots", "m"),
        ("survey", manifest),
        ("plan", manifest),
        ("diff", "m", "ffff", "eeee"),
    ):
        assert "sudo" not in run(tmp_path, *asks).stderr
    folder = tmp_path / whose
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {OTHER}
