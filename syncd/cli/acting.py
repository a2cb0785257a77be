"""Carries out an act for a command: by the daemon if one holds the state, otherwise by itself; prints the result."""

import asyncio
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.audit import audited, person
from syncd.cli.daemon_client import DaemonClient, daemon_at, error_of, find_daemon
from syncd.control import Act, ActResult, ForgetAct, JobView, VerifyAct
from syncd.process import GRACE, INTERRUPTED, Interruptible

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext

FIRST = 0.5  # seconds of the first wait for a job; then, longer ones


async def carry_out(context: "CommandContext", act: Act, client: DaemonClient | None = None) -> int:
    """Carry out an act, print what came of it, and return the exit code; `client` is the daemon, if it is known."""
    client = client or await ask_whom(context)
    found = await _by_itself(context, act) if client is None else await _by_daemon(context, client, act)
    if isinstance(found, int):
        return found
    return show_result(found, json=context.json)


async def ask_whom(context: "CommandContext") -> DaemonClient | None:
    """Return the client of the daemon that is to act: at `--url`, or of the state folder; None if none runs."""
    if context.url is not None:
        return daemon_at(context.url, context.environ)
    return await asyncio.to_thread(find_daemon, context.config.state)


def show_result(found: ActResult, *, json: bool) -> int:
    """Print what came of an act, and return the exit code."""
    if json:
        output.print_json(found.data)
    else:
        for line in found.lines:
            output.print_line(line)
    for warning in found.warnings:
        output.print_warning(warning, json=json)
    return found.code


async def _by_itself(context: "CommandContext", act: Act) -> ActResult:
    from syncd.acts import ActContext, perform  # noqa: PLC0415  a command that asks the daemon needs none of them
    from syncd.daemon import declared_in  # noqa: PLC0415  as above
    from syncd.workers import processors  # noqa: PLC0415  as above

    with ExitStack() as stack:
        is_read = isinstance(act, VerifyAct)
        progress = stack.enter_context(context.progress()) if is_read else None
        listener = progress.listener if progress is not None else None
        grace = 0.0 if is_read else GRACE
        async with context.open_mirror(
            act.mirror, listener, grace=grace, may_be_gone=isinstance(act, ForgetAct)
        ) as session:
            with audited(session, act.mirror, act.what) as entry:
                found = await perform(
                    act,
                    ActContext(
                        session=session,
                        actor=person(),
                        declared_in=lambda mirror: declared_in(context.config, mirror),
                        threads=processors(),
                        **({"on_verified": progress.count_verified} if progress is not None else {}),
                    ),
                )
                entry.outcome = found.outcome
            if progress is not None:
                progress.stop()
            return found


async def _by_daemon(context: "CommandContext", client: DaemonClient, act: Act) -> ActResult | int:
    """Ask the daemon, and wait for the end of the job. The first signal cancels the job, the second leaves it alone."""
    with Interruptible(context.stopping, 60.0):
        job = await asyncio.to_thread(client.start, act)
        wait, told, cancelled = FIRST, "", False
        while not job.has_ended:
            if context.stopping.is_set() and not cancelled:
                cancelled = True
                job = await asyncio.to_thread(client.cancel, job.id)
                continue
            if (line := _line_of(job)) != told and line and not context.json:
                told = line
                sys.stderr.write(f"syncd: {line}\n")
            job = await asyncio.to_thread(client.job, job.id, wait)
            wait = min(2.0, wait * 2)
    if job.state == "cancelled":
        if not cancelled:
            output.print_warning(job.reason, json=context.json)
        return INTERRUPTED
    if job.result is None:
        raise error_of(job.error, job.reason)
    return job.result


def _line_of(job: JobView) -> str:
    if job.state == "waiting":
        return f"job {job.id} waits: {job.reason}" if job.reason else ""
    return f"job {job.id}: {output.files(job.files)}, {output.size(job.bytes)}" if job.files else ""
