"""`syncd rebuild`: rebuilds the Catalogue from the store."""

from typing import TYPE_CHECKING, Annotated

import typer

from manifests.messages import message
from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from manifests.snapshot import Pointer
    from syncd.catalogue import MirrorRow
    from syncd.cli.context import CommandContext
    from syncd.core import Event


@command("syncd rebuild --store /data/mirror --state ./state", asks_daemon=True)
async def rebuild(
    context: "CommandContext",
    mirror: Annotated[
        str | None, typer.Argument(metavar="[MIRROR]", help="Rebuild the records of this mirror only.")
    ] = None,
    from_backup: Annotated[
        str | None,
        typer.Option(
            "--from-backup", metavar="BACKUP", help="Restore a backup first: latest, or the beginning of its name."
        ),
    ] = None,
) -> int:
    """Rebuild the Catalogue, or the records of one mirror, from the store. Downloads nothing."""
    from asyncio import to_thread

    from manifests.messages import count
    from syncd.cli.acting import ask_whom, carry_out
    from syncd.cli.audit import audited
    from syncd.cli.owner import require_owner
    from syncd.control import RebuildAct
    from syncd.core import Busy, CatalogueOutdated, Damaged, UnknownName
    from syncd.daemon import restore_backup
    from syncd.engine import rebuild as rebuild_catalogue
    from syncd.process import DONE

    if await ask_whom(context) is not None:
        if mirror is None or from_backup is not None:
            raise Busy(
                message("a running daemon works with the Catalogue: stop it, or name one mirror: syncd rebuild MIRROR")
            )
        return await carry_out(context, RebuildAct(mirror=mirror))
    await to_thread(require_owner, context.config)
    if from_backup is not None:
        place, kept = await restore_backup(context.config, from_backup, context.environ)
        if not context.json:
            output.print_line(f"restored {place}" + (f"; the previous Catalogue is {kept}" if kept is not None else ""))
    at_open: list[str] = []  # mirrors that were rebuilt because the store knows more of them

    def report(event: "Event") -> None:
        if isinstance(event, CatalogueOutdated) and not event.reason:
            at_open.append(event.mirror)
        else:
            context.report(event)

    async with context.open_session(report) as session:

        def is_wanted(pointer: "Pointer", row: "MirrorRow | None") -> bool:
            if mirror is not None:
                return pointer.mirror == mirror
            if from_backup is None or row is None or row.prefix != pointer.prefix:
                return True
            try:  # published after the backup was made, or missing from it
                return session.catalogue.history.current_id(row.id) != pointer.snapshot
            except Damaged:
                return True

        with audited(session, mirror or "", "rebuild") as act:
            rows = await rebuild_catalogue(session.store, session.catalogue, only=is_wanted)
            act.outcome = count(len(rows), "{n} mirror rebuilt", "{n:,} mirrors rebuilt")
            if from_backup is not None:
                act.details["backup"] = place
        if mirror is not None and not rows:
            raise UnknownName(message("{mirror}: the store has no such mirror", mirror=mirror))
        rebuilt = {row.name for row in rows}
        rows += [session.mirror(name) for name in at_open if name not in rebuilt]
        await session.finish_publishes()
        found = [(row.name, *session.catalogue.holdings.totals(row.id)) for row in rows]
        if context.json:
            output.print_json([{"mirror": name, "files": number, "bytes": size} for name, number, size in found])
        for name, number, size in found if not context.json else ():
            output.print_line(f"{name}: {output.files(number)}, {output.size(size)}")
        if not found and not context.json:
            output.print_line("the store contains no mirrors")
        return DONE
