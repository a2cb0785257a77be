"""docs/operating.md says what is so. That its tables are up to date is shown by tests/deploy/test_kubernetes.py."""

import ast
import re
from pathlib import Path

import pytest

from syncd.config.load import Config
from syncd.process import exit_codes

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text()


def test_the_exit_codes_are_the_ones_that_commands_end_with():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", OPERATING, re.MULTILINE)}
    assert told == {
        exit_codes.DONE,
        exit_codes.SOME_FAILED,
        exit_codes.USAGE,
        exit_codes.GUARDED,
        exit_codes.UNREACHABLE,
        exit_codes.INTERRUPTED,
    }


@pytest.mark.parametrize("place", sorted(set(re.findall(r"\]\(([^)#]+)\)", OPERATING))))
def test_every_link_leads_somewhere(place):
    assert (ROOT / "docs" / place).exists()


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`?((?:tests|deploy)/[\w./-]+\w)", OPERATING))))
def test_every_file_that_is_named_exists(place):
    assert (ROOT / place).exists()


def test_every_key_stands_in_the_table():
    table = OPERATING.partition("<!-- keys -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| `(\w+)", table, re.MULTILINE)
    assert set(rows) == set(Config.model_fields)


def calls_of_a_log(tree):
    """The names of lines that code writes by itself: log.info("name", …)."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"debug", "info", "warning", "error", "exception"}
            and ast.unparse(node.func.value).rsplit(".", 1)[-1] in {"log", "_log"}
        ):
            assert isinstance(node.args[0], ast.Constant), "the name of a line is fixed"
            yield node.args[0].value


def test_every_line_that_is_written_beside_the_events_is_told():
    names = {name for file in (ROOT / "syncd").rglob("*.py") for name in calls_of_a_log(ast.parse(file.read_text()))}
    assert names >= {"serving", "stopped"}
    told = OPERATING.partition("Beside these:")[2]
    for name in names:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert f"`{name}`" in told, name


def test_the_commands_exist():
    from syncd.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    used = set(re.findall(r"^ +syncd ([a-z]+)|`syncd ([a-z]+)", OPERATING, re.MULTILINE))
    assert {first or second for first, second in used} <= known
