"""Writes the manual page and the shell completions from the texts that `syncd --help` shows: `make docs` runs it.

* deploy/man/syncd.1: the program and all its commands.
* deploy/completions: what bash, zsh and fish load. It asks `syncd` itself at each Tab, so it knows every option.

The wheel installs these files below share/ (pyproject.toml, `shared-data`). A test holds each equal to what is written.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from syncd.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
COMPLETIONS = ROOT / "deploy" / "completions"
MANUAL = ROOT / "deploy" / "man" / "syncd.1"

# zsh loads the file as the function itself, and calls it for the first Tab.
AUTOLOADED = """\
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _syncd_completion "$@"
else
  compdef _syncd_completion syncd
fi
"""


def written() -> Iterator[tuple[Path, str]]:
    """Yield every file that is written, and its text."""
    yield MANUAL, "".join(f"{line}\n" for line in _manual())
    yield COMPLETIONS / "syncd.bash", _completion("bash")
    yield COMPLETIONS / "_syncd", _completion("zsh").replace("compdef _syncd_completion syncd\n", AUTOLOADED)
    yield COMPLETIONS / "syncd.fish", _completion("fish")


def _completion(shell: str) -> str:
    """Return the script that `syncd` prints for a shell."""
    done = CliRunner().invoke(app, env={"_SYNCD_COMPLETE": f"source_{shell}"}, prog_name="syncd")
    return f"{done.stdout.strip()}\n"


def _manual() -> Iterator[str]:
    """Yield the lines of the manual page, for man(7)."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    program: Any = typer.main.get_command(app)
    summary, *more = (program.help or "").split("\n\n")
    yield '.\\" Written by `make docs` from the texts that `syncd --help` shows.'
    yield f'.TH SYNCD 1 "" "syncd {version}" "User Commands"'
    yield ".SH NAME"
    yield f"syncd \\- {_text(summary[0].lower() + summary[1:].removesuffix('.'))}"
    yield ".SH SYNOPSIS"
    yield "\\fBsyncd\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]..."
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(more):
        if number:
            yield ".PP"
        yield _text(paragraph)
    yield ".SH OPTIONS"
    yield from _parameters(program, "syncd")
    yield ".SH COMMANDS"
    for name, command in program.commands.items():
        yield from _command(name, command)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f".SS {_text(f'syncd {name}')}"
    yield _text(command.help or "")
    yield from _parameters(command, f"syncd {name}")
    if command.epilog:
        yield ".PP"
        yield "Example:"
        yield ".PP"
        yield f".RS 4\n{_text(command.epilog.removeprefix('Example: '))}\n.RE"
    for below, inner in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {below}", inner)


def _parameters(command: Any, name: str) -> Iterator[str]:
    context = typer.Context(command, info_name=name)
    for given in command.params:
        shown = given.get_help_record(context)
        if given.name != "help" and shown is not None:
            yield ".TP"
            spelt = shown[0].partition(" <")[0] if given.param_type_name == "argument" else shown[0]
            yield f"\\fB{_text(spelt)}\\fR"
            yield _text(" ".join(shown[1].split()))


def _text(text: str) -> str:
    """Return a text in which troff finds no request and no escape of its own."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "\\[u2026]")
    return f"\\&{plain}" if plain.startswith(".") else plain


if __name__ == "__main__":
    for file, text in written():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
