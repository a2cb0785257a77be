"""The commands that developers run do what they say: one test by T=, the quick checks, coverage, hooks, the gate."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GATE = (ROOT / ".ci" / "run").read_text()
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def planned(*words):
    """Return the commands that make would run."""
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.made-from-lock", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # these tests may run under `make test` themselves
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_one_test_runs_alone_and_the_suite_in_several_processes():
    assert planned("test", "T=tests/unit/test_plan.py::test_x").split() == [
        ".venv/bin/python", "-m", "pytest", "tests/unit/test_plan.py::test_x",
    ]  # fmt: skip
    assert planned("test").split() == [".venv/bin/python", "-m", "pytest", "-n", "3", "--dist", "loadgroup"]


def test_coverage_is_measured_only_when_asked_for():
    assert "coverage" not in planned("test")
    for asked in (("test", "COVERAGE=1"), ("coverage",)):
        assert "coverage run -m pytest" in planned(*asked), asked
        assert "coverage report" in planned(*asked), asked


def test_the_gate_calls_the_command_of_the_readme():
    assert re.search(r"^    make test +#", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert "\nstep make test\n" in GATE


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^step make (.*)$", GATE, re.MULTILINE))))
def test_the_gate_calls_targets_that_exist(target):
    assert planned(*target.split())


def test_hooks_run_what_is_in_the_environment_and_ask_no_network():
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    for hook in HOOKS["repos"][0]["hooks"]:
        assert hook["language"] == "system", hook
        assert hook["entry"].startswith(".venv/bin/"), hook


def test_hooks_run_every_quick_check():
    entries = " ".join(hook["entry"] for hook in HOOKS["repos"][0]["hooks"])
    assert all(tool in entries for tool in ("ruff check", "ruff format", "tests.lint", "mypy", "lint-imports"))
