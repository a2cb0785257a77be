"""The commands that developers run do what they say: one test by T=, the quick checks, coverage, hooks, the gate."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
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
    one = planned("test", "T=tests/unit/test_plan.py::test_x").splitlines()
    assert ".venv/bin/python -m pytest tests/unit/test_plan.py::test_x" in one
    whole = ".venv/bin/python -m pytest -n 3 --dist loadgroup || .venv/bin/python -m tests.alone $? .venv/bin/python -m pytest"
    assert whole in planned("test").splitlines()


def test_coverage_is_measured_only_when_asked_for():
    assert "coverage" not in planned("test")
    for asked in (("test", "COVERAGE=1"), ("coverage",)):
        assert "coverage run -m pytest -n 3" in planned(*asked), asked
        assert "tests.alone $? .venv/bin/coverage run -m pytest" in planned(*asked), asked
        assert "coverage report" in planned(*asked), asked


# -- what failed beside others ------------------------------------------------------------------------------------------

SMALL = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        testpaths = ["tests"]
        addopts = "--strict-markers"
        [tool.coverage.run]
        branch = true
        source = ["small"]
        patch = ["subprocess"]
        data_file = ".cache/coverage/data"
        """,
    "small.py": """
        import os
        from pathlib import Path

        def passes_the_second_time(name):
            Path(f"{name}.process").write_text(str(os.getpid()))
            if not Path(name).exists():
                Path(name).touch()
                raise TimeoutError(name)
            return "again"
        """,
    "tests/test_small.py": """
        import pytest, small

        @pytest.mark.parametrize("name", {once})
        @pytest.mark.xdist_group("server")
        def test_once(name):
            assert small.passes_the_second_time(name) == "again"

        @pytest.mark.parametrize("name", {always})
        def test_never(name):
            raise AssertionError("always")

        def test_good():
            pass
        """,
}


@pytest.fixture
def small(tmp_path):
    """Return what runs `make test` in a small suite, with tests that fail once and tests that always fail."""

    def run(*words, once=(), always=()):
        for name, text in SMALL.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            filled = text.replace("{once}", str(once)).replace("{always}", str(always))
            (tmp_path / name).write_text(textwrap.dedent(filled))
        for name in ("Makefile", "tests/alone.py", "tests/groups.py"):
            shutil.copy(ROOT / name, tmp_path / name)
        (tmp_path / "requirements.lock").touch()
        (tmp_path / ".venv").symlink_to(Path(sys.prefix))
        done = subprocess.run(
            ["make", "--old-file=.venv/.made-from-lock", "test", *words],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_PLUGINS": "xdist.plugin,tests.groups",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout

    return run


def test_what_failed_beside_others_and_passes_alone_is_named_last_and_measured(small):
    passed, said = small("COVERAGE=1", once=("a", "b"))
    assert passed, said
    assert "2 failed, 1 passed" in said
    assert "2 passed" in said
    *_, last, _ = said.splitlines()
    names = "tests/test_small.py::test_once[a] tests/test_small.py::test_once[b]"
    assert last == f"failed beside others, passed alone: {names} – a defect of the test or of the program: mend it"
    assert re.search(r"^small\.py .* 100\.?0?%$|^TOTAL .* 100%$", said, re.MULTILINE), said  # both runs are measured


def test_what_fails_alone_too_fails_the_run(small):
    passed, said = small(once=("a",), always=("b",))
    assert not passed
    assert "1 failed, 1 passed" in said
    assert "passed alone" not in said


def test_where_more_than_three_fail_none_runs_again_and_tests_of_one_group_run_in_one_process(small, tmp_path):
    passed, said = small(once=("a", "b", "c", "d"))
    assert not passed
    assert "4 failed, 1 passed" in said
    assert "once more" not in said
    assert len({(tmp_path / f"{name}.process").read_text() for name in "abcd"}) == 1


def test_a_test_that_was_asked_for_runs_once(small):
    passed, said = small("T=tests/test_small.py", once=("a",))
    assert not passed
    assert "once more" not in said


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


def test_a_demo_installs_what_syncd_needs_and_an_environment_that_has_more_is_kept(tmp_path):
    root = tmp_path
    for name in ("Makefile", "requirements.lock", "requirements-runtime.lock", "pyproject.toml"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    command = ["make", "--dry-run", "--directory", str(root), "demo"]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--requirement requirements-runtime.lock" in fresh
    assert "--requirement requirements.lock" not in fresh
    (root / ".venv").mkdir()
    (root / ".venv/.made-from-lock").touch()
    whole = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--requirement" not in whole
