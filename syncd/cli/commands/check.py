"""`syncd check`: mirror manifests are linted, each by itself and all together."""

from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.messages import plain
from syncd.cli import output
from syncd.cli.registration import Json, plain_command


@plain_command("syncd check manifests.d/ physionet.yaml")
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Manifests, or folders of them.")],
    json: Json = False,
) -> int:
    """Check mirror manifests. Reports every mistake with its file, line and column."""
    import msgspec

    from manifests.model import ManifestError, Mirror, load_mirror, overlaps
    from syncd.config import read_text_file
    from syncd.daemon import manifest_files
    from syncd.process import DONE, USAGE
    from syncd.session import names
    from syncd.sources import TRANSPORTS

    problems: list[dict[str, Any]] = []
    files = [file for path in paths for file in (manifest_files(path) if path.is_dir() else [path])]
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
    if json:
        output.print_json({"files": len(files), "problems": problems})
    else:
        for problem in problems:
            output.print_line("{file}:{line}:{column}: {where}: {what}: {todo}".format(**problem))
        if not files:
            output.print_line("no manifest found: give files, or folders that hold *.yaml")
        elif not problems:
            output.print_line(f"{output.files(len(files))}: no problems")
    return USAGE if problems or not files else DONE


def _problem(file: Path, what: str, todo: str) -> dict[str, Any]:
    return {"file": str(file), "line": 1, "column": 1, "where": "file", "what": what, "todo": todo}
