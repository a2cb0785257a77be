"""Runs one pass of a mirror, and records its outcome.

A bug in one pass ends that pass, not the daemon: the log gets the traceback, and the mirror backs off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from manifests.messages import count, message
from syncd.core import Halted, NoSpace, NothingFound, Offline, PassFailed, PassFinished, PassStarted, SyncdError
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import CANCELLED, MirrorState, PassRun
from syncd.daemon.pass_log import PassLog
from syncd.daemon.pass_shares import ExclusivePool, PassShares
from syncd.daemon.reasons import because
from syncd.engine import FILES, IN_FLIGHT, Pass, PassProgress, error_name
from syncd.process import first_of
from syncd.session import Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The failure of a pass: an expected error, or a bug."""

    error: BaseException


class PassRunner:
    """Runs the passes of a daemon, each from its first record to its last."""

    def __init__(
        self,
        registry: MirrorRegistry,
        session: Callable[[], Session],
        shares: PassShares,
        *,
        on_crash: Callable[[str, BaseException], None],
        check_store: Callable[[], Awaitable[None]],
    ) -> None:
        """Parameters are those of `PassScheduler`."""
        self.registry = registry
        self.session = session
        self.shares = shares
        self.on_crash = on_crash
        self.check_store = check_store

    def begin(self, mirror_state: MirrorState, why: str) -> PassRun:
        """Record that a pass begins, and return it."""
        registry = self.registry
        assert mirror_state.declared is not None
        mirror, who = mirror_state.declared.mirror, mirror_state.requested_by
        mirror_state.requested_by = ""
        retries_all, mirror_state.retries_all = mirror_state.retries_all, True
        is_patient, mirror_state.is_patient = mirror_state.is_patient, False
        row = registry.catalogue.history.ensure_row(mirror)  # the pass itself refuses
        self.session().save_manifest(mirror.name, mirror_state.declared.text, file=mirror_state.declared.file)
        now, clock = registry.now(), registry.clock()
        pass_id = registry.catalogue.pass_history.begin(row.id, why=why, who=who, at=now)
        mirror_state.row = row
        mirror_state.run = run = PassRun(
            pass_id=pass_id,
            why=why,
            who=who,
            began=now,
            since=clock,
            progress=PassProgress(mirror.name),
            log=PassLog(registry.now),
            last_event=clock,
            retries_all=why == "asked" and retries_all,
            is_patient=is_patient,
        )
        registry.on_event(PassStarted(mirror.name, pass_id, why, who))
        return run

    async def run(self, mirror_state: MirrorState, run: PassRun) -> None:
        """Run a pass to its end, and record the outcome."""
        written = False
        try:
            found = await run_contained(self._pass(mirror_state, run))
            if isinstance(found, FailedRun) and isinstance(found.error, Offline | NoSpace):
                await self.check_store()
            self._end(mirror_state, run, found)
            written = True
        finally:
            if not written:  # this task was cancelled
                self._write(run, outcome="stopped", error="", reason=str(because("stops.now")))
                mirror_state.run = None

    async def _pass(self, mirror_state: MirrorState, run: PassRun) -> PassFinished:
        assert mirror_state.declared is not None
        mirror, origin = mirror_state.declared.mirror, mirror_state.origin
        with (
            self.shares.budget.share(origin, max_bytes=IN_FLIGHT, max_files=FILES) as share,
            self.shares.connections.share(origin) as line,
        ):
            async with self.session().pass_context(
                mirror, connections=line, retry_failed=run.retries_all, is_patient=run.is_patient
            ) as composed:
                work = msgspec.structs.replace(
                    composed,
                    stopping=run.stopping,
                    budget=share,
                    free=lambda: self._free(run),
                    pool=ExclusivePool(composed.pool, self.shares, origin) if composed.pool is not None else None,
                    now=self.registry.now,
                    clock=self.registry.clock,
                )
                return await Pass(work).run()

    async def _free(self, run: PassRun) -> int | None:
        """Return the bytes that a pass may store: the free space, less `keep_free` and the rest of the other passes."""
        session = self.session()
        free = await session.store.free()
        if free is None:
            return None
        others = sum(one.run.left() for one in self.registry.running() if one.run is not None and one.run is not run)
        return max(0, free - session.config.budget.keep_free - others)

    def _end(self, mirror_state: MirrorState, run: PassRun, found: PassFinished | FailedRun) -> None:
        registry = self.registry
        if isinstance(found, PassFinished):
            counts = msgspec.structs.asdict(found)
            del counts["mirror"], counts["complete"], counts["unmatched"]
            if found.complete:
                self._write(run, outcome="complete", **counts)
            elif run.stopping.is_set():
                error = CANCELLED if run.stopped_by else ""
                self._write(run, outcome="stopped", error=error, reason=str(run.stop_reason), **counts)
            else:
                text = (
                    count(found.failed, "{n} file failed", "{n:,} files failed")
                    if found.failed
                    else message("only a part of upstream's listing could be read, so nothing is deleted")
                )
                self._write(run, outcome="incomplete", reason=text, **counts)
        else:
            self._fail(mirror_state, run, found.error)
        tally = run.progress
        mirror_state.received += tally.arrived
        complete = isinstance(found, PassFinished) and found.complete
        files, size = mirror_state.unfinished()
        mirror_state.backlog = (0, 0) if complete else (files + run.progress.failed, size)
        mirror_state.run = None
        mirror_state.finished = found.error if isinstance(found, FailedRun) else found
        registry.refresh(mirror_state)
        registry.recompute_due()
        registry.wake.set()
        if isinstance(found, FailedRun):
            wait = max(0.0, mirror_state.due - registry.now()) if mirror_state.due is not None else None
            registry.on_event(PassFailed(mirror_state.name, _name(found.error), _reason(found.error), wait))

    def _fail(self, mirror_state: MirrorState, run: PassRun, error: BaseException) -> None:
        outcome, name, words = "failed", _name(error), _reason(error)
        store = self.registry.store
        if isinstance(error, Offline | NoSpace) and (store.state != "online" or store.changed > run.since):
            outcome = "stopped"  # the store caused it, so the mirror does not back off
        elif isinstance(error, Halted):
            outcome = "stopped"
        elif isinstance(error, NothingFound):
            outcome = "nothing_found"
        elif not isinstance(error, SyncdError):
            self.on_crash(mirror_state.name, error)
        run.log.on_event(PassFailed(mirror_state.name, name, words, None))
        self._write(run, outcome=outcome, error=name, reason=words)

    def _write(self, run: PassRun, *, outcome: str, **values: Any) -> None:
        pass_history = self.registry.catalogue.pass_history
        run.log.end()
        pass_history.add_events((run.pass_id, happening) for happening in run.log.waiting)
        run.log.waiting.clear()
        values.setdefault("seconds", round(self.registry.clock() - run.since, 3))
        pass_history.end(run.pass_id, outcome=outcome, at=self.registry.now(), **values)


async def run_contained(work: Coroutine[Any, Any, T]) -> T | FailedRun:
    """Return the result of `work`, or its failure, bugs included; a cancellation of the caller cancels `work`."""
    task = asyncio.create_task(work)  # owned by this function, which awaits it
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        return FailedRun(asyncio.CancelledError(message("it was cancelled from within")))
    error = task.exception()
    if error is None:
        return task.result()
    return FailedRun(first_of(error) if isinstance(error, BaseExceptionGroup) else error)


def _name(error: BaseException) -> str:
    return error_name(error) if isinstance(error, SyncdError) else type(error).__name__


def _reason(error: BaseException) -> str:
    if isinstance(error, SyncdError):
        return str(error)
    return message(
        "a bug in syncd ({kind}: {cause}): the traceback is in the log; please report it",
        kind=type(error).__name__,
        cause=error,
    )
