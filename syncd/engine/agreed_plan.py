"""A plan that was agreed to, and the proof that a pass is about to do exactly that."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec

from manifests.messages import count, message
from syncd.catalogue import MirrorRow
from syncd.core import NoSpace, PlanOutdated, next_turn
from syncd.engine.build_plan import PlanResult
from syncd.engine.pass_context import PassContext
from syncd.engine.plan_file import (
    ACTIONS,
    AT_ONCE,
    PlanHeader,
    PlannedStep,
    StepSum,
    manifest_sha256,
    planned_step,
    read_header,
    read_steps,
)

MOST_COMPARED = 1_000_000  # steps of which the differences are named
SHOWN = 10  # differences that are named
WORDS = {  # actions, for people
    "fetch": message("fetch"),
    "replace": message("replace"),
    "remove": message("delete"),
    "hold": message("hold"),
    "refuse": message("reject"),
    "wait": message("wait"),
}


class AgreedPlan(msgspec.Struct, frozen=True):
    """A plan that was read from its file."""

    file: Path
    header: PlanHeader

    async def require(self, context: PassContext, row: MirrorRow, planning: PlanResult) -> None:
        """Raise PlanOutdated if the plan of this pass differs, and NoSpace if it has no room."""
        header = self.header
        reasons: list[str] = []
        if header.manifest_sha256 != manifest_sha256(context.mirror):
            reasons.append(message("the manifest changed"))
        if header.snapshot != row.snapshot:
            reasons.append(message("the mirror has another snapshot now"))
        if header.complete and not planning.inventory.complete:
            reasons.append(message("the inventory is incomplete now"))
        summed = StepSum()
        for number, step in enumerate(context.catalogue.claims.steps(row.id, *ACTIONS)):
            summed.add(step)
            if number % AT_ONCE == AT_ONCE - 1:
                await next_turn()
        if summed.hexdigest() != header.steps_sha256:
            reasons += await asyncio.to_thread(self._differences, list(_named(context, row, summed.count)))
        if reasons:
            raise PlanOutdated(
                message(
                    "{mirror}: the plan {file} is outdated, and nothing was changed: {reasons}; make it again: "
                    "syncd plan {manifest} --out {file}",
                    mirror=row.name,
                    file=self.file,
                    manifest=header.manifest,
                    reasons=reasons,
                )
            )
        free = await context.free() if context.free is not None else await context.store.free()
        if free is not None and free < planning.counts.download_bytes:
            raise NoSpace(
                message(
                    "{mirror}: {needed:,} bytes are to be transferred, and {free:,} are free: make room, and apply "
                    "the plan again",
                    mirror=row.name,
                    needed=planning.counts.download_bytes,
                    free=free,
                )
            )

    def _differences(self, now: list[PlannedStep]) -> list[str]:
        """Return how the files of this plan differ from those agreed to, the first few by name."""
        if self.header.steps > MOST_COMPARED or (not now and self.header.steps):
            return [message("the files that would change are others now")]
        agreed = {step.path: step for step in read_steps(self.file)}
        found: list[str] = []
        for step in now:
            before = agreed.pop(step.path, None)
            if before is None:
                found.append(
                    message("{path}: {action}, which was not planned", path=step.path, action=WORDS[step.action])
                )
            elif before.action != step.action:
                found.append(
                    message(
                        "{path}: {now} instead of {before}",
                        path=step.path,
                        now=WORDS[step.action],
                        before=WORDS.get(before.action, before.action),
                    )
                )
            elif before != step:
                found.append(message("{path}: changed upstream", path=step.path))
        found += [
            message("{path}: no longer to {action}", path=step.path, action=WORDS.get(step.action, step.action))
            for step in agreed.values()
        ]
        more = len(found) - SHOWN
        rest = [message("and {more}", more=count(more, "{n} more file", "{n:,} more files"))] if more > 0 else []
        return [*found[:SHOWN], *rest]


def read_plan(file: Path) -> AgreedPlan:
    """Return the plan of a file. Raises ConfigError if it is none, or was changed or cut."""
    return AgreedPlan(file, read_header(file))


def _named(context: PassContext, row: MirrorRow, steps: int) -> Iterator[PlannedStep]:
    if steps <= MOST_COMPARED:
        yield from map(planned_step, context.catalogue.claims.steps(row.id, *ACTIONS))
