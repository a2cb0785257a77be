"""`syncd sums`: the checksums of a kept snapshot as one file for `sha256sum -c`, of any size."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from asyncio import Event

    from manifests.snapshot import Snapshot
    from syncd.cli.context import CommandContext
    from syncd.core import Store


@command("syncd sums physionet-mitdb --out SHA256SUMS")
async def sums(
    context: "CommandContext",
    mirror: MirrorName,
    snapshot: Annotated[
        str,
        typer.Option(metavar="ID", help="A kept snapshot's id, the beginning of it, or a tag; else the current one."),
    ] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to this file; otherwise to stdout.")] = None,
) -> int:
    """Write the checksums of all files of a snapshot, for `sha256sum -c` in the mirror's folder."""
    from manifests.messages import message
    from syncd.core import ConfigError, NotFound
    from syncd.daemon import queries
    from syncd.process import DONE, INTERRUPTED

    if context.json and out is None:
        raise ConfigError(message("--json: add --out FILE: the checksums themselves are no JSON"))
    async with context.read_mirror(mirror) as (session, row):
        kept = session.catalogue.history.snapshots(row.id)
        tags = session.catalogue.tags.all(row.id)
        if not kept:
            raise NotFound(message("{name}: no snapshot is kept", name=mirror))
        wanted = queries.find_snapshot(kept, mirror, snapshot, tags) if snapshot else kept[0]
        if out is None:
            await _write(session.store, wanted, sys.stdout.buffer, context.stopping)
        elif await _write_file(session.store, wanted, out, context.stopping):
            if context.json:
                output.print_json({"mirror": mirror, "snapshot": wanted.id, "files": wanted.files, "file": str(out)})
            else:
                output.print_line(f"{out}: {output.files(wanted.files)} of snapshot {wanted.id[:12]}")
    return INTERRUPTED if context.stopping.is_set() else DONE


async def _write_file(store: "Store", snapshot: "Snapshot", path: Path, stopping: "Event") -> bool:
    """Write a file that appears under its name once it is whole; return True if it was not stopped."""
    from manifests.messages import message
    from syncd.core import Denied, NoSpace

    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        with part.open("wb") as file:
            await _write(store, snapshot, file, stopping)
        if not stopping.is_set():
            part.replace(path)
    except OSError as error:
        kind = NoSpace if error.errno in {errno.ENOSPC, errno.EDQUOT} else Denied
        raise kind(message("{path}: cannot be written: {cause}", path=path, cause=error.strerror or error)) from error
    finally:
        with suppress(OSError):
            part.unlink()
    return not stopping.is_set()


async def _write(store: "Store", snapshot: "Snapshot", file: BinaryIO, stopping: "Event") -> None:
    from asyncio import to_thread

    from syncd.engine import sums_lines

    async for lines in sums_lines(store, snapshot):
        if stopping.is_set():
            return
        await to_thread(file.write, lines)
    await to_thread(file.flush)
