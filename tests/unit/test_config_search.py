"""Which configuration a command reads, that it says so, and that a command that only looks makes nothing."""

import json

import pytest
from typer.testing import CliRunner

from syncd.cli.app import app
from syncd.config import find_config


@pytest.fixture
def system(tmp_path, monkeypatch):
    """The folder that stands for /etc/syncd."""
    monkeypatch.setattr("syncd.config.locations.SYSTEM", tmp_path / "etc" / "syncd")
    return tmp_path / "etc" / "syncd"


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def put(folder, text="state: chosen\n"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "syncd.yaml").write_text(text)
    return folder / "syncd.yaml"


def typed(*words, wanted=0, **environ):
    ended = CliRunner().invoke(app, [*map(str, words)], env=environ)
    assert ended.exit_code == wanted, ended.output
    return ended


def everything_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_first_that_exists_is_read_from_the_nearest_to_the_widest(tmp_path, system, here):
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert find_config(environ) is None
    widest = put(system)
    assert find_config(environ) == widest
    users = put(tmp_path / "xdg" / "syncd")
    assert find_config(environ) == users
    put(here)
    assert find_config(environ).resolve() == here / "syncd.yaml"
    assert find_config({**environ, "SYNCD_CONFIG": "other.yaml"}).name == "other.yaml"
    assert find_config({**environ, "SYNCD_CONFIG": ""}).resolve() == here / "syncd.yaml"


@pytest.mark.parametrize("xdg", [{}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}])
def test_the_users_folder_is_dot_config_unless_another_absolute_one_is_named(tmp_path, system, here, xdg):
    put(here / "relative" / "syncd")
    users = put(tmp_path / "home" / ".config" / "syncd")
    assert find_config({"HOME": str(tmp_path / "home"), **xdg}) == users
    assert find_config(xdg) is None


def test_a_folder_of_that_name_is_no_configuration(system, here):
    (here / "syncd.yaml").mkdir()
    assert find_config({}) is None


def test_a_command_says_which_one_it_found_and_reads_it(tmp_path, system, here):
    file = put(tmp_path / "xdg" / "syncd")
    plain = typed("status", XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert plain.stderr == f"syncd: configuration: {file}\n"
    assert str(file.parent / "chosen") in plain.stdout  # its paths are relative to it
    lines = typed("status", "--json", XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert json.loads(lines.stderr) == {"configuration": str(file)}
    assert json.loads(lines.stdout) == []


def test_one_that_the_command_line_names_outranks_and_needs_no_word(tmp_path, system, here):
    put(here)
    named = put(tmp_path / "named", "state: named\n")
    told = typed("status", "--config", named, SYNCD_CONFIG="missing.yaml")
    assert told.stderr == ""
    assert str(tmp_path / "named" / "named") in told.stdout


def test_a_variable_that_names_no_file_is_an_error_and_not_passed_over(system, here):
    put(here)
    told = typed("status", SYNCD_CONFIG="missing.yaml", wanted=2)
    assert "missing.yaml: cannot be read" in told.stderr


LOOKS = [
    (("status",), 0),
    (("status", "--json"), 0),
    (("snapshots", "m"), 2),
    (("diff", "m", "a", "b"), 2),
    (("check", "."), 2),
    (("library", "list"), 0),
    (("library", "show", "gfs"), 0),
    (("token", "anna"), 0),
]


@pytest.mark.parametrize(("words", "code"), LOOKS, ids=lambda value: " ".join(value) if type(value) is tuple else None)
def test_a_command_that_only_looks_makes_no_folder_and_no_file(here, system, words, code):
    told = typed(*words, wanted=code, HOME=str(here))
    assert everything_below(here) == set()
    if "m" in words:
        assert "m: no such mirror in this state folder" in told.stderr


@pytest.mark.parametrize(
    "words", [("status",), ("snapshots", "m"), ("diff", "m", "{0}", "{0}")], ids=lambda words: words[0]
)
def test_where_there_are_mirrors_it_changes_nothing_either(here, system, words):
    (here / "upstream").mkdir()
    (here / "upstream" / "a.txt").write_text("a")
    (here / "m.yaml").write_text(f"mirror: m\nsource: {{url: 'file://{here}/upstream/', reader: objects}}\n")
    typed("sync", "m.yaml", HOME=str(here))
    (one,) = json.loads(typed("snapshots", "m", "--json", HOME=str(here)).stdout)
    before = everything_below(here)
    typed(*(word.format(one["id"]) for word in words), HOME=str(here))
    assert everything_below(here) - before <= {"state/catalogue.sqlite-wal", "state/catalogue.sqlite-shm"}  # SQLite's


def test_a_state_folder_that_cannot_be_seen_is_not_called_empty(here, system):
    told = typed("status", "--state", "x" * 300, wanted=4, HOME=str(here))
    assert "the state folder cannot be read: File name too long" in told.stderr
