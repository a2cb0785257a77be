"""`syncd status`: every mirror, from the Catalogue."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.messages import plain
from syncd.cli import output
from syncd.cli.registration import catalogue_command

if TYPE_CHECKING:
    from syncd.catalogue import Catalogue


@catalogue_command("syncd status --json")
def status(catalogue: "Catalogue | None", state: Path, json: bool) -> int:
    """Show every mirror: age, size, failures, held losses, pinned files.

    `verified` is the share of files that matched a checksum of upstream; the others matched its size (attested).
    """
    from syncd.process import DONE

    found = _mirrors(catalogue) if catalogue is not None else []
    if json:
        output.print_json([{name: one[name] for name in one if name != "age"} for one in found])
    elif not found:
        output.print_line(f"no mirrors in {state} yet; create the first with: syncd sync FILE")
    else:
        output.table(
            (
                "mirror",
                "last success",
                ">files",
                ">bytes",
                ">verified",
                ">failed",
                ">waiting",
                ">held",
                ">decided",
                ">pinned",
                "snapshot",
            ),
            (
                (
                    one["mirror"],
                    one["age"],
                    f"{one['files']:,}",
                    output.size(one["bytes"]),
                    output.share(sum(e["files"] for e in one["verdicts"] if e["verdict"] == "verified"), one["files"]),
                    str(len(one["failures"])),
                    str(len(one["waiting"])),
                    str(one["parked"]),
                    str(len(one["rejected"])),
                    str(len(one["pinned"])),
                    one["snapshot"][:12],
                )
                for one in found
            ),
        )
        for one in found:
            if one["modes"] is not None and not one["modes"]["done"]:
                what = "closed to" if one["modes"]["restricted"] else "opened for"
                output.print_line(f"{one['mirror']}: its files are being {what} other users: the next pass continues")
            if one["last"].get("state") == "nothing_found":
                output.print_line(f"nothing found: {one['last']['reason']}")
    return DONE


def _totals(catalogue: "Catalogue", mirror: int) -> tuple[int, int]:
    """Return the files and bytes of a mirror: those of its snapshot, or counted if files changed since."""
    holdings, current = catalogue.holdings, catalogue.history.current(mirror)
    if current is None or next(holdings.changed(mirror), None) is not None:
        return holdings.totals(mirror)
    return current.files, current.bytes


def _mirrors(catalogue: "Catalogue") -> list[dict[str, Any]]:
    """Return what `--json` prints of each mirror, and its `age` in words."""
    import msgspec

    from syncd.catalogue import mode_progress

    history, now = catalogue.history, time.time()
    modes = mode_progress(catalogue)
    found = []
    for row in history.mirrors():
        count, size = _totals(catalogue, row.id)
        found.append(
            {
                "mirror": row.name,
                "title": row.title,
                "source": row.source,
                "snapshot": row.snapshot,
                "files": count,
                "bytes": size,
                "verdicts": msgspec.to_builtins(catalogue.holdings.verdicts(row.id), enc_hook=plain),
                "succeeded": output.instant(row.succeeded),
                "attempted": output.instant(row.attempted),
                "last": row.last,
                "parked": catalogue.approvals.count_parked(row.id)[0],
                "approved_by": catalogue.approvals.agreed(row.id),
                "rejected": sorted(catalogue.approvals.rejected(row.id)),
                "pinned": sorted(catalogue.approvals.pinned(row.id)),
                "waiting": [
                    {"path": one.path, "reason": one.reason, "due": output.instant(one.due)}
                    for one in catalogue.unsettled.files(row.id)
                ],
                "failures": msgspec.to_builtins(catalogue.failures.files(row.id), enc_hook=plain),
                "modes": {"restricted": modes[row.name].is_narrow, "done": modes[row.name].is_done}
                if row.name in modes
                else None,
                "age": output.ago(row.succeeded, now),
            }
        )
    return found
