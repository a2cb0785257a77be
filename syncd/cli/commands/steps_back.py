"""Goes back to what was kept, and lets go what was held back."""

import time

from manifests.snapshot import Snapshot
from syncd.catalogue import MirrorRow
from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.core import SyncdError
from syncd.engine import PassPaths, Publisher, Restoration
from syncd.process import DONE
from syncd.session import Session


async def rollback(context: CommandContext, name: str, snapshot: str) -> int:
    """Go back to a kept snapshot."""
    async with context.open_session(lambda _: None) as session:
        restoration = _restoration(session, session.mirror(name), keep_versions(session, name))
        current = await restoration.rollback(snapshot)
        _print_current(context, name, current)
        return DONE


async def undelete(context: CommandContext, name: str, paths: list[str]) -> int:
    """Bring removed files back."""
    async with context.open_session(lambda _: None) as session:
        restoration = _restoration(session, session.mirror(name), keep_versions(session, name))
        _print_current(context, name, await restoration.undelete(paths))
        return DONE


async def approve(context: CommandContext, name: str) -> int:
    """Let parked removals through at the next pass."""
    async with context.open_session(lambda _: None) as session:
        count = session.catalogue.approvals.approve(session.mirror(name).id)
        if context.json:
            output.print_json({"mirror": name, "approved": count})
        elif count:
            output.print_line(
                f"{name}: approved; the next pass deletes {output.files(count)}; undelete works until keep.removed ends"
            )
        else:
            output.print_line(f"{name}: no deletions are held for approval")
        return DONE


def _restoration(session: Session, row: MirrorRow, keep_versions: int) -> Restoration:
    place = PassPaths(row.name, row.prefix, f"restore-{time.time_ns():x}")
    publisher = Publisher(session.store, session.catalogue, row, place, session.listener, keep_versions)
    return Restoration(session.store, session.catalogue, row, place, publisher)


def keep_versions(session: Session, name: str) -> int:
    """Return how many Snapshots the mirror keeps; the default where its manifest is not known."""
    try:
        return session.manifest(name).keep.versions
    except SyncdError:
        return 2


def _print_current(context: CommandContext, name: str, snapshot: Snapshot) -> None:
    if context.json:
        output.print_json({"mirror": name, "snapshot": snapshot.id, "files": snapshot.files, "bytes": snapshot.bytes})
    else:
        output.print_line(
            f"{name}: snapshot {snapshot.id}, {output.files(snapshot.files)}, {output.size(snapshot.bytes)}"
        )
