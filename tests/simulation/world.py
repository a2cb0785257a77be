"""Plays one history: a mirror, its upstream and store, and the processes that work with them, step by step."""

import asyncio
import contextlib
import shutil
from unittest import mock

import msgspec

from syncd.core import Busy, SyncdError
from syncd.engine import held_content, local_copies, pass_results, ranged_download, transfer
from syncd.stores import lease
from tests.simulation.event_loop import SimulatedProcess, seeded_world
from tests.simulation.invariants import LEASE, Violation
from tests.simulation.scenario import DAY, WITH_PROCESS, Step
from tests.simulation.step_checks import StepChecks

LEASE_ENDS = 61.0  # seconds after which the lease of a killed process is free
CALM = 5  # passes without trouble within which everything must be as upstream has it

# Sizes at which the program changes its ways, made small: a file of a thousand bytes is a large one here.
SCALED = (
    (transfer, "SMALL", 256),
    (ranged_download, "STEP_LEAST", 256),
    (ranged_download, "STEP_MOST", 512),
    (ranged_download, "FLUSH", 256),
    (pass_results, "BATCH_FILES", 2),
    (held_content, "LEAST_SAMPLED", 600),
    (local_copies, "SAMPLE", 16),
)


class History(StepChecks):
    """One history under way."""

    def play(self) -> None:
        """Play the whole history. Raises Violation."""
        (self.folder / "spool").mkdir(parents=True)
        self.shelf.on_change = self._on_change
        with contextlib.ExitStack() as stack:
            stack.enter_context(seeded_world(self.loop, self.chance))
            for module, name, value in SCALED:
                stack.enter_context(mock.patch.object(module, name, value))
            stack.enter_context(mock.patch.object(lease, "_is_alive", self._is_alive))
            try:
                self.loop.run_until_complete(self._play())
            finally:
                for process in self.processes:
                    process.is_dead = True
                    for act in process.on_kill:
                        act()
                    process.close_tasks()
                self.loop.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    # -- the history --

    async def _play(self) -> None:
        for number, step in enumerate(self.scenario.steps, 1):
            self._note(f"-- {number}. {step.sentence()}")
            self.chance.seed(f"{self.scenario.seed} {step.seed}")
            before = self._current_paths()
            await self._step(step)
            self._check_bugs()
            self._check_losses(step, before)
            if step.kind in WITH_PROCESS:
                self._check_catalogue()
        await self._converge()

    async def _step(self, step: Step) -> None:
        if step.kind in WITH_PROCESS:
            await self._with_process(step)
        elif step.kind == "wait":
            await asyncio.sleep(step.days * DAY)
        elif step.kind == "damage":
            self._damage(step)
        else:
            self._change_upstream(step.kind, step.count)
        await asyncio.sleep(1.0)

    # -- processes --

    async def _with_process(self, step: Step) -> None:
        if step.daemon != self.daemon:  # the other daemon takes over; what it knew is old
            self.daemon = step.daemon
            self._lose_state(self.daemon)
        if step.kind == "lose":
            self._lose_state(self.daemon)
        process = self._process(self.daemon)
        process.kill_at, process.pause_at = step.kill, step.pause
        if step.kind == "both":
            self._lose_state(1 - self.daemon)
            other = self._process(1 - self.daemon)
            self.loop.start_process(other, self._session(other, step))
            error = await self.loop.run_process(process, self._session(process, step))
            self._end(process, step, error)
            self._end(other, step, await self.loop.wait_for(other))
            self.daemon = self._last_writer(self.daemon)
            self._lose_state(1 - self.daemon)
            return
        error = await self.loop.run_process(process, self._session(process, step))
        if any(isinstance(leaf, Busy) for leaf in _leaves(error)):  # it is started again, as a service is
            self._end(process, step, error)
            await asyncio.sleep(LEASE_ENDS)
            process = self._process(self.daemon)
            error = await self.loop.run_process(process, self._session(process, step))
        if process.is_paused:
            await self._take_over(step, process)
            return
        self._end(process, step, error)

    async def _take_over(self, step: Step, paused: SimulatedProcess) -> None:
        """While one process is stopped, another daemon takes its place; then the first one goes on."""
        self.reached.add("pause")
        await asyncio.sleep(LEASE_ENDS)
        self._lose_state(1 - self.daemon)
        other = self._process(1 - self.daemon)
        calm = Step("pass", step.seed)
        self._end(other, calm, await self.loop.run_process(other, self._session(other, calm)))
        self.loop.resume(paused)
        self._end(paused, step, await self.loop.wait_for(paused))
        self.daemon = self._last_writer(self.daemon)
        self._lose_state(1 - self.daemon)

    def _last_writer(self, daemon: int) -> int:
        """Return the daemon that had the lease last: what another one knows may be old."""
        held = self.shelf.objects.get(LEASE)
        return self.processes[msgspec.json.decode(held.body)["pid"] - 1].daemon if held is not None else daemon

    def _process(self, daemon: int) -> SimulatedProcess:
        process = SimulatedProcess(len(self.processes) + 1, daemon)
        self.processes.append(process)
        return process

    def _end(self, process: SimulatedProcess, step: Step, error: BaseException | None) -> None:
        """Take note of how a process ended. Raises what is a bug."""
        if process.is_dead:
            self.reached.add("kill")
            process.close_tasks()
            self._note(f"{process.name} was killed at turn {process.turns}")
            return
        for leaf in _leaves(error):
            if isinstance(leaf, Violation):
                raise leaf
            if not isinstance(leaf, SyncdError):
                raise Violation("bug", f"{step.kind} raised {leaf!r}") from leaf
            self._note(f"{process.name}: {type(leaf).__name__}: {leaf}")
        if (left := [task for task in process.tasks if not task.done()]) and not process.is_paused:
            raise Violation("P9", f"{len(left)} tasks of a process that ended are left: {left[0].get_coro()}")
        process.kill()  # what the system releases when a process ends

    # -- the end --

    async def _converge(self) -> None:
        """P4: without trouble the mirror becomes what upstream has, by itself, and nothing is left over."""
        self._note("-- the end, without trouble")
        self._change_upstream("add", 2)
        await asyncio.sleep(LEASE_ENDS)
        for number in range(CALM):
            for kind in ("approve", "pass") if number else ("pass",):
                await self._calm(kind)
            if self._is_current():
                break
        else:
            raise Violation(
                "P4", f"after {CALM} passes without trouble the mirror is not as upstream: {self._difference()}"
            )
        await self._calm("scrub")
        for _ in range(2):
            await asyncio.sleep(41 * DAY)
            await self._calm("pass")
        natural = set(self.invariants.current())
        left = [*self.invariants.unexplained(natural)]
        if left or self.shelf.stagings:
            raise Violation("P9", f"left over in the store: {left[:5]} and {len(self.shelf.stagings)} stagings")
        await self._calm("lose")
        for kind in ("pass", "approve", "pass"):
            await self._calm(kind)
        if not self._is_current():
            raise Violation("P4", f"after a rebuild the mirror is not as upstream: {self._difference()}")

    async def _calm(self, kind: str) -> None:
        step = Step(kind, self.loop.turns, daemon=self.daemon)
        before = self._current_paths()
        if kind == "lose":
            self._lose_state(self.daemon)
        process = self._process(self.daemon)
        error = await self.loop.run_process(process, self._session(process, step))
        self._end(process, step, error)
        if error is not None:
            raise Violation("P4", f"{kind} without any trouble: {error!r}") from error
        self._check_bugs()
        self._check_losses(step, before)
        self._check_catalogue()
        await asyncio.sleep(LEASE_ENDS)


def _leaves(error: BaseException | None) -> list[BaseException]:
    if error is None:
        return []
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
