"""The library of ready manifests: each is a good one, says what a steward must know, and can be had by a command."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manifests.model.mirror import load_mirror, overlaps
from syncd.cli import app, library, library_index

ROOT = Path(__file__).parents[2]
READY = {ready.name: ready for ready in library.library()}
CREDENTIALS = re.compile(r"^  credentials: (.+)$", re.MULTILINE)


def typed(*words, wanted=0):
    ended = CliRunner().invoke(app.app, ["library", *map(str, words)])
    assert ended.exit_code == wanted, ended.output
    return ended.output


def test_the_library_has_something_for_every_field_of_the_mission():
    assert len(READY) >= 60
    assert {"earth", "life", "health", "weather", "metrology"} <= {ready.field for ready in READY.values()}
    assert len(READY) == len(list((ROOT / "manifests/library").rglob("*.yaml")))  # no name stands twice


@pytest.mark.parametrize("name", READY)
def test_a_ready_manifest_is_a_good_one_and_says_what_a_steward_must_know(name):
    ready = READY[name]
    mirror = load_mirror(ready.text, f"{name}.yaml")
    assert mirror.name == name
    assert mirror.title
    assert mirror.about.licence
    assert mirror.about.citation
    assert mirror.about.access
    assert "\n  redistribution: " in ready.text
    assert re.search(r"\d+(\.\d+)? (MB|GB|TB)|some MB|some TB|hundred GB|tens of GB", ready.note("size")), (
        "how much would it move?"
    )
    assert not mirror.about.contact  # that is the steward of the copy, and not known here
    assert all(ready.note(note) for note in library.NOTES)
    assert all(len(lines) == 1 for note, lines in ready.notes.items() if note != "fill in")
    assert "\n# Pitfalls:\n# * " in ready.text


@pytest.mark.parametrize("name", READY)
def test_what_needs_a_credential_says_of_which_origin(name):
    ready = READY[name]
    needed = CREDENTIALS.findall(ready.text)
    told = [line for line in ready.to_fill_in if line.startswith("credential ")]
    assert len(told) == len(needed)
    for line, credential in zip(told, needed, strict=True):
        assert re.match(
            rf"credential {credential} in syncd\.yaml, .*\borigin (https|s3|sftp)://[a-z0-9.-]+( and .*)?$", line
        )
        assert ready.mirror.source.credentials == credential
    assert not needed or ready.mirror.about.access != "open" or ready.mirror.source.requester_pays


def test_the_index_says_what_the_manifests_say():
    assert library_index.INDEX.read_text() == library.index_text(), "run: make docs"


def test_all_of_them_can_be_in_one_daemon():
    assert overlaps(ready.mirror for ready in READY.values()) == []


def test_the_page_of_sources_is_made_from_the_library():
    page = (ROOT / "docs/sources.md").read_text()
    assert page == library.sources_page(), "run: python -m syncd.cli.library > docs/sources.md"
    assert all(f"\n### {name}\n" in page for name in READY)


def test_all_are_listed_for_people_and_for_programs():
    listed = typed("list")
    assert all(re.search(rf"^{name} ", listed, re.MULTILINE) for name in READY)
    told = {one["name"]: one for one in json.loads(typed("list", "--json"))}
    assert told.keys() == READY.keys()
    assert told["mimic-iv"]["access"] == "restricted"
    assert told["landsat-c2-l2"]["fill_in"][0].startswith("credential usgs-landsat in syncd.yaml")
    assert told["physionet-mitdb"]["fill_in"] == []


def test_one_is_shown_as_it_stands():
    assert typed("show", "gfs") == READY["gfs"].text
    assert json.loads(typed("show", "gfs", "--json"))["text"] == READY["gfs"].text


def test_one_is_copied_into_a_folder_and_what_is_still_to_fill_in_is_told(tmp_path):
    said = typed("add", "mimic-iv", tmp_path)
    file = tmp_path / "mimic-iv.yaml"
    assert file.read_text() == READY["mimic-iv"].copied
    assert f"{file}: copied; access: credentialed users of PhysioNet" in said
    assert "still to fill in: credential physionet in syncd.yaml, basic, with origin https://physionet.org" in said
    assert f"syncd check {file}" in said
    assert f"it would move: {READY['mimic-iv'].note('size')}" in said
    assert CliRunner().invoke(app.app, ["check", str(tmp_path)]).exit_code == 0
    told = json.loads(typed("add", "physionet-mitdb", tmp_path, "--json"))
    size = READY["physionet-mitdb"].note("size")
    file = str(tmp_path / "physionet-mitdb.yaml")
    assert told == {"file": file, "fill_in": [], "enabled": True, "access": "open, no account", "size": size}


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "gfs.yaml").write_text("mine")
    assert "gfs.yaml: exists already and was not changed" in typed("add", "gfs", tmp_path, wanted=2)
    assert (tmp_path / "gfs.yaml").read_text() == "mine"


def test_what_is_not_in_the_library_or_no_folder_is_told(tmp_path):
    assert "sentinel-1: is not in the library: did you mean sentinel-1-grd?" in typed("show", "sentinel-1", wanted=2)
    assert "is not a folder: create it, or name another" in typed("add", "gfs", tmp_path / "none", wanted=2)
    assert not (tmp_path / "none").exists()
