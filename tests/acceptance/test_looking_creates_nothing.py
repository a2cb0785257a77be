"""A command that only looks, or is given a wrong path, leaves no folder and no store id behind."""

import subprocess

import pytest

from tests.acceptance.cli import SYNCD

MANIFEST = 'mirror: scenes\nsource: {{settle: 0s, url: "file://{archive}/"}}\n'


def run_in(folder, *words):
    """Run a command with default paths: ./state and ./store."""
    command = [str(SYNCD), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def folder(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "a").write_text("a")
    (archive / "A").write_text("A")  # so that a plan asks whether the store distinguishes case
    work = tmp_path / "work"
    work.mkdir()
    (work / "scenes.yaml").write_text(MANIFEST.format(archive=archive))
    return work


@pytest.mark.parametrize("words", [["plan", "scenes.yaml"], ["survey", "scenes.yaml"]], ids=" ".join)
def test_a_preview_of_a_first_pass_leaves_nothing(folder, words):
    done = run_in(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "2 " in done.stdout
    assert [path.name for path in folder.iterdir()] == ["scenes.yaml"]


@pytest.mark.parametrize(
    "words",
    [["verify", "scenes"], ["approve", "scenes"], ["rollback", "scenes", "3f2a"], ["undelete", "scenes", "a"],
     ["snapshots", "scenes"], ["status"]],
    ids=" ".join,
)  # fmt: skip
def test_an_act_on_a_mirror_that_is_not_there_leaves_nothing(folder, words):
    done = run_in(folder, *words)
    if words != ["status"]:
        assert done.returncode == 2, (done.returncode, done.stderr)
        assert "scenes" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["scenes.yaml"]


def test_a_preview_beside_a_store_uses_what_is_there(folder):
    assert run_in(folder, "sync", "scenes.yaml").returncode == 0
    done = run_in(folder, "plan", "scenes.yaml")
    assert "0 to fetch, 0 to replace, 2 to keep" in done.stderr
