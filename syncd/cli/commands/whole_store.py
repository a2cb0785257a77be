"""What is done with a whole store: fill the Catalogue from it, try what it can do."""

import msgspec

from manifests.snapshot import Pointer
from syncd.catalogue import MirrorRow
from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.daemon import restore_backup
from syncd.engine import rebuild as rebuild_catalogue
from syncd.process import DONE, SOME_FAILED
from syncd.stores import probe as probe_store


async def rebuild(context: CommandContext, from_backup: str | None) -> int:
    """Fill the Catalogue from the store, or bring a backup back and fill in what was published since."""
    if from_backup is not None:
        place, kept = await restore_backup(context.config, from_backup)
        if not context.json:
            output.print_line(
                f"restored {place}" + (f"; the Catalogue from before is {kept}" if kept is not None else "")
            )
    async with context.open_session(lambda _: None) as session:
        rows = await rebuild_catalogue(
            session.store, session.catalogue, only=_differs if from_backup is not None else _any
        )
        found = [(row.name, *session.catalogue.holdings.totals(row.id)) for row in rows]
        if context.json:
            output.print_json([{"mirror": name, "files": count, "bytes": size} for name, count, size in found])
        for name, count, size in found if not context.json else ():
            output.print_line(f"{name}: {output.files(count)}, {output.size(size)}")
        if not found and not context.json:
            output.print_line("the store holds no mirror")
        return DONE


async def probe(context: CommandContext) -> int:
    """Try what the store can do."""
    async with context.open_session(lambda _: None) as session:
        capabilities = await probe_store(session.store)
        session.catalogue.settings.set("capabilities", msgspec.json.encode(capabilities).decode())
        if context.json:
            output.print_json(capabilities)
        else:
            output.table(("", "check", "result"), capabilities.lines())
        return DONE if capabilities.good_enough else SOME_FAILED


def _differs(pointer: Pointer, row: MirrorRow | None) -> bool:
    """Tell whether a mirror was published since the backup was made."""
    return row is None or row.snapshot != pointer.snapshot or row.prefix != pointer.prefix


def _any(_pointer: Pointer, _row: MirrorRow | None) -> bool:
    return True
