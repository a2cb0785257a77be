"""`syncd check`: mirror manifests are linted, each by itself and all together; with --ask, their sources are asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.messages import plain
from syncd.cli import output
from syncd.cli.registration import CONFIG, Json, plain_command, source_context

if TYPE_CHECKING:
    from manifests.model import Mirror


@plain_command("syncd check manifests.d/ physionet.yaml --ask")
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Manifests, or folders of them.")],
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask each source once, within bounds, what it has. Creates nothing.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help=f"For --ask. {CONFIG}")] = None,
    allow_private: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="For --ask: allow sources on this private or loopback origin."),
    ] = None,
    json: Json = False,
) -> int:
    """Check mirror manifests. Reports every mistake with its file, line and column.

    With --ask also: whether the source answers and lets us in, whether the reader fits it, and which globs and
    collections match nothing.
    """
    from syncd.process import DONE, USAGE

    files, mirrors, problems = _load(paths)
    disabled = [mirror.name for mirror in mirrors if not mirror.enabled]
    code = USAGE if problems or not files else DONE
    answers: list[dict[str, Any]] = []
    if not json:
        for problem in problems:
            output.print_line("{file}:{line}:{column}: {where}: {what}: {todo}".format(**problem))
        if not files:
            output.print_line("no manifest found: give files, or folders that hold *.yaml")
        elif not problems:
            output.print_line(f"{output.files(len(files))}: no problems")
        for name in disabled:
            output.print_line(f"{name}: disabled (enabled: false): no pass runs")

    def report(answer: dict[str, Any], lines: list[str]) -> None:
        answers.append(answer)
        if not json:
            for line in lines:
                output.print_line(f"{answer['mirror']}: {line}")

    if ask and mirrors:
        from syncd.cli.asking import ask_sources

        code = max(code, ask_sources(mirrors, source_context(config, allow_private, json=json), report))
    if json:
        asked = {"asked": answers} if ask else {}
        output.print_json({"files": len(files), "problems": problems, "disabled": disabled, **asked})
    return code


def _load(paths: list[Path]) -> tuple[list[Path], "list[Mirror]", list[dict[str, Any]]]:
    """Return the files, the mirrors that they declare, and the problems."""
    import msgspec

    from manifests.model import ManifestError, load_mirror, overlaps
    from syncd.config import read_text_file
    from syncd.session import names
    from syncd.sources import TRANSPORTS

    problems: list[dict[str, Any]] = []
    files = [file for path in paths for file in (_below(path) if path.is_dir() else [path])]
    mirrors: list[Mirror] = []
    for file in files:
        try:
            text = read_text_file(file, from_pipe=file in paths)
            mirrors.append(load_mirror(text, str(file), schemes=names(TRANSPORTS)))
        except ManifestError as error:
            problems += [msgspec.to_builtins(problem, enc_hook=plain) for problem in error.problems]
        except OSError as error:
            problems.append(_problem(file, f"cannot be read: {error.strerror}", "give the path of a manifest"))
    problems += [
        _problem(paths[0], clash, "rename one, or give it another store.prefix") for clash in overlaps(mirrors)
    ]
    return files, mirrors, problems


def _below(folder: Path) -> list[Path]:
    from syncd.daemon import manifest_files

    return manifest_files(folder)


def _problem(file: Path, what: str, todo: str) -> dict[str, Any]:
    return {"file": str(file), "line": 1, "column": 1, "where": "file", "what": what, "todo": todo}
