"""The dashboard *Fleet*: all mirrors at a glance, the worst first."""

from panels import (
    BLUE,
    GREEN,
    HERE,
    RATE,
    RED,
    YELLOW,
    Column,
    Query,
    bands,
    builders,
    curves,
    dashboard,
    number,
    rows,
    state_number,
)

AGE = f"(time() - syncd_mirror_last_success_timestamp_seconds{{{HERE}}})"
OBJECTIVE = f"syncd_mirror_freshness_objective_seconds{{{HERE}}}"
BAD = ((None, GREEN), (1, RED))
ODD = ((None, GREEN), (1, YELLOW))


def fleet() -> builders.Dashboard:
    board = dashboard(
        "syncd-fleet", "syncd / Fleet", "All mirrors: freshness, health, throughput, backlog, free space."
    )
    for panel in (
        number(
            "Stale mirrors",
            "Mirrors whose last complete pass is older than their freshness target.",
            "none",
            Query(f"sum({AGE} > bool {OBJECTIVE})"),
            bounds=BAD,
            span=3,
        ),
        number(
            "In trouble",
            "Mirrors that are failing, offline or rejected, or that found no file.",
            "none",
            Query(f'sum(syncd_mirror_state{{{HERE}, state=~"failing|nothing_found|offline|rejected"}})'),
            bounds=BAD,
            span=3,
        ),
        number(
            "Damaged files",
            "Stored files that were found damaged or missing and are not repaired yet.",
            "none",
            Query(f"sum(syncd_faulty_files{{{HERE}}})"),
            bounds=BAD,
            span=3,
        ),
        number(
            "Held deletions",
            "Deletions that are held until an operator approves them.",
            "none",
            Query(f"sum(syncd_parked_files{{{HERE}}})"),
            bounds=ODD,
            span=3,
        ),
        number(
            "Rejected manifests",
            "Manifest files with errors; their earlier versions stay in force.",
            "none",
            Query(f'sum(syncd_manifests{{{HERE}, state="rejected"}})'),
            bounds=ODD,
            span=3,
        ),
        number(
            "Throughput",
            "Bytes per second received from all upstreams.",
            "Bps",
            Query(f"sum(rate(syncd_received_bytes_total{{{HERE}}}{RATE}))"),
            bounds=((None, BLUE),),
            span=3,
        ),
        number(
            "Backlog",
            "Planned bytes that are not yet transferred, as far as upstream gives sizes.",
            "bytes",
            Query(f"sum(syncd_pending_bytes{{{HERE}}})"),
            bounds=((None, BLUE),),
            span=3,
        ),
        number(
            "Store full in",
            "Free bytes divided by their rate of decrease in the last six hours; years if they grow.",
            "s",
            Query(f"min({time_to_full(HERE)})"),
            bounds=((None, RED), (86400, YELLOW), (604800, GREEN)),
            span=3,
        ),
    ):
        board.with_panel(panel)
    board.with_row(builders.Row("Mirrors"))
    board.with_panel(
        rows(
            "Mirrors",
            "One row for each mirror. Age / target over 1 is stale. Click a name for its dashboard.",
            "mirror",
            Column("State", state_number(HERE), "none", states=True, width=100),
            Column("Age", AGE, "s"),
            Column(
                "Age / target",
                f"{AGE} / {OBJECTIVE}",
                "percentunit",
                ((None, "transparent"), (0.8, YELLOW), (1, RED)),
            ),
            Column("Files", f"syncd_mirror_files{{{HERE}}}"),
            Column("Size", f"syncd_mirror_bytes{{{HERE}}}", "bytes"),
            Column("Rate", f"rate(syncd_received_bytes_total{{{HERE}}}{RATE})", "Bps"),
            Column("Backlog files", f"syncd_pending_files{{{HERE}}}"),
            Column("Backlog", f"syncd_pending_bytes{{{HERE}}}", "bytes"),
            Column("Waiting", f"syncd_unsettled_files{{{HERE}}}"),
            Column("Failed", f"syncd_failed_files{{{HERE}}}", "short", ((None, "transparent"), (1, YELLOW))),
            Column("Parked", f"syncd_parked_files{{{HERE}}}", "short", ((None, "transparent"), (1, YELLOW))),
            Column("Damaged", f"syncd_faulty_files{{{HERE}}}", "short", ((None, "transparent"), (1, RED))),
            Column("Quarantined", f"syncd_quarantined_files{{{HERE}}}", "short", ((None, "transparent"), (1, YELLOW))),
            link="/d/syncd-mirror?var-mirror=${__value.raw}&${datasource:queryparam}&${instance:queryparam}&${__url_time_range}",
            worst="Age / target",
            height=12,
        )
    )
    board.with_panel(bands("States", "The state of each mirror.", Query(state_number(HERE), "{{mirror}}")))
    board.with_row(builders.Row("Freshness and work"))
    for panel in (
        curves(
            "Age / target",
            "The age of each copy divided by its freshness target. Over the line it is stale.",
            "percentunit",
            Query(f"{AGE} / {OBJECTIVE}", "{{mirror}}"),
            bounds=((None, GREEN), (1, RED)),
        ),
        curves(
            "Publication lag",
            "Time from upstream's publication of a file to syncd's, of all files published in the range.",
            "s",
            *quantiles("syncd_mirror_publication_lag_seconds", HERE),
        ),
        curves(
            "Throughput by mirror",
            "Bytes received per second.",
            "Bps",
            Query(f"sum by (mirror) (rate(syncd_received_bytes_total{{{HERE}}}{RATE}))", "{{mirror}}"),
            stacked=True,
        ),
        curves(
            "Backlog by mirror",
            "Planned files that are not yet transferred.",
            "short",
            Query(f"syncd_pending_files{{{HERE}}}", "{{mirror}}"),
            stacked=True,
        ),
        curves(
            "Oldest backlog",
            "How long files have been waiting without a complete pass; no value if none wait.",
            "s",
            Query(f"time() - syncd_pending_since_timestamp_seconds{{{HERE}}}", "{{mirror}}"),
        ),
        curves(
            "Side by side",
            "Running passes, and passes that are due and waiting.",
            "short",
            Query(f"syncd_passes_running{{{HERE}}}", "running {{instance}}"),
            Query(f"syncd_passes_waiting{{{HERE}}}", "waiting {{instance}}"),
        ),
        curves(
            "Passes",
            "Finished passes, by result.",
            "short",
            Query(f"sum by (outcome) (increase(syncd_passes_total{{{HERE}}}{RATE}))", "{{outcome}}"),
            stacked=True,
        ),
        curves(
            "Files that failed, by kind",
            "Failures by their names in docs/metrics.md; Mismatch means a wrong size or checksum.",
            "short",
            Query(f"sum by (error) (increase(syncd_transfer_errors_total{{{HERE}}}{RATE})) > 0", "{{error}}"),
            stacked=True,
        ),
    ):
        board.with_panel(panel)
    board.with_row(builders.Row("The daemon"))
    for panel in (
        number(
            "Version",
            "What runs.",
            "none",
            Query(f"syncd_build_info{{{HERE}}}", "{{version}}"),
            curve=False,
            words=True,
        ),
        number(
            "Ready",
            "1 while the daemon is running.",
            "none",
            Query(f"min(syncd_ready{{{HERE}}})"),
            bounds=((None, RED), (1, GREEN)),
        ),
        number(
            "Uptime",
            "Since the process began.",
            "s",
            Query(f"min(time() - process_start_time_seconds{{{HERE}}})"),
            curve=False,
        ),
        number(
            "Configuration",
            "1 if syncd.yaml was valid when it was last read.",
            "none",
            Query(f"min(syncd_config_last_reload_successful{{{HERE}}})"),
            bounds=((None, RED), (1, GREEN)),
        ),
        number(
            "Last backup",
            "Time since the last backup of the Catalogue to the store.",
            "s",
            Query(f"max(time() - syncd_catalogue_backup_timestamp_seconds{{{HERE}}})"),
            bounds=((None, GREEN), (129600, YELLOW), (259200, RED)),
            curve=False,
        ),
        number(
            "Folded labels",
            "Values of labels that are counted under other; see docs/metrics.md.",
            "none",
            Query(f"sum(syncd_metric_label_overflow{{{HERE}}})"),
            bounds=ODD,
        ),
        curves(
            "Event loop",
            "Delay of the event loop. Over 100 ms everything is slow.",
            "s",
            *quantiles("syncd_event_loop_lag_seconds", HERE),
            span=8,
        ),
        curves(
            "Memory",
            "Resident memory, and the part in use by running transfers.",
            "bytes",
            Query(f"process_resident_memory_bytes{{{HERE}}}", "resident {{instance}}"),
            Query(f"syncd_inflight_bytes{{{HERE}}}", "in flight {{instance}}"),
            span=8,
        ),
        curves(
            "Processor and descriptors",
            "Cores in use, and open files.",
            "short",
            Query(f"rate(process_cpu_seconds_total{{{HERE}}}{RATE})", "cores {{instance}}"),
            Query(f"process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}}", "share of descriptors {{instance}}"),
            span=8,
        ),
        curves(
            "State folder",
            "The files of the Catalogue: the mirrors', the daemon's, and the index of held content; free space beside.",
            "bytes",
            Query(f"sum by (instance) (syncd_mirror_catalogue_bytes{{{HERE}}})", "mirrors {{instance}}"),
            Query(f"syncd_catalogue_bytes{{{HERE}}}", "daemon {{instance}}"),
            Query(f"syncd_held_index_bytes{{{HERE}}}", "index {{instance}}"),
            Query(f"syncd_state_free_bytes{{{HERE}}}", "free {{instance}}"),
            span=24,
        ),
    ):
        board.with_panel(panel)
    return board


def time_to_full(match: str) -> str:
    """Return a query for the seconds until the store is full, at the rate of the last six hours."""
    free = f"syncd_store_free_bytes{{{match}}}"
    return f"{free} / clamp_min(-deriv({free}[6h]), 1)"


def quantiles(name: str, match: str, by: str = "") -> tuple[Query, ...]:
    """Return the queries of a histogram's percentiles 50, 95 and 99."""
    more, label = (f", {by}", f" {{{{{by}}}}}") if by else ("", "")
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by (le{more}) (rate({name}_bucket{{{match}}}{RATE})))",
            f"p{percent}{label}",
        )
        for share, percent in ((0.5, 50), (0.95, 95), (0.99, 99))
    )
