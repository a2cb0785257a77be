"""Commands that move nothing: check, survey and plan, as people read them and by their exit codes."""

import json
import subprocess

import pytest

from tests.acceptance.cli import SYNCD, Folder, run, sync

USAGE = 2
MANIFEST = "mirror: a\nsource: {{url: 'file://{upstream}/'{more}}}\n"


@pytest.fixture
def house(tmp_path):
    upstream = tmp_path / "www"
    upstream.mkdir()
    for number in range(25):
        (upstream / f"f{number:02}.txt").write_bytes(b"x" * number)
    manifest = tmp_path / "a.yaml"
    manifest.write_text(MANIFEST.format(upstream=upstream, more=""))
    return Folder(tmp_path / "store"), tmp_path / "state", manifest, upstream


def test_check_counts_good_manifests_and_names_what_is_no_manifest(house, tmp_path):
    *_, manifest, _ = house
    assert check(manifest) == "1 file: no problems\n"
    assert "nowhere.yaml:1:1: file: cannot be read: No such file or directory" in check(
        tmp_path / "nowhere.yaml", wanted=USAGE
    )
    (tmp_path / "empty").mkdir()
    assert "no manifest found" in check(tmp_path / "empty", wanted=USAGE)


def test_check_finds_two_mirrors_of_one_place(house, tmp_path):
    *_, manifest, _ = house
    again = tmp_path / "again.yaml"
    again.write_text(manifest.read_text())
    found = json.loads(check(manifest, again, "--json", wanted=USAGE))
    assert found["files"] == 2
    (problem,) = found["problems"]
    assert "rename one" in problem["todo"]


def check(*words, wanted=0):
    """Return what `syncd check` printed; it needs no store."""
    done = subprocess.run([SYNCD, "check", *words], capture_output=True, text=True, check=False)
    assert done.returncode == wanted, done.stdout + done.stderr
    return done.stdout


def test_survey_lists_what_upstream_has(house):
    store, state, manifest, _ = house
    lines = run(store, state, "survey", manifest).splitlines()
    assert len(lines) == 26
    assert "f07.txt" in lines[7]
    assert lines[-1] == "25 files upstream, inventory complete"
    found = [json.loads(line) for line in run(store, state, "survey", manifest, "--json").splitlines()]
    assert {one["path"]: one["size"] for one in found} == {f"f{n:02}.txt": n for n in range(25)}


def test_plan_shows_the_first_files_of_each_kind_or_all(house):
    store, state, manifest, _ = house
    short = run(store, state, "plan", manifest)
    assert "more to fetch; --all shows every file" in short
    assert short.count("  fetch ") < 25
    whole = run(store, state, "plan", manifest, "--all")
    assert "--all" not in whole
    assert whole.count("  fetch ") == 25
    assert store.paths("a/") == set()


def test_plan_says_that_removals_would_wait_for_approval(house):
    store, state, manifest, upstream = house
    sync(store, state, manifest)
    for number in range(20):
        (upstream / f"f{number:02}.txt").unlink()
    said = run(store, state, "plan", manifest)
    assert "then: syncd approve a" in said
    assert len(store.paths("a/")) == 25
