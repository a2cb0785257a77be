"""Commands that move nothing: check, survey and plan, as people read them and by their exit codes."""

import json
import subprocess

import pytest

from tests.acceptance.cli import SYNCD, Folder, run, sync

USAGE, GUARDED = 2, 3
MANIFEST = "mirror: a\nsource: {{settle: 0s, url: 'file://{upstream}/'{more}}}\n"


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


def test_survey_and_plan_leave_nothing_behind(house, tmp_path):
    store, state, manifest, _ = house
    before = sorted(tmp_path.iterdir())
    run(store, state, "survey", manifest)
    assert "25" in run(store, state, "plan", manifest)
    assert sorted(tmp_path.iterdir()) == before
    sync(store, state, manifest)
    manifest.write_text(manifest.read_text().replace("mirror: a", "mirror: other"))
    run(store, state, "plan", manifest)
    assert [one["mirror"] for one in json.loads(run(store, state, "status", "--json"))] == ["a"]


def test_losses_are_listed_approved_and_rejected_from_the_command_line(house):
    store, state, manifest, upstream = house
    sync(store, state, manifest)
    held = [f"f{number:02}.txt" for number in range(10, 25)]
    for name in held:
        (upstream / name).write_bytes(b"")
    assert "the losses would be held for approval" in run(store, state, "plan", manifest)
    assert run(store, state, "sync", manifest, "--json", wanted=GUARDED)
    found = json.loads(run(store, state, "approve", "a", "--list", "--json"))
    assert [(one["path"], one["kind"], one["new_bytes"]) for one in found] == [(name, "emptied", 0) for name in held]
    assert "rejected; 15 files stay as they are" in run(store, state, "reject", "a")
    assert json.loads(run(store, state, "status", "--json"))[0]["rejected"] == held
    run(store, state, "sync", manifest)
    assert store.read("a/")["f24.txt"] == b"x" * 24
    assert "15 files no longer rejected" in run(store, state, "reject", "a", "--undo")
    run(store, state, "sync", manifest, wanted=GUARDED)
    assert "replaces 15 files" in run(store, state, "approve", "a")
    run(store, state, "sync", manifest)
    assert store.read("a/")["f24.txt"] == b""


def test_a_source_without_a_file_is_told_by_plan_sync_and_status(house):
    store, state, manifest, _ = house
    manifest.write_text(manifest.read_text().replace("'}", "', include: ['*.nope']}"))
    assert "no file was found: a pass would change nothing" in run(store, state, "plan", manifest, wanted=GUARDED)
    run(store, state, "sync", manifest, wanted=GUARDED)
    assert "nothing found: a: no file was found" in run(store, state, "status")
    assert json.loads(run(store, state, "status", "--json"))[0]["last"]["state"] == "nothing_found"
