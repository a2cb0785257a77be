"""Returns views of the running daemon from memory.

Rule: the API asks from a thread of its own. A view changes nothing, and copies a collection before it walks through it.
"""

import os
import time
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Literal, cast

from manifests.access import Level, access_of
from manifests.model import ManifestError, ManifestProblem
from syncd.control import (
    CheckView,
    DaemonView,
    ManifestView,
    MirrorView,
    OriginView,
    ProblemView,
    Sample,
    ScrubView,
    StoreView,
)
from syncd.core import message_view
from syncd.daemon.control_base import ControlBase
from syncd.daemon.manifest_watcher import DeclaredMirror, ManifestFile
from syncd.session import VERSION

ORIGINS = 1_000  # origins returned, at most


class LiveViews(ControlBase):
    """The queries that return at once."""

    def daemon(self) -> DaemonView:
        """Return the state of the daemon."""
        states = [self._registry.state(mirror_state)[0] for mirror_state in self._registry.copies()]
        return DaemonView(
            version=VERSION,
            pid=os.getpid(),
            started=self._status.started,
            state=self._status.state,
            ready=self._status.state == "running",
            reason=self._status.reason,
            running=states.count("running"),
            waiting=states.count("waiting"),
            bytes_in_flight=self._scheduler.shares.budget.bytes,
            catalogue_bytes=self._registry.store.catalogue_bytes,
            index_bytes=self._registry.store.index_bytes,
            state_free=self._registry.store.state_free,
        )

    def mirrors(self) -> list[MirrorView]:
        """Return all mirrors by name."""
        return [self._registry.view(mirror_state) for mirror_state in self._registry.copies()]

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        return self._registry.view(copy(self._standing(name)))

    def manifests(self) -> list[ManifestView]:
        """Return every manifest file, with its problems."""
        by_file = {declared.file: declared for declared in list(self._manifests.in_force.values())}
        return [_manifest(file, by_file) for _, file in sorted(self._manifests.files.items())]

    def access(self, name: str) -> Level:
        """Return who may read a mirror."""
        declared = self._manifests.in_force.get(name)
        now = datetime.fromtimestamp(self._registry.now(), UTC)
        return access_of(declared.mirror if declared is not None else None, now)

    def check(self, text: str, *, alone: bool = False) -> CheckView:
        """Validate the text of a manifest."""
        try:
            mirror = self._manifests.parse(text, "manifest", alone=alone)
        except ManifestError as error:
            return CheckView(problems=tuple(problem_view(one) for one in error.problems))
        return CheckView(mirror=mirror.name)

    def origins(self) -> list[OriginView]:
        """Return the origins with requests since the daemon started."""
        now, clock, views = self._registry.now(), time.monotonic(), []
        for governor in sorted(self._session().governors, key=lambda one: one.origin)[:ORIGINS]:
            closed, paused = governor.closed_for, self._registry.origin_pauses.get(governor.origin)
            if paused is not None and paused.until <= now:
                paused = None
            views.append(
                OriginView(
                    origin=governor.origin,
                    limit=governor.limit,
                    active=governor.busy,
                    waiting=governor.waiting,
                    throttled_until=now + closed if closed > 0 else None,
                    rate=self._rate(governor.origin, governor.count.bytes, clock),
                    rate_limit=governor.rate,
                    paused_until=paused.until if paused is not None else None,
                    paused_by=paused.who if paused is not None else "",
                )
            )
        return views

    def _rate(self, origin: str, received: float, clock: float) -> float:
        """Return the bytes per second of an origin, measured over at least five seconds."""
        rates = self._status.rates
        at, seen, rate = rates.get(origin, (clock, received, 0.0))
        if clock - at >= 5.0:
            at, seen, rate = clock, received, max(0.0, (received - seen) / (clock - at))
        rates[origin] = (at, seen, rate)
        return rate

    def scrubs(self) -> list[ScrubView]:
        """Return the progress of each mirror's fixity check."""
        found = []
        for mirror_state in self._registry.copies():
            if mirror_state.row is None:
                continue
            reading = self._scrubber.seen(mirror_state)
            found.append(
                ScrubView(
                    mirror=mirror_state.name,
                    within=reading.within,
                    files=reading.files,
                    bytes=reading.bytes,
                    oldest=reading.oldest,
                    covered=reading.covered,
                    rate=reading.rate,
                    running=reading.is_reading,
                    faults=mirror_state.faults,
                    mended=mirror_state.mended,
                )
            )
        return found

    def store(self) -> StoreView:
        """Return the state of the store."""
        store = self._registry.store
        return StoreView(
            url=self._session().config.store.url,
            state=cast("Literal['online', 'offline', 'full']", store.state),
            reason=store.reason,
            free=store.free,
            since=store.since,
            backup=store.backup,
            message=message_view(store.reason),
        )

    def series(self, name: str | None = None) -> list[Sample]:
        """Return the last 24 hours of one mirror, or of all together."""
        return list((self._registry.total if name is None else self._standing(name).series).samples())


def problem_view(one: ManifestProblem) -> ProblemView:
    """Return the view of a problem."""
    return ProblemView(
        file=one.file,
        line=one.line,
        column=one.column,
        where=one.where,
        what=one.what,
        todo=one.todo,
        message=message_view(one.what),
        todo_message=message_view(one.todo),
    )


def _manifest(file: ManifestFile, by_file: Mapping[str, DeclaredMirror]) -> ManifestView:
    declared = by_file.get(file.name)
    return ManifestView(
        file=file.name,
        mirror=file.declared_name or None,
        problems=tuple(problem_view(one) for one in file.all_problems),
        since=declared.since if declared is not None else None,
    )
