"""What people expect of any program: a version, `python -m`, a manual page, completion in their shell."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncd.cli.app import app

ROOT = Path(__file__).parents[2]
SHELL = runpy.run_path(str(ROOT / "deploy" / "shell.py"))


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


def test_the_manual_page_and_the_completions_are_written_from_the_help():
    for path, text in SHELL["written"]():
        assert path.read_text("utf-8") == text, f"{path.relative_to(ROOT)}: run make docs"


def test_the_manual_page_has_every_command_with_its_options():
    page = (ROOT / "deploy/man/syncd.1").read_text("utf-8").replace("\\-", "-")
    names = re.findall(r"^\.SS syncd (.*)$", page, re.MULTILINE)
    assert {"sync", "run", "library", "library add"} <= set(names)
    assert len(names) == len(set(names)) > 15
    for name in names:
        chapter = page.partition(f".SS syncd {name}\n")[2].partition("\n.SS")[0]
        shown = CliRunner().invoke(app, [*name.split(), "--help"]).stdout
        for option in re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE):
            assert option == "--help" or f"\\fB{option}" in chapter, (name, option)


# what calls a completion as the shell does at a Tab, and prints what it offers
TABS = {
    "bash": """
        source {folder}/syncd.bash; COMP_WORDS=(syncd und) COMP_CWORD=1
        _syncd_completion syncd; echo "${{COMPREPLY[@]}}"
    """,
    "fish": "source {folder}/syncd.fish; complete -C 'syncd und'",
    "zsh": """
        zmodload zsh/zpty; zpty t zsh -f
        zpty -w t "PATH=$PATH; fpath=({folder} \\$fpath); autoload -Uz compinit; compinit -D -u"
        zpty -w -n t $'syncd und\\t'; zpty -r t out '*undelete*'; echo $out; zpty -d t
    """,
}


@pytest.mark.parametrize("shell", [shell for shell in TABS if shutil.which(shell)])
def test_a_shell_that_loads_its_file_completes_a_command(shell):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = TABS[shell].format(folder=ROOT / "deploy" / "completions")
    done = subprocess.run(
        [shell, "-c", script], capture_output=True, text=True, check=True, timeout=240, env={**os.environ, "PATH": path}
    )
    assert "undelete" in done.stdout, done
