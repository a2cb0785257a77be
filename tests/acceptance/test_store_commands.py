"""Commands that look at a whole store, as people and programs read them: status, diff, probe, rebuild."""

import json
import re
import shutil

import pytest

from tests.acceptance.cli import Folder, run, sync


@pytest.fixture
def house(tmp_path):
    """A store with two snapshots of one mirror of a folder."""
    upstream, manifest, state, store = (tmp_path / name for name in ("www", "a.yaml", "state", "store"))
    upstream.mkdir()
    (upstream / "kept.txt").write_bytes(b"kept")
    (upstream / "changed.txt").write_bytes(b"before")
    manifest.write_text(f"mirror: a\nsource: {{settle: 0s, url: 'file://{upstream}/'}}\n")
    house = Folder(store), state
    first = sync(*house, manifest)
    (upstream / "changed.txt").write_bytes(b"afterwards")
    (upstream / "new.txt").write_bytes(b"new")
    second = sync(*house, manifest)
    return *house, first["snapshot"], second["snapshot"]


def without_ages(shown):
    """Return the words of a table without how long ago things were: that differs from one run to the next."""
    return re.sub(r"\d+ \w+ ago", "ago", shown).split()


def test_status_shows_every_mirror_to_people_and_programs(house):
    store, state, _, snapshot = house
    header, line = run(store, state, "status").splitlines()[:2]
    assert header.split()[0] == "mirror"
    assert line.split()[0] == "a"
    assert " 3 " in line
    (found,) = json.loads(run(store, state, "status", "--json"))
    assert (found["mirror"], found["files"], found["bytes"], found["snapshot"]) == ("a", 3, 17, snapshot)


def test_status_is_that_of_the_catalogue_while_its_store_is_unavailable(house):
    store, state, _, snapshot = house
    shown = run(store, state, "status")
    (state.parent / "store").rename(state.parent / "away")
    assert without_ages(run(store, state, "status")) == without_ages(shown)
    (found,) = json.loads(run(store, state, "status", "--json"))
    assert (found["mirror"], found["snapshot"]) == ("a", snapshot)
    assert not (state.parent / "store").exists()


def test_an_empty_store_says_what_to_do_first(tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    assert "create the first with: syncd sync FILE" in run(store, state, "status")
    assert json.loads(run(store, state, "status", "--json")) == []


def test_diff_names_each_file_that_differs_and_counts_them(house):
    store, state, first, second = house
    *lines, last = run(store, state, "diff", "a", first, second).splitlines()
    assert sorted(line.split() for line in lines) == [["added", "new.txt"], ["changed", "changed.txt"]]
    assert last == f"{first[:12]} to {second[:12]}: 2 files changed"
    back = json.loads(run(store, state, "diff", "a", second, first, "--json"))
    assert (back["before"], back["after"]) == (second, first)
    assert {one["path"]: one["change"] for one in back["changes"]} == {"new.txt": "removed", "changed.txt": "changed"}


def test_probe_lists_every_check_and_leaves_nothing_in_the_store(house):
    store, state, *_ = house
    before = store.paths("")
    assert "writes and reads" in run(store, state, "probe")
    found = json.loads(run(store, state, "probe", "--json"))
    assert all(check["good"] for check in found["checks"] if check["needed"])
    assert store.paths("") == before


def test_rebuild_fills_a_lost_catalogue_and_says_what_it_found(house):
    store, state, _, snapshot = house
    shutil.rmtree(state)
    assert json.loads(run(store, state, "rebuild", "--json")) == [{"mirror": "a", "files": 3, "bytes": 17}]
    assert json.loads(run(store, state, "status", "--json"))[0]["snapshot"] == snapshot


def test_rebuild_of_a_store_without_mirrors_says_so(tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    run(store, state, "probe")
    assert run(store, state, "rebuild") == "the store contains no mirrors\n"
    assert json.loads(run(store, state, "rebuild", "--json")) == []
