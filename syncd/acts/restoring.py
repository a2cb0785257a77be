"""Acts that restore kept bytes: rollback, restore and undelete; and the end of a hold."""

import asyncio
import time

from manifests.messages import count, message
from manifests.snapshot import Snapshot
from syncd.acts.act_context import ActContext, files_text, size_text
from syncd.control import ActResult, ReleaseAct, RestoreAct, RollbackAct, UndeleteAct
from syncd.core import SyncdError
from syncd.engine import PassPaths, Publisher, Restoration, SnapshotHold, hold_snapshot, release_hold
from syncd.process import DONE, SOME_FAILED


async def rollback(act: RollbackAct, context: ActContext) -> ActResult:
    """Make an earlier snapshot the current one, and hold it on request."""
    files = await _RestoredFiles.prepare(context, act.mirror)
    current = await files.restoration.rollback(act.snapshot)
    if not act.hold:
        return files.result(current)
    settings, now = context.session.catalogue.settings, context.session.now()
    hold_snapshot(settings, act.mirror, SnapshotHold(current.id, str(context.actor), now))
    held = message(
        "{name}: held: no pass begins until `syncd release {name}`",
        name=act.mirror,
    )
    return files.result(current, held)


async def release(act: ReleaseAct, context: ActContext) -> ActResult:
    """End the hold of a mirror."""
    name = context.row(act.mirror).name
    found = release_hold(context.session.catalogue.settings, name)
    if found is None:
        line, outcome = message("{name}: was not held", name=name), message("was not held")
    else:
        line = message("{name}: released; the next pass follows upstream again", name=name)
        outcome = message("released snapshot {snapshot}", snapshot=found.snapshot[:12])
    return ActResult(
        outcome=outcome,
        data={"mirror": name, "released": found.snapshot if found is not None else ""},
        lines=(line,),
    )


async def undelete(act: UndeleteAct, context: ActContext) -> ActResult:
    """Bring deleted files back, and pin them."""
    files = await _RestoredFiles.prepare(context, act.mirror)
    return files.result(await files.restoration.undelete(act.paths))


async def restore(act: RestoreAct, context: ActContext) -> ActResult:
    """Bring files back as a kept snapshot has them, and pin them."""
    files = await _RestoredFiles.prepare(context, act.mirror)
    return files.result(await files.restoration.restore(act.paths, act.snapshot))


class _RestoredFiles:
    """Restores kept files and snapshots of a mirror, and collects the files whose place could not be taken."""

    def __init__(self, restoration: Restoration, failed: list[tuple[str, SyncdError]]) -> None:
        self.restoration = restoration
        self.failed = failed

    @classmethod
    async def prepare(cls, context: ActContext, name: str) -> "_RestoredFiles":
        """Prepare. Raises NotFound."""
        session, row = context.session, context.row(name)
        failed: list[tuple[str, SyncdError]] = []
        place = PassPaths(row.name, row.prefix, f"restore-{time.time_ns():x}")
        publisher = Publisher(
            session.store,
            session.catalogue,
            row,
            place,
            session.listener,
            session.retention(name),
            session.now,
            lambda path, error: failed.append((path, error)),
            await asyncio.to_thread(session.signer, name),
        )
        restoration = Restoration(session.store, session.catalogue, row, place, publisher, session.hashing, session.now)
        return cls(restoration, failed)

    def result(self, snapshot: Snapshot, *more: str) -> ActResult:
        """Return the snapshot that is current now, and what failed."""
        name = self.restoration.mirror.name
        return ActResult(
            outcome=self._outcome(snapshot),
            data={
                "mirror": name,
                "snapshot": snapshot.id,
                "files": snapshot.files,
                "bytes": snapshot.bytes,
                "failed": [{"path": path, "reason": str(error)} for path, error in self.failed],
            },
            lines=(
                message(
                    "{name}: snapshot {snapshot}, {files}, {size}",
                    name=name,
                    snapshot=snapshot.id,
                    files=files_text(snapshot.files),
                    size=size_text(snapshot.bytes),
                ),
                *more,
            ),
            warnings=tuple(
                message("{name}: not restored: {error}", name=name, error=error) for _, error in self.failed
            ),
            code=SOME_FAILED if self.failed else DONE,
        )

    def _outcome(self, snapshot: Snapshot) -> str:
        current = message("snapshot {snapshot} is the current one", snapshot=snapshot.id[:12])
        if not self.failed:
            return current
        failed = count(len(self.failed), "{n} file failed", "{n:,} files failed")
        return message("{current}; {failed}", current=current, failed=failed)
