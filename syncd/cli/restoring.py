"""Restoring from kept versions, for `rollback`, `undelete` and `verify`."""

import time

from manifests.snapshot import Snapshot
from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.core import SyncdError
from syncd.engine import PassPaths, Publisher, Restoration
from syncd.session import Session


def restoration_of(session: Session, name: str) -> Restoration:
    """Return the Restore of a mirror. Raises NotFound."""
    row = session.mirror(name)
    place = PassPaths(row.name, row.prefix, f"restore-{time.time_ns():x}")
    publisher = Publisher(session.store, session.catalogue, row, place, session.listener, keep_versions(session, name))
    return Restoration(session.store, session.catalogue, row, place, publisher)


def keep_versions(session: Session, name: str) -> int:
    """Return how many Snapshots the mirror keeps; the default if its manifest is unknown."""
    try:
        return session.manifest(name).keep.versions
    except SyncdError:
        return 2


def print_current(context: CommandContext, name: str, snapshot: Snapshot) -> None:
    """Print the current snapshot."""
    if context.json:
        output.print_json({"mirror": name, "snapshot": snapshot.id, "files": snapshot.files, "bytes": snapshot.bytes})
    else:
        output.print_line(
            f"{name}: snapshot {snapshot.id}, {output.files(snapshot.files)}, {output.size(snapshot.bytes)}"
        )
