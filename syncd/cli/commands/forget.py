"""`syncd forget`: a mirror's records are deleted, and its files on request."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.messages import message
from syncd.cli import output
from syncd.cli.registration import MirrorName, command

if TYPE_CHECKING:
    from syncd.catalogue import MirrorRow
    from syncd.cli.context import CommandContext
    from syncd.config import Config
    from syncd.engine import Holding
    from syncd.session import Session


@command("syncd forget old-name --files")
async def forget(
    context: "CommandContext",
    mirror: MirrorName,
    with_files: Annotated[
        bool, typer.Option("--files", help="Delete its files too, and its earlier versions and deleted files.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
) -> int:
    """Forget a mirror whose manifest was withdrawn: its records are deleted, and another mirror may use its folder.

    Without --files, every file stays under its name, and earlier versions stay under .syncd/ in the store.
    """
    from asyncio import to_thread

    from syncd.cli.audit import audited
    from syncd.core import Busy
    from syncd.engine import forget_mirror, holding_of, unknown_mirror
    from syncd.process import DONE, INTERRUPTED
    from syncd.session import StoredPublications

    if (file := await to_thread(_declared_in, context.config, mirror)) is not None:
        raise Busy(message("{mirror}: {file} declares it: withdraw this manifest first", mirror=mirror, file=file))
    async with context.open_session(context.report) as session:
        row = session.catalogue.history.mirror(mirror)
        holding = await holding_of(session.store, session.catalogue, mirror, row)
        if row is None and not holding.kept:
            raise unknown_mirror(mirror)
        if with_files and row is not None and (tags := session.catalogue.tags.all(row.id)):
            names = [tag.name for tag in tags]
            raise Busy(
                message(
                    "{mirror}: has the tags {names}: remove them first: syncd tag remove", mirror=mirror, names=names
                )
            )
        if not context.json:
            for line in _explained(mirror, row, holding, with_files=with_files):
                output.print_line(line)
        is_asked = not yes and not context.json and sys.stdin.isatty()
        if is_asked and not await to_thread(typer.confirm, f"Forget {mirror}?"):
            return INTERRUPTED
        what = "forget --files" if with_files else "forget"
        was_public = _is_published(session, mirror)
        with audited(session, mirror, what) as act:
            await forget_mirror(session.store, session.catalogue, mirror, row, files=with_files)
            if was_public:
                session.catalogue.publications.begin(mirror, session.now())
            session.catalogue.publications.end(mirror, session.now(), "forgotten")
            await StoredPublications().write(session)  # the tombstone outlives the state folder
            act.outcome = outcome = (
                message("forgotten, and {n} files deleted", n=holding.files)
                if with_files
                else message("forgotten; {n} files stay", n=holding.files)
            )
        if context.json:
            output.print_json(
                {
                    "mirror": mirror,
                    "files_deleted": holding.files if with_files else 0,
                    "files_kept": 0 if with_files else holding.files,
                    "versions_deleted": holding.kept if with_files else 0,
                    "versions_kept": 0 if with_files else holding.kept,
                }
            )
        else:
            output.print_line(f"{mirror}: {outcome}")
        return DONE


def _is_published(session: "Session", mirror: str) -> bool:
    """Return True if a mirror is published by the manifest of its last pass, and no daemon has withdrawn it."""
    from syncd.core import ConfigError, NotFound

    publications = session.catalogue.publications
    if mirror in {one.mirror for one in publications.tombstones()}:
        return False
    try:
        return session.manifest(mirror).publish is not None
    except (NotFound, ConfigError):  # it never had a pass, or its manifest is of an older syncd
        return mirror in publications.public()


def _explained(mirror: str, row: "MirrorRow | None", holding: "Holding", *, with_files: bool) -> list[str]:
    """Return lines for people: the deletions, and the files that stay."""
    files = f"{output.files(holding.files)} ({output.size(holding.bytes)})"
    kept = f"{output.counted(holding.kept, 'object')} ({output.size(holding.kept_bytes)})"
    under = f"under {row.prefix}" if row is not None else "under its folder"
    history = f"{kept} of earlier versions, deleted files and snapshots under .syncd/"
    records = "its records in the state folder and its pointer: rollback and undelete end"
    if with_files:
        return [f"{mirror}: deletes {files} {under}, {history}, and {records}"]
    again = f"; syncd forget {mirror} --files deletes these later" if holding.kept else ""
    return [f"{mirror}: deletes {records}", f"{mirror}: keeps {files} {under}, and {history}{again}"]


def _declared_in(config: "Config", mirror: str) -> str | None:
    """Return the manifest of the configuration that declares a mirror."""
    from syncd.config import read_text_file
    from syncd.daemon import ManifestFile, manifest_files

    for path in config.manifests:
        for file in manifest_files(path) if path.is_dir() else [path]:
            try:
                text = read_text_file(file).decode(errors="replace")
            except OSError:
                continue  # not there, or not readable: it declares nothing now
            if ManifestFile(str(file), text=text).declared_name == mirror:
                return str(file)
    return None
