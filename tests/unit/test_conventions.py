"""What people expect of any program: a version, `python -m`, completion in their shell."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


def run(*words, **environ):
    return subprocess.run(
        [sys.executable, "-m", "syncd", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


def test_the_version_is_that_of_the_package():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"syncd {version('syncd')}\n")


def test_python_m_syncd_is_syncd():
    done = run("--help")
    assert done.returncode == 0
    assert "Keep verified, complete and current copies of datasets that others publish." in done.stdout


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "syncd und", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "syncd und"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "syncd und", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_a_shell_completes_the_names_of_commands(shell, words):
    done = subprocess.run(
        [Path(sys.executable).with_name("syncd")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **words, "_SYNCD_COMPLETE": f"complete_{shell}"},
    )
    assert "undelete" in done.stdout
    assert "rollback" not in done.stdout
