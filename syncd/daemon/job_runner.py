"""Carries out the acts of operators as jobs: each on its own mirror, while the passes of the others go on.

Rules:
1. A job waits for its turn on its mirror, and keeps passes, repairs and other jobs of that mirror away meanwhile.
2. A job is recorded before it begins. One that a kill, or a lost store, cut off begins again if its act may be
   repeated; otherwise it ends as `cut`, and its reason says what to do.
3. A bug in a job ends that job, not the daemon.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import msgspec

from manifests.messages import message, plain
from syncd.acts import ActContext, pass_outcome, perform
from syncd.catalogue import JobRow
from syncd.control import (
    Act,
    Actor,
    ActResult,
    ApproveAct,
    ForgetAct,
    JobState,
    JobView,
    RetryAct,
    SyncAct,
    act_of,
    actor_of,
    arguments_of,
    no_job,
)
from syncd.core import (
    Audited,
    Busy,
    JobEnded,
    JobStarted,
    NotFound,
    Offline,
    SyncdError,
    message_view,
)
from syncd.daemon.job_passes import TURN, LiveJob, run_requested_pass
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.reasons import because
from syncd.process import GUARDED, INTERRUPTED, code_of, first_of
from syncd.session import Session

STARTS = 3  # a job that a kill cut off so often is not begun again
_result = msgspec.json.Decoder(ActResult).decode


class JobRunner:
    """The jobs of a daemon."""

    def __init__(
        self,
        registry: MirrorRegistry,
        scheduler: PassScheduler,
        session: Callable[[], Session],
        *,
        on_crash: Callable[[str, BaseException], None],
        declared_in: Callable[[str], str | None],
    ) -> None:
        """`on_crash` receives bugs; `declared_in` returns the manifest that declares a mirror."""
        self.registry = registry
        self.scheduler = scheduler
        self.session = session
        self.on_crash = on_crash
        self.declared_in = declared_in
        self.live: dict[int, LiveJob] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Run jobs until cancelled, those first that an earlier process or a lost store left."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for row in self.registry.catalogue.jobs.unfinished():
                    self._take_up(row)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self.live.clear()

    # -- what people ask ------------------------------------------------------------------------------------------

    def start(self, act: Act, who: str) -> JobView:
        """Record a job, and begin it as soon as its mirror is free. Raises NotFound, Offline."""
        mirror_state = self.registry.states.get(act.mirror)
        if mirror_state is None and not isinstance(act, ForgetAct):
            raise NotFound(message("{name}: no such mirror here", name=act.mirror))
        if self._group is None:
            reason = self.registry.store.reason or message("the daemon is not ready")
            raise Offline(message("{name}: not now: {reason}", name=act.mirror, reason=reason))
        actor, jobs = actor_of(who), self.registry.catalogue.jobs
        number = jobs.add(
            mirror=act.mirror,
            act=msgspec.json.encode(act, enc_hook=plain),
            who=str(actor),
            at=self.registry.now(),
        )
        row = jobs.get(number)
        assert row is not None
        return self.view(self._begin(row, act, actor).row)

    async def wait(self, number: int, seconds: float) -> JobView:
        """Return a job, after its end or after `seconds`. Raises NotFound."""
        live = self.live.get(number)
        if live is not None and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await live.over.wait()
            except TimeoutError:
                pass
        row = self.registry.catalogue.jobs.get(number)
        if row is None:
            raise no_job(number)
        return self.view(row)

    def cancel(self, number: int, who: str) -> JobView:
        """Stop a job; what it has done stays, and what it has begun is finished by the next pass. Raises Busy."""
        row = self.registry.catalogue.jobs.get(number)
        if row is None:
            raise no_job(number)
        live = self.live.get(number)
        if live is None:
            raise Busy(message("job {number}: has ended: {state}", number=number, state=row.state))
        live.cancelled_by = str(who) or "somebody"
        if live.task is not None:
            live.task.cancel()
        return self.view(row)

    def latest(self, mirror: str, before: int | None, limit: int) -> list[JobView]:
        """Return jobs, the newest first."""
        return [self.view(row) for row in self.registry.catalogue.jobs.latest(before, limit, mirror)]

    def view(self, row: JobRow) -> JobView:
        """Return the view of a job."""
        live, act = self.live.get(row.id), act_of(row.act)
        reason = live.reason if live is not None else row.reason
        return JobView(
            id=row.id,
            act=act.name,
            mirror=row.mirror,
            arguments=arguments_of(act),
            who=row.who,
            state=cast("JobState", row.state),
            asked=row.asked,
            began=row.began,
            ended=row.ended,
            files=live.files if live is not None else 0,
            bytes=live.bytes if live is not None else 0,
            reason=reason,
            message=message_view(reason),
            error=row.error,
            code=row.code,
            result=_result(row.result) if row.result is not None else None,
        )

    # -- from the first record to the last ------------------------------------------------------------------------

    def _take_up(self, row: JobRow) -> None:
        """Begin a job again that was cut off, or end it."""
        act = act_of(row.act)
        if row.state == "waiting" or (act.goes_on and row.starts < STARTS):
            self._begin(row, act, Actor(row.who))
            return
        reason = message(
            "the daemon ended before it: look at the mirror, and ask for it again: syncd {act} {mirror}",
            act=act.name,
            mirror=row.mirror,
        )
        self._end_job(row, "cut", act.what, reason, error="Halted", code=GUARDED)

    def _begin(self, row: JobRow, act: Act, actor: Actor) -> LiveJob:
        assert self._group is not None
        live = self.live[row.id] = LiveJob(row, act, actor)
        self._group.create_task(self._run(live), name=f"job {row.id}")
        return live

    async def _run(self, live: LiveJob) -> None:
        """Own the task of a job, and record its end; a job that the daemon itself cuts off stays recorded as begun."""
        act = live.act
        task = live.task = asyncio.get_running_loop().create_task(self._perform(live), name=f"job {live.row.id} works")
        if live.cancelled_by:
            task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                live.over.set()
        try:
            self._end(live, task)
        finally:
            self.live.pop(live.row.id, None)
            live.over.set()
            self.registry.wake.set()
        self.registry.on_event(JobEnded(act.mirror, live.row.id, act.name, self._state(live.row.id)))

    def _state(self, number: int) -> str:
        row = self.registry.catalogue.jobs.get(number)
        return row.state if row is not None else "cut"

    def _end(self, live: LiveJob, task: "asyncio.Task[ActResult]") -> None:
        what = live.act.what
        if task.cancelled():
            reason = message("cancelled by {who}", who=live.cancelled_by or "the daemon")
            self._end_job(live.row, "cancelled", what, reason, error="Halted", code=INTERRUPTED)
            return
        error: BaseException | None = task.exception()
        if error is None:
            found = task.result()
            self._end_job(live.row, "done", what, found.outcome, code=found.code, result=found)
            return
        if isinstance(error, BaseExceptionGroup):
            error = first_of(error)
        if isinstance(error, SyncdError):
            self._end_job(live.row, "failed", what, str(error), error=type(error).__name__, code=code_of(error))
            return
        self.on_crash(live.act.mirror, error)
        reason = message(
            "a bug in syncd ({kind}: {cause}): the traceback is in the log; please report it",
            kind=type(error).__name__,
            cause=error,
        )
        self._end_job(live.row, "failed", what, reason, error=type(error).__name__, code=GUARDED)

    def _end_job(
        self,
        row: JobRow,
        state: str,
        what: str,
        reason: str,
        *,
        error: str = "",
        code: int | None = None,
        result: ActResult | None = None,
    ) -> None:
        """Record what came of a job, and that in the audit log."""
        catalogue, now = self.registry.catalogue, self.registry.now()
        raw = msgspec.json.encode(result, enc_hook=plain) if result is not None else None
        kept = "" if state == "done" else reason
        catalogue.jobs.end(row.id, state, at=now, error=error, reason=kept, code=code, result=raw)
        outcome = reason if state in {"done", "cancelled"} else message("failed: {error}", error=reason)
        live = self.live.get(row.id)
        actor = live.actor if live is not None else Actor(row.who)
        entry = catalogue.pass_history.add_audit(
            at=now,
            who=row.who,
            door=actor.door,
            what=what,
            mirror=row.mirror,
            outcome=outcome,
            details=actor.details,
        )
        self.registry.on_event(Audited(row.mirror, row.who, what, outcome, entry.id, entry.hash))

    async def _perform(self, live: LiveJob) -> ActResult:
        act, registry = live.act, self.registry

        def on_verified(files: int, size: int) -> None:
            live.advance(registry, live.files + files, live.bytes + size)

        async with self._turn(live):
            live.reason = ""
            registry.catalogue.jobs.begin(live.row.id, registry.now())
            registry.on_event(JobStarted(act.mirror, live.row.id, act.name, live.row.who))
            if isinstance(act, SyncAct):
                return pass_outcome(self.session(), await run_requested_pass(registry, live, act))
            try:
                found = await perform(
                    act,
                    ActContext(
                        session=self.session(), actor=live.actor, on_verified=on_verified, declared_in=self.declared_in
                    ),
                )
            finally:
                self._refresh(act.mirror)
            if isinstance(act, RetryAct) or (isinstance(act, ApproveAct) and found.data["approved"]):
                self._request_pass(live)
            return found

    def _refresh(self, name: str) -> None:
        """Read the state of the mirror again."""
        mirror_state = self.registry.states.get(name)
        if mirror_state is not None:
            self.registry.refresh(mirror_state)
            if mirror_state.row is None:
                self.registry.drop(mirror_state)
            self.registry.recompute_due()

    def _request_pass(self, live: LiveJob) -> None:
        """Let a pass carry out what was decided, if one may begin."""
        mirror_state = self.registry.states.get(live.act.mirror)
        if mirror_state is not None and mirror_state.declared and not mirror_state.paused and not mirror_state.held:
            mirror_state.requested_by = live.row.who or "somebody"
            mirror_state.retries_all = isinstance(live.act, ApproveAct)

    @asynccontextmanager
    async def _turn(self, live: LiveJob) -> AsyncIterator[None]:
        """Keep everything else away from the mirror, once it is free. Raises Busy if the act does not wait."""
        act, mirror_state = live.act, self.registry.states.get(live.act.mirror)
        if mirror_state is None or not act.uses_store:
            yield
            return
        mirror_state.jobs += 1
        try:
            while mirror_state.run is not None or mirror_state.busy:
                self._hurry(live, mirror_state)
                await asyncio.sleep(TURN)
            with self.scheduler.reserve(mirror_state, because("waits.job", act=act.what)):
                yield
        finally:
            mirror_state.jobs -= 1

    def _hurry(self, live: LiveJob, mirror_state: MirrorState) -> None:
        """Say what the job waits for, and stop the pass if the act does that."""
        act, name = live.act, live.act.mirror
        if mirror_state.run is None:
            live.reason = message("{name}: {busy}", name=name, busy=str(mirror_state.busy))
            return
        if not act.waits:
            raise Busy(
                message("{name}: a pass is running; decide after its end on the losses that it holds", name=name)
            )
        live.reason = message("{name}: a pass is under way", name=name)
        if act.stops_pass:
            mirror_state.run.stop(because("stops.asked", who=live.row.who), live.row.who or "somebody")
