"""What every part of the daemon's control works with: the parts of the running daemon."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from manifests.messages import message
from syncd.catalogue import BackgroundReader, MirrorRow
from syncd.core import NotFound
from syncd.daemon.event_bus import EventBus
from syncd.daemon.job_runner import JobRunner
from syncd.daemon.manifest_watcher import ManifestWatcher
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.scrubber import Scrubber
from syncd.session import Session


@dataclass(slots=True)
class DaemonStatus:
    """The state of the daemon itself, and the last rates of its origins."""

    started: float
    state: Literal["starting", "running", "stopping"] = "starting"
    reason: str = field(default_factory=lambda: message("opens the Catalogue and the store"))
    rates: dict[str, tuple[float, float, float]] = field(default_factory=dict)


class ControlBase:
    """The parts of the running daemon."""

    def __init__(
        self,
        registry: MirrorRegistry,
        scheduler: PassScheduler,
        scrubber: Scrubber,
        manifests: ManifestWatcher,
        session: Callable[[], Session],
        background: BackgroundReader,
        event_bus: EventBus,
        status: DaemonStatus,
        jobs: JobRunner,
    ) -> None:
        """All are parts of the running daemon; `session` returns the Session of the configuration in force."""
        self._registry = registry
        self._scheduler = scheduler
        self._scrubber = scrubber
        self._manifests = manifests
        self._session = session
        self._reader = background
        self._event_bus = event_bus
        self._status = status
        self._jobs = jobs

    def _standing(self, name: str) -> MirrorState:
        mirror_state = self._registry.states.get(name)
        if mirror_state is None:
            raise NotFound(message("{name}: no such mirror here", name=name))
        return mirror_state

    def _row(self, name: str) -> MirrorRow | None:
        return self._standing(name).row
