"""`syncd metadata`: what the node says of its published mirrors, as files for catalogues and portals."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import command, group

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext

FORMATS = (
    "all, or one of: bibtex, croissant, datacite, dcat, feeds, gbt30523, iso19139, oai, resourcesync, ro-crate, "
    "schema-org, sitemap, stac."
)

metadata = group(
    "metadata",
    "Metadata of published mirrors, for catalogues and portals.",
    "syncd metadata export --format dcat --out public/",
)


@command("syncd metadata export --format datacite --out public/ landsat", name="export", below=metadata)
async def export(
    context: "CommandContext",
    kind: Annotated[str, typer.Option("--format", metavar="FORMAT", help=FORMATS)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to; it is created.")],
    mirrors: Annotated[
        list[str] | None, typer.Argument(metavar="MIRROR", help="The mirrors; by default all that are published.")
    ] = None,
) -> int:
    """Write the metadata of published mirrors, as the node serves it; a private mirror is refused."""
    from asyncio import to_thread
    from datetime import UTC, datetime

    from manifests.messages import message
    from syncd.core import ConfigError, NotFound
    from syncd.exchange import EXPORTS
    from syncd.face import node_of
    from syncd.process import DONE
    from syncd.session import listed_in, published_mirrors

    if kind not in {"all", *EXPORTS}:
        names = ", ".join(("all", *EXPORTS))
        raise ConfigError(message("--format {kind}: is not an allowed value; allowed: {names}", kind=kind, names=names))
    node = node_of(context.config.serve)
    async with context.read_all() as session:
        found = await published_mirrors(session, node, mirrors or (), datetime.now(UTC))
    if not found:
        raise NotFound(message("no mirror is published: write publish in the manifest of one, and sync it"))
    written: dict[str, int] = {}
    for name in EXPORTS if kind == "all" else (kind,):
        word, write = EXPORTS[name]
        chosen = listed_in(found, word)
        left = [one for one in mirrors or () if one not in {held.name for held in chosen}]
        if left and kind != "all":
            raise ConfigError(
                message(
                    "{name}: is not listed there: add {word} to publish.to in its manifest", name=left[0], word=word
                )
            )
        for path, body in write(node, chosen):
            await to_thread(_write, out / path, body)
            written[path] = len(body)
    if context.json:
        output.print_json([{"file": path, "bytes": size} for path, size in sorted(written.items())])
    else:
        for path in sorted(written):
            output.print_line(str(out / path))
    return DONE


def _write(path: Path, body: bytes) -> None:
    """Write a file that appears under its name once it is complete."""
    from manifests.messages import message
    from syncd.core import Denied, NoSpace

    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(body)
        part.replace(path)
    except OSError as error:
        kind = NoSpace if error.errno in {errno.ENOSPC, errno.EDQUOT} else Denied
        raise kind(message("{path}: cannot be written: {cause}", path=path, cause=error.strerror or error)) from error
    finally:
        with suppress(OSError):
            part.unlink()
