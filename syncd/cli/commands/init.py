"""`syncd init`: looks at an address, and writes a manifest for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import output
from syncd.cli.registration import CONFIG, Json, plain_command, source_context

if TYPE_CHECKING:
    from syncd.cli.looking import LookResult


@plain_command("syncd init https://physionet.org/files/mitdb/1.0.0/ --folder manifests.d/")
def init(
    url: Annotated[str, typer.Argument(metavar="URL", help="An address: a folder, a record, a list, a page.")],
    name: Annotated[str, typer.Option(metavar="MIRROR", help="The mirror's name; by default one of the url.")] = "",
    folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the manifest into this folder, and print no text.")
    ] = None,
    credentials: Annotated[
        str, typer.Option(metavar="NAME", help="A credential of syncd.yaml to look with; the manifest names it.")
    ] = "",
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=CONFIG)] = None,
    allow_private: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow sources on this private or loopback origin; may be repeated."),
    ] = None,
    json: Json = False,
) -> int:
    """Look at an address, say which reader fits it and why, and print a manifest that `syncd check` accepts.

    The look is bounded: it ends after 20,000 files, 200 documents or 20 seconds. Nothing is stored.
    """
    from manifests.recognition import manifest_text
    from syncd.cli.looking import look, read_address
    from syncd.cli.manifest_files import write_manifest
    from syncd.process import DONE

    given = read_address(url)
    result = look(source_context(config, allow_private, json=json), given, credentials, lambda line: _say(line, json))
    best = result.require()
    text = manifest_text(best.candidate, best.found, name=name, credentials=credentials)
    file = write_manifest(text, folder) if folder is not None else None
    if json:
        output.print_json({**_as_json(result), "manifest": text, "file": str(file) if file is not None else None})
    elif file is not None:
        output.print_line(f"{file}: written")
        output.print_line(f"  then: syncd check {file}; syncd sync {file}")
    else:
        for line in text.splitlines():
            output.print_line(line)
    return DONE


def _say(line: str, json: bool) -> None:
    if not json:
        output.print_note(line)


def _as_json(result: "LookResult") -> dict[str, Any]:
    """Return what a look found, for programs."""
    return {
        "url": result.given.page,
        "tried": [
            {
                "reader": one.candidate.reader,
                "why": one.candidate.why,
                "source": one.candidate.source,
                "fits": one.fits,
                "reason": one.reason,
                "files": one.found.files if one.found is not None else None,
                "bytes": one.found.bytes if one.found is not None else None,
                "unsized": one.found.unsized if one.found is not None else None,
                "checksums": one.found.digests if one.found is not None else {},
                "bounded": one.found.is_bounded if one.found is not None else None,
                "denied": one.found.denied if one.found is not None else "",
            }
            for one in result.tried
        ],
    }
