"""A disabled mirror runs no pass; a manifest with values to fill in is disabled until it is filled in."""

import json

import pytest
from typer.testing import CliRunner

from manifests.model.mirror import ManifestError, load_mirror, unfilled
from syncd.cli import app, library
from tests.daemons import House

READY = {ready.name: ready for ready in library.library()}
MANIFEST = "# TO FILL IN: the bounding box\nmirror: m\n{enabled}source: {{url: 'https://archive.example/'}}\n"


def typed(*words, wanted=0):
    ended = CliRunner().invoke(app.app, [str(word) for word in words])
    assert ended.exit_code == wanted, ended.output
    return ended.stdout


def test_an_enabled_manifest_with_a_mark_is_refused_at_its_line_and_a_disabled_one_is_not():
    assert not load_mirror(MANIFEST.format(enabled="enabled: false\n"), "m.yaml").enabled
    with pytest.raises(ManifestError) as refused:
        load_mirror(MANIFEST.format(enabled=""), "m.yaml")
    (problem,) = refused.value.problems
    assert (problem.line, problem.what) == (1, "is still to be filled in: the bounding box")


@pytest.mark.parametrize("name", READY)
def test_a_copy_from_the_library_is_disabled_exactly_while_there_is_something_to_fill_in(name, tmp_path):
    ready = READY[name]
    told = json.loads(typed("library", "add", name, tmp_path, "--json"))
    text = (tmp_path / f"{name}.yaml").read_text()
    assert [what for _, what in unfilled(text)] == ready.to_fill_in
    mirror = load_mirror(text, "m.yaml")
    assert mirror.enabled == told["enabled"] == (not ready.to_fill_in)
    assert mirror.model_dump(exclude={"enabled"}) == ready.mirror.model_dump(exclude={"enabled"})
    assert told["size"]
    checked = json.loads(typed("check", tmp_path, "--json"))
    assert checked["problems"] == []
    assert checked["disabled"] == ([name] if ready.to_fill_in else [])


def test_the_list_says_how_much_each_would_move():
    listed = typed("library", "list")
    assert all(ready.note("size").split()[0] in listed for ready in READY.values())


def test_a_sync_of_a_disabled_manifest_is_refused_and_touches_nothing(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text("mirror: m\nenabled: false\nsource: {url: 'file:///nowhere/'}\n")
    state = tmp_path / "state"
    words = ("sync", file, "--store", tmp_path / "store", "--state", state)
    ended = CliRunner().invoke(app.app, [str(word) for word in words])
    assert ended.exit_code == 2
    assert "is disabled by its manifest" in ended.stderr


async def test_a_daemon_starts_no_pass_of_a_disabled_mirror_and_says_why(tmp_path):
    house = House(tmp_path)
    for name in ("on", "off"):
        house.archive(name, {"a": b"1"})
    house.declare("on")
    house.declare("off", "schedule: {every: 1h}\nenabled: false\n")
    async with house.living():
        await house.until(lambda: house.control.mirror("on").files == 1)
        view = house.control.mirror("off")
        assert (view.state, view.reason) == ("paused", "disabled by its manifest (enabled: false)")
        assert (view.files, view.next_run, view.attempted, view.fresh_within) == (0, None, None, None)
        house.declare("off")
        await house.until(lambda: house.control.mirror("off").files == 1)
