"""A job that waits or runs; and the job that runs one pass by the manifest in force."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from manifests.messages import message
from syncd.catalogue import JobRow
from syncd.control import Act, Actor, ActResult, SyncAct
from syncd.core import Busy, JobAdvanced, PassFinished, UnknownName
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.reasons import because
from syncd.engine import require_no_hold

TURN = 0.05  # seconds between two looks whether the mirror is free
ADVANCED = 1.0  # seconds between two events of progress


@dataclass(slots=True)
class LiveJob:
    """A job that waits or runs."""

    row: JobRow
    act: Act
    actor: Actor
    files: int = 0
    bytes: int = 0
    reason: str = ""
    told: float = float("-inf")
    task: asyncio.Task[ActResult] | None = None
    cancelled_by: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def advance(self, registry: MirrorRegistry, files: int, size: int) -> None:
        """Set the progress so far, and tell it at most once a second."""
        self.files, self.bytes = files, size
        if registry.clock() - self.told >= ADVANCED:
            self.told = registry.clock()
            registry.on_event(JobAdvanced(self.act.mirror, self.row.id, files, size))


async def run_requested_pass(registry: MirrorRegistry, live: LiveJob, act: SyncAct) -> PassFinished:
    """Request a pass, and return its result at its end. Raises what the pass does; Busy if there can be none now."""
    mirror_state = _requestable(registry, act)
    while mirror_state.run is not None:
        live.reason = message("{name}: a pass is under way", name=act.mirror)
        await asyncio.sleep(TURN)
    assert mirror_state.declared is not None
    mirror_state.requested_by, mirror_state.finished = live.row.who or "somebody", None
    mirror_state.retries_all = act.retry_failed
    mirror_state.is_patient = mirror_state.declared.mirror.source.settle is None
    registry.wake.set()
    try:
        return await _end_of_pass(registry, live, mirror_state)
    except asyncio.CancelledError:
        _stop(mirror_state, live.cancelled_by)
        raise


def _stop(mirror_state: MirrorState, who: str) -> None:
    """Withdraw the request, or stop the pass; `who` is "" if the daemon ends."""
    mirror_state.requested_by = ""
    if mirror_state.run is not None:
        mirror_state.run.stop(because("stops.asked", who=who) if who else because("stops.daemon"), who)


async def _end_of_pass(registry: MirrorRegistry, live: LiveJob, mirror_state: MirrorState) -> PassFinished:
    """Wait for the end of the requested pass; take over its progress, or why it has not begun."""
    while True:
        found = mirror_state.finished
        if isinstance(found, BaseException):
            raise found
        if found is not None:
            return found
        run = mirror_state.run
        if run is None and not mirror_state.requested_by:
            raise Busy(message("{name}: no manifest of it is in force", name=mirror_state.name))
        if run is None:
            live.reason = str(registry.state(mirror_state)[1])
        else:
            live.reason = ""
            live.advance(registry, run.progress.files, run.progress.behind)
        await asyncio.sleep(TURN)


def _requestable(registry: MirrorRegistry, act: SyncAct) -> MirrorState:
    """Return a mirror of which a pass can be requested. Raises UnknownName, Busy."""
    mirror_state = registry.states.get(act.mirror)
    declared = mirror_state.declared if mirror_state is not None else None
    if mirror_state is None or declared is None:
        raise UnknownName(message("{name}: no manifest of it is in force", name=act.mirror))
    if act.manifest and hashlib.sha256(declared.text.encode()).hexdigest() != act.manifest:
        raise Busy(
            message(
                "{name}: the daemon has another manifest of it in force: {file}", name=act.mirror, file=declared.file
            )
        )
    if not declared.mirror.enabled:
        raise Busy(
            message("{name}: is disabled by its manifest: write enabled: true, or delete the key", name=act.mirror)
        )
    require_no_hold(registry.catalogue.settings, act.mirror)
    if mirror_state.paused is not None:
        why = message("paused by {who}", who=mirror_state.paused[0])
        raise Busy(message("{name}: cannot be synced now: {why}", name=act.mirror, why=why))
    return mirror_state
