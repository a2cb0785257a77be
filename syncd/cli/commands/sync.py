"""`syncd sync`: one pass over each mirror."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import ManifestFiles, command

if TYPE_CHECKING:
    from manifests.model import Mirror
    from syncd.cli.context import CommandContext
    from syncd.cli.daemon_client import DaemonClient


@command("syncd sync physionet.yaml --store /data/mirror", asks_upstream=True, asks_daemon=True)
async def sync(
    context: "CommandContext",
    files: ManifestFiles,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Request files that keep failing verification at once.")
    ] = False,
) -> int:
    """Run one pass over each mirror: survey, plan, transfer, publish."""
    from manifests.messages import message
    from syncd.acts import pass_outcome
    from syncd.cli.acting import ask_whom, show_result
    from syncd.cli.audit import audited, manifest_by
    from syncd.core import SyncdError
    from syncd.engine import Pass
    from syncd.process import DONE, INTERRUPTED, code_of
    from syncd.session import read_manifest

    declared = [(file, *read_manifest(file)) for file in files]
    if (client := await ask_whom(context)) is not None:
        mirrors = [(mirror, text) for _, mirror, text in declared]
        return await _by_daemon(context, client, mirrors, retry_failed=retry_failed)
    worst = DONE
    with context.progress() as progress:
        async with context.open_session(progress.listener) as session:
            for file, mirror, text in declared:
                if context.stopping.is_set():
                    return INTERRUPTED
                _warn_outside_window(mirror)
                try:
                    _require_enabled(mirror)
                    session.catalogue.history.require_own(mirror)
                    session.save_manifest(mirror.name, text, file=str(file), **manifest_by())
                    if retry_failed:
                        with audited(session, mirror.name, "retry") as act:
                            act.outcome = message("files that keep failing verification are requested at once")
                    # an explicit `settle` says that the source is written to: those files are left for the next pass
                    patient = mirror.source.settle is None
                    with audited(session, mirror.name, "sync") as act:
                        async with session.pass_context(mirror, retry_failed=retry_failed, is_patient=patient) as work:
                            result = await Pass(work).run()
                        act.outcome = message("snapshot {snapshot}", snapshot=result.snapshot[:12])
                except SyncdError as error:
                    progress.stop()
                    output.print_error(error, json=context.json, secrets=context.secrets)
                    worst = max(worst, code_of(error))
                    continue
                progress.stop()
                worst = max(worst, show_result(pass_outcome(session, result), json=context.json))
            return INTERRUPTED if context.stopping.is_set() else worst


def _require_enabled(mirror: "Mirror") -> None:
    """Raise ConfigError for a mirror that its manifest disables."""
    from manifests.messages import message
    from syncd.core import ConfigError

    if not mirror.enabled:
        raise ConfigError(
            message("{name}: is disabled by its manifest: write enabled: true, or delete the key", name=mirror.name)
        )


async def _by_daemon(
    context: "CommandContext", client: "DaemonClient", declared: "list[tuple[Mirror, str]]", *, retry_failed: bool
) -> int:
    """Let the running daemon run the passes, one after the other, and return the worst exit code."""
    from hashlib import sha256

    from syncd.cli.acting import carry_out
    from syncd.control import SyncAct
    from syncd.core import SyncdError
    from syncd.process import DONE, INTERRUPTED, code_of

    worst = DONE
    for mirror, text in declared:
        if context.stopping.is_set():
            return INTERRUPTED
        _warn_outside_window(mirror)
        act = SyncAct(mirror=mirror.name, manifest=sha256(text.encode()).hexdigest(), retry_failed=retry_failed)
        try:
            _require_enabled(mirror)
            worst = max(worst, await carry_out(context, act, client))
        except SyncdError as error:
            output.print_error(error, json=context.json, secrets=context.secrets)
            worst = max(worst, code_of(error))
    return worst


def _warn_outside_window(mirror: "Mirror") -> None:
    """Warn that a pass runs outside its window: one that is started by hand runs at any hour."""
    window = mirror.source.limits.window
    if window is not None and not window.is_open(datetime.now(UTC)):
        sys.stderr.write(f"syncd: {mirror.name}: runs outside its window (source.limits.window), as requested\n")
