"""The dashboard *Mirror*: one mirror, from its freshness to the failures of files."""

from fleet import BAD, ODD, quantiles
from panels import (
    BLUE,
    GREEN,
    HERE,
    MIRROR,
    RATE,
    RED,
    YELLOW,
    Query,
    bands,
    builders,
    chosen,
    curves,
    dashboard,
    number,
    state_number,
)

AGE = f"time() - syncd_mirror_last_success_timestamp_seconds{{{MIRROR}}}"
CALM = ((None, BLUE),)


def mirror() -> builders.Dashboard:
    board = dashboard(
        "syncd-mirror", "syncd / Mirror", "One mirror: freshness, backlog, transfers, failures, verification."
    )
    board.with_variable(
        chosen("mirror", "Mirror", f"label_values(syncd_mirror_state{{{HERE}}}, mirror)", everything=False)
    )
    for panel in (
        number(
            "State",
            "The state of the mirror; `syncd status` and the status page show the reason.",
            "none",
            Query(f"syncd_mirror_state{{{MIRROR}}} == 1", "{{state}}"),
            span=3,
            words=True,
            curve=False,
            bounds=CALM,
        ),
        number("Age", "Time since the last complete pass ended.", "s", Query(AGE), span=3, bounds=CALM),
        number(
            "Age / target",
            "Over 100 % it is stale.",
            "percentunit",
            Query(f"({AGE}) / syncd_mirror_freshness_objective_seconds{{{MIRROR}}}"),
            bounds=((None, GREEN), (0.8, YELLOW), (1, RED)),
            span=3,
        ),
        number(
            "Next pass in",
            "Time until the next pass is due; negative while it waits.",
            "s",
            Query(f"syncd_mirror_next_run_timestamp_seconds{{{MIRROR}}} - time()"),
            span=3,
            bounds=CALM,
            curve=False,
        ),
        number(
            "Files",
            "Files of the current snapshot.",
            "short",
            Query(f"sum(syncd_mirror_files{{{MIRROR}}})"),
            span=3,
            bounds=CALM,
        ),
        number(
            "Size",
            "Bytes of the current snapshot.",
            "bytes",
            Query(f"syncd_mirror_bytes{{{MIRROR}}}"),
            span=3,
            bounds=CALM,
        ),
        number(
            "Backlog",
            "Planned bytes that are not yet transferred.",
            "bytes",
            Query(f"syncd_pending_bytes{{{MIRROR}}}"),
            span=3,
            bounds=CALM,
        ),
        number(
            "Done in",
            "The backlog divided by the rate of the last five minutes.",
            "s",
            Query(
                f"syncd_pending_bytes{{{MIRROR}}} / "
                f"clamp_min(sum by (instance, job, mirror) (rate(syncd_stored_bytes_total{{{MIRROR}}}[5m])), 1)"
            ),
            span=3,
            bounds=CALM,
        ),
        number(
            "Failed files",
            "Files that failed to download in the last pass.",
            "none",
            Query(f"syncd_failed_files{{{MIRROR}}}"),
            bounds=ODD,
            span=4,
        ),
        number(
            "Quarantined",
            "Files that failed verification.",
            "none",
            Query(f"syncd_quarantined_files{{{MIRROR}}}"),
            bounds=ODD,
            span=4,
        ),
        number(
            "Held deletions",
            "Held for approval: `syncd approve`.",
            "none",
            Query(f"syncd_parked_files{{{MIRROR}}}"),
            bounds=ODD,
            span=4,
        ),
        number(
            "Damaged files",
            "In the store, not repaired yet.",
            "none",
            Query(f"syncd_faulty_files{{{MIRROR}}}"),
            bounds=BAD,
            span=4,
        ),
        number(
            "Oldest fixity check",
            "Age of the oldest fixity check of a stored byte, divided by verify.scrub.",
            "percentunit",
            Query(
                f"(time() - syncd_scrub_oldest_verified_timestamp_seconds{{{MIRROR}}})"
                f" / syncd_scrub_objective_seconds{{{MIRROR}}}"
            ),
            bounds=((None, GREEN), (0.9, YELLOW), (1.1, RED)),
            span=4,
        ),
        number(
            "Files in transfer",
            "Running transfers.",
            "none",
            Query(f"syncd_inflight_files{{{MIRROR}}}"),
            bounds=CALM,
            span=4,
        ),
    ):
        board.with_panel(panel)
    board.with_panel(bands("State", "The state of the mirror.", Query(state_number(MIRROR), "{{mirror}}"), height=4))
    board.with_row(builders.Row("Freshness"))
    for panel in (
        curves(
            "Age and freshness target",
            "The age should stay below the line.",
            "s",
            Query(AGE, "age"),
            Query(f"syncd_mirror_freshness_objective_seconds{{{MIRROR}}}", "objective"),
        ),
        curves(
            "Newest file",
            "Age of upstream's newest file, and of the newest in the copy.",
            "s",
            Query(f"time() - syncd_mirror_upstream_newest_timestamp_seconds{{{MIRROR}}}", "upstream"),
            Query(f"time() - syncd_mirror_local_newest_timestamp_seconds{{{MIRROR}}}", "here"),
        ),
        curves(
            "Publication lag",
            "Time from upstream's publication of a file to syncd's.",
            "s",
            *quantiles("syncd_mirror_publication_lag_seconds", MIRROR),
        ),
        curves(
            "Passes",
            "Finished passes and published snapshots.",
            "short",
            Query(f"sum by (outcome) (increase(syncd_passes_total{{{MIRROR}}}{RATE}))", "{{outcome}}"),
            Query(f"sum(increase(syncd_mirror_snapshots_published_total{{{MIRROR}}}{RATE}))", "new snapshots"),
        ),
    ):
        board.with_panel(panel)
    board.with_row(builders.Row("Transfers"))
    for panel in (
        curves(
            "Bytes",
            "Received from upstream, stored after verification, discarded, and copied in the store instead.",
            "Bps",
            Query(f"sum(rate(syncd_received_bytes_total{{{MIRROR}}}{RATE}))", "received"),
            Query(f"sum(rate(syncd_stored_bytes_total{{{MIRROR}}}{RATE}))", "stored"),
            Query(f"sum(rate(syncd_wasted_bytes_total{{{MIRROR}}}{RATE}))", "wasted"),
            Query(f"sum(rate(syncd_copied_bytes_total{{{MIRROR}}}{RATE}))", "copied"),
        ),
        curves(
            "Backlog",
            "Planned files and bytes that are not yet transferred.",
            "short",
            Query(f"syncd_pending_files{{{MIRROR}}}", "files"),
            Query(f"syncd_inflight_files{{{MIRROR}}}", "in transfer"),
        ),
        curves(
            "Files",
            "Files per second, by outcome.",
            "ops",
            Query(f"sum by (outcome) (rate(syncd_transfers_total{{{MIRROR}}}{RATE}))", "{{outcome}}"),
            Query(f"sum(rate(syncd_copied_files_total{{{MIRROR}}}{RATE}))", "copied in the store"),
            stacked=True,
        ),
        curves(
            "Discarded bytes, by reason",
            "Received and discarded: the file changed meanwhile, failed verification, or failed to download.",
            "Bps",
            Query(f"sum by (reason) (rate(syncd_wasted_bytes_total{{{MIRROR}}}{RATE}))", "{{reason}}"),
            stacked=True,
        ),
        curves(
            "Failures of files, by kind",
            "Files that failed to download.",
            "short",
            Query(f"sum by (error) (increase(syncd_transfer_errors_total{{{MIRROR}}}{RATE}))", "{{error}}"),
            stacked=True,
        ),
        curves(
            "Failures of passes, by kind",
            "Failures that ended passes, and upstream's documents that could not be read.",
            "short",
            Query(f"sum by (error) (increase(syncd_pass_errors_total{{{MIRROR}}}{RATE}))", "{{error}}"),
            Query(f"sum(increase(syncd_survey_documents_failed_total{{{MIRROR}}}{RATE}))", "documents"),
            stacked=True,
        ),
    ):
        board.with_panel(panel)
    return board
