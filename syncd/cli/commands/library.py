"""`syncd library`: lists, shows and copies ready-made manifests."""

from pathlib import Path
from typing import Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import Json, group, plain_command

library = group(
    "library",
    "Ready-made manifests of well-known archives.",
    "syncd library add physionet-mitdb manifests.d/",
)
Ready = Annotated[str, typer.Argument(metavar="NAME", help="The name of a ready-made manifest.")]


@plain_command("syncd library list", name="list", below=library)
def list_all(json: Json = False) -> int:
    """List all ready-made manifests: field, access, title, and how much they would move."""
    from syncd.cli.library_index import read_index
    from syncd.process import DONE

    found = read_index()
    if json:
        output.print_json(found)
    else:
        output.table(
            ("name", "field", "access", "title", "size"),
            ((one["name"], one["field"], one["access"] or "?", one["title"], one["size"]) for one in found),
        )
        output.print_line()
        output.print_line(
            "syncd library show NAME prints one; syncd library add NAME FOLDER copies it for you to fill in"
        )
    return DONE


@plain_command("syncd library show sentinel-1-grd", name="show", below=library)
def show(name: Ready, json: Json = False) -> int:
    """Print a ready-made manifest with its comments: size, access, verification, pitfalls."""
    from syncd.cli.library import find
    from syncd.process import DONE

    ready = find(name)
    if json:
        output.print_json({**ready.summary, "text": ready.text})
    else:
        for line in ready.text.splitlines():
            output.print_line(line)
    return DONE


@plain_command("syncd library add sentinel-1-grd manifests.d/", name="add", below=library)
def add(
    name: Ready,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to copy it into.")] = Path(),
    json: Json = False,
) -> int:
    """Copy a ready-made manifest into a folder, and list the values to fill in. An existing file is not changed.

    A copy with values to fill in is disabled until they are: `enabled: false`, and a line `# TO FILL IN:` for each.
    """
    from manifests.messages import message
    from syncd.cli.library import find
    from syncd.core import ConfigError
    from syncd.process import DONE

    ready = find(name)
    file = folder / f"{name}.yaml"
    if not folder.is_dir():
        raise ConfigError(message("{folder}: is not a folder: create it, or name another", folder=folder))
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(ready.copied)
    except FileExistsError as error:
        raise ConfigError(
            message("{file}: exists already and was not changed: delete it, or name another folder", file=file)
        ) from error
    except OSError as error:
        raise ConfigError(message("{file}: cannot be written: {cause}", file=file, cause=error.strerror)) from error
    if json:
        told = {name: ready.note(name) for name in ("access", "size")}
        output.print_json({"file": str(file), "fill_in": ready.to_fill_in, "enabled": not ready.to_fill_in, **told})
        return DONE
    output.print_line(f"{file}: copied; access: {ready.note('access')}")
    output.print_line(f"  it would move: {ready.note('size')}")
    for line in ready.to_fill_in:
        output.print_line(f"  still to fill in: {line}")
    if ready.to_fill_in:
        output.print_line("  it is disabled until then: delete enabled: false, and the lines TO FILL IN")
    output.print_line(f"  then: syncd check {file}")
    return DONE
