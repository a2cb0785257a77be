"""Restoring from kept bytes, for `rollback`, `restore` and `undelete`."""

import time

from manifests.messages import count, message
from manifests.snapshot import Snapshot
from syncd.cli import output
from syncd.cli.context import CommandContext
from syncd.core import SyncdError
from syncd.engine import PassPaths, Publisher, Restoration
from syncd.process import DONE, SOME_FAILED
from syncd.session import Session


class RestoredFiles:
    """Restores kept files and snapshots of a mirror, and collects the files whose place could not be taken."""

    def __init__(self, session: Session, name: str) -> None:
        """Prepare. Raises NotFound."""
        self.failed: list[tuple[str, SyncdError]] = []
        row = session.mirror(name)
        place = PassPaths(row.name, row.prefix, f"restore-{time.time_ns():x}")
        keep = session.retention(name)
        publisher = Publisher(
            session.store,
            session.catalogue,
            row,
            place,
            session.listener,
            keep,
            on_failed=self._on_failed,
            heads=session.signer(name),
        )
        self.restoration = Restoration(session.store, session.catalogue, row, place, publisher, session.hashing)

    def _on_failed(self, path: str, error: SyncdError) -> None:
        self.failed.append((path, error))

    def outcome(self, snapshot: Snapshot) -> str:
        """Return what came of it, for the audit log."""
        current = message("snapshot {snapshot} is the current one", snapshot=snapshot.id[:12])
        if not self.failed:
            return current
        failed = count(len(self.failed), "{n} file failed", "{n:,} files failed")
        return message("{current}; {failed}", current=current, failed=failed)

    def print_current(self, context: CommandContext, snapshot: Snapshot) -> int:
        """Print the snapshot that is current now, and what failed; return the exit code."""
        name = self.restoration.mirror.name
        if context.json:
            output.print_json(
                {
                    "mirror": name,
                    "snapshot": snapshot.id,
                    "files": snapshot.files,
                    "bytes": snapshot.bytes,
                    "failed": [{"path": path, "reason": str(error)} for path, error in self.failed],
                }
            )
        else:
            output.print_line(
                f"{name}: snapshot {snapshot.id}, {output.files(snapshot.files)}, {output.size(snapshot.bytes)}"
            )
        for _, error in self.failed:
            output.print_warning(f"{name}: not restored: {error}", json=context.json)
        return SOME_FAILED if self.failed else DONE
