"""`syncd survey`: prints the inventory of upstream."""

import sys
from typing import TYPE_CHECKING

from syncd.cli import output
from syncd.cli.registration import ManifestFile, command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd survey physionet.yaml --json | head", asks_upstream=True)
async def survey(context: "CommandContext", file: ManifestFile) -> int:
    """Ask upstream for its files, and print the inventory. Leaves nothing behind."""
    from syncd.core import printable
    from syncd.engine import list_upstream
    from syncd.process import DONE, SOME_FAILED
    from syncd.session import read_manifest

    mirror, _ = read_manifest(file)
    with context.progress() as progress:
        async with context.preview_session(progress.listener) as session, session.pass_context(mirror) as work:
            row = session.catalogue.history.ensure_declared(mirror)
            inventory, found = await list_upstream(work, row)
            progress.stop()
            count = 0
            for stat in found:
                count += 1
                if context.json:
                    output.print_json(output.stat_object(stat))
                else:
                    size = "?" if stat.size is None else str(stat.size)
                    digests = " ".join(f"{name}:{value[:12]}…" for name, value in stat.digests.items())
                    output.print_line(
                        f"{size:>14}  {output.instant(stat.modified) or '-':20}  {stat.path}  {digests}".rstrip()
                    )
            for url, reason in inventory.failed:
                sys.stderr.write(f"syncd: {printable(url)}: {printable(reason)}\n")
            if not context.json:
                state = "complete" if inventory.complete else "INCOMPLETE"
                output.print_line(f"{output.files(count)} upstream, inventory {state}")
            return DONE if inventory.complete else SOME_FAILED
