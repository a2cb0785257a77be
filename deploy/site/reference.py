"""Writes the pages of docs/reference from code: `make docs` runs it, and a test holds each page equal to the result.

* docs/reference/cli.md: every command, from the texts that `syncd COMMAND --help` shows.
* docs/reference/manifest.md: every key of a manifest, from manifests/mirror.schema.json.
* docs/reference/completeness.md: how each reader proves that a list is whole, from the `CompletenessProof` it declares.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from manifests.reading import CompletenessProof, built_in
from syncd.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
SCHEMA = ROOT / "manifests" / "mirror.schema.json"
PARTS = "#/$defs/"
OF_READER = re.compile(r"^Reader ([\w-]+): (.*)$", re.MULTILINE)
WIDTH = 120

CLI = """\
# Command line

Written by `make docs` from the texts that `syncd COMMAND --help` shows.

{help}

Options that several commands share: `--config` names the configuration. Without it the command searches for one and
says on standard error which one it found; with `--json` as `{{"configuration": FILE}}`. The environment variables
`SYNCD_STORE`, `SYNCD_ENDPOINT` and `SYNCD_STATE` override it, and `--store`, `--endpoint` and `--state` override both.
With `--json` a command prints JSON to standard output. Progress and messages go to standard error.
"""

MANIFEST = """\
# Manifest keys

Written by `make docs` from `manifests/mirror.schema.json`, the JSON Schema with which editors complete and check a
manifest. [Writing a manifest](../writing-a-manifest.md) explains each key with examples and common mistakes.
"""

READERS = """\
## Keys of one reader

These keys stand in `source` beside `reader:`. A key of another reader is an error.
"""


COMPLETENESS = """\
# Complete lists

Written by `make docs` from what each reader declares.

syncd deletes nothing because of a list that it cannot prove to be complete. It proves each format by what that format
has: an end that every document must reach, a count that upstream announces, and the limits that are known. A document
without its end, a count that is not reached, a page that comes twice, and an entry that syncd cannot use although it
may be a file make the inventory incomplete. The pass then adds and replaces files, deletes none, and says why.

The last column names the cut that nothing in the format reveals. Such a list is complete if its document ends as it
should; syncd still compares the transferred bytes with the length that the server announced.
"""

UNSEEN = {"none": "none", "lines": "between two lines", "any": "any: the format proves nothing"}


def written() -> Iterator[tuple[Path, str]]:
    """Yield every page that is written, and its text."""
    yield REFERENCE / "cli.md", _text(_commands())
    yield REFERENCE / "manifest.md", _text(_keys(json.loads(SCHEMA.read_text("utf-8"))))
    yield REFERENCE / "completeness.md", _text(_proofs({name: kind.proof for name, kind in built_in().items()}))


def _text(blocks: Iterator[str]) -> str:
    return "\n".join(f"{block.rstrip()}\n" for block in blocks)


def _commands() -> Iterator[str]:
    program = typer.main.get_command(app)
    yield CLI.format(help=_wrapped(program.help or ""))
    for name, command in program.commands.items():  # type: ignore[attr-defined]  # the program is a group
        yield from _command(name, command)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## syncd {name}"
    yield _wrapped(command.help or "")
    if hasattr(command, "commands"):
        for below, inner in command.commands.items():
            yield f"#{next(block := _command(f'{name} {below}', inner))}"
            yield from block
        return
    context = typer.Context(command, info_name=name)
    shown = [(given, given.get_help_record(context)) for given in command.params if given.name != "help"]
    arguments = [(spelt, says) for given, (spelt, says) in shown if given.param_type_name == "argument"]
    options = [(spelt, says) for given, (spelt, says) in shown if given.param_type_name == "option"]
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ').replace(name, f'syncd {name}', 1)}\n```"
    if arguments:
        yield _table(("argument", "meaning"), _spelt(arguments))
    if options:
        yield _table(("option", "meaning"), _spelt(options))
    yield f"```console\n$ {(command.epilog or '').removeprefix('Example: ')}\n```"


def _spelt(records: Any) -> Iterator[tuple[str, str]]:
    for spelt, says in records:
        yield f"`{spelt}`", says.replace("[required]", "Required.")


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |".replace("| --- ", "|---") for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _keys(schema: dict[str, Any]) -> Iterator[str]:
    yield MANIFEST
    parts, of_readers = schema["$defs"], {}
    yield "## Keys of every manifest"
    yield _table(("key", "type", "default", "meaning"), _rows(schema, parts, "", of_readers))
    yield READERS
    for reader in sorted(of_readers):
        chapter = f"[reader: {reader}](../writing-a-manifest.md#reader-{reader})"
        yield f"### {reader}"
        yield f"{chapter} in *Writing a manifest*."
        yield _table(("key", "type", "meaning"), of_readers[reader])


def _rows(model: Any, parts: Any, above: str, of_readers: Any) -> Iterator[tuple[str, str, str, str]]:
    for key, field in model.get("properties", {}).items():
        meaning = field.get("description") or parts.get(field.get("$ref", "").removeprefix(PARTS), {}).get(
            "description"
        )
        told = OF_READER.findall(meaning)
        if told:
            for reader, text in told:
                of_readers.setdefault(reader, []).append((f"`{above}{key}`", _kind(field), text))
            continue
        required = key in model.get("required", ())
        shown = field.get("default") not in (None, [])
        default = "required" if required else f"`{json.dumps(field['default'])}`" if shown else ""
        yield f"`{above}{key}`", _kind(field), default, meaning
        for one in (field, *field.get("anyOf", ())):
            if "$ref" in one:
                yield from _rows(parts[one["$ref"].removeprefix(PARTS)], parts, f"{above}{key}.", of_readers)


def _kind(field: Any) -> str:
    """Return the type of a key in words, as in `list of string`."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        kinds = [kind for one in field["anyOf"] for kind in _kind(one).split(" or ")]
        return " or ".join(dict.fromkeys(kinds))
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}"
    kinds = field.get("type", "any")
    words = kinds if isinstance(kinds, list) else [kinds]
    return "mapping" if "$ref" in field else " or ".join("mapping" if word == "object" else word for word in words)


def _proofs(proofs: dict[str, CompletenessProof]) -> Iterator[str]:
    yield COMPLETENESS
    head = ("reader", "end of a document", "announced count", "known limit", "unnoticed cut")
    yield _table(
        head, ((f"`{name}`", one.end, one.count, one.limit, UNSEEN[one.unseen]) for name, one in proofs.items())
    )


def _wrapped(text: str) -> str:
    """Return paragraphs with lines of at most 120 characters."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines.append("")
        for word in paragraph.split():
            fits = lines[-1] and len(lines[-1]) + len(word) < WIDTH
            lines[-1:] = [f"{lines[-1]} {word}"] if fits else [lines[-1], word] if lines[-1] else [word]
        lines.append("")
    return "\n".join(lines).strip()


if __name__ == "__main__":
    for file, text in written():
        file.write_text(text, "utf-8")
