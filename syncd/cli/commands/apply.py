"""`syncd apply`: a pass that does exactly what a plan says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd apply physionet.plan", asks_upstream=True)
async def apply(
    context: "CommandContext",
    file: Annotated[Path, typer.Argument(metavar="PLAN", help="The file that syncd plan --out wrote.")],
) -> int:
    """Run a pass that does exactly what a plan says, or nothing.

    Upstream is surveyed again. If other files would change, or the mirror or its manifest changed since, the plan is
    outdated: nothing is changed, the differences are named, and the exit code is 3.
    """
    import asyncio

    from manifests.messages import message
    from syncd.acts import pass_outcome
    from syncd.cli.acting import show_result
    from syncd.cli.audit import audited, manifest_by
    from syncd.core import ConfigError
    from syncd.engine import Pass, read_plan
    from syncd.session import read_manifest

    plan = await asyncio.to_thread(read_plan, file)
    mirror, text = await asyncio.to_thread(read_manifest, Path(plan.header.manifest))
    if mirror.name != plan.header.mirror:
        raise ConfigError(
            message(
                "{manifest}: declares mirror {now}, and the plan is of {planned}: make it again",
                manifest=plan.header.manifest,
                now=mirror.name,
                planned=plan.header.mirror,
            )
        )
    with context.progress() as progress:
        async with context.open_session(progress.listener) as session:
            session.catalogue.history.require_own(mirror)
            session.save_manifest(mirror.name, text, file=plan.header.manifest, **manifest_by())
            with audited(session, mirror.name, "apply") as act:
                async with session.pass_context(mirror) as work:
                    result = await Pass(work, plan).run()
                act.outcome = message("snapshot {snapshot}", snapshot=result.snapshot[:12])
            progress.stop()
            return show_result(pass_outcome(session, result), json=context.json)
