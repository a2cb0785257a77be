"""The dashboard *Integrity*: fixity checks, damage, quarantine, and the store's free space."""

from fleet import BAD, ODD, time_to_full
from panels import (
    GREEN,
    HERE,
    MIRROR,
    RATE,
    RED,
    YELLOW,
    Column,
    Query,
    builders,
    chosen,
    curves,
    dashboard,
    number,
    rows,
)

OLDEST = f"(time() - syncd_scrub_oldest_verified_timestamp_seconds{{{MIRROR}}})"
WITHIN = f"syncd_scrub_objective_seconds{{{MIRROR}}}"


def integrity() -> builders.Dashboard:
    board = dashboard(
        "syncd-integrity",
        "syncd / Integrity",
        "Fixity checks, damage, quarantine, the store and its free space.",
        since="now-7d",
    )
    board.with_variable(chosen("mirror", "Mirror", f"label_values(syncd_mirror_state{{{HERE}}}, mirror)"))
    for panel in (
        number(
            "Damaged files",
            "Found damaged or missing and not repaired yet.",
            "none",
            Query(f"sum(syncd_faulty_files{{{MIRROR}}})"),
            bounds=BAD,
            span=3,
        ),
        number(
            "Mended",
            "Damaged files that were replaced by verified bytes in the range shown.",
            "none",
            Query(f"sum(increase(syncd_healed_files_total{{{MIRROR}}}[$__range]))"),
            bounds=ODD,
            span=3,
            decimals=0,
        ),
        number(
            "Quarantined",
            "Files that failed verification, with the reason.",
            "none",
            Query(f"sum(syncd_quarantined_files{{{MIRROR}}})"),
            bounds=ODD,
            span=3,
        ),
        number(
            "Least covered",
            "Share of files read within verify.scrub; the lowest of all mirrors.",
            "percentunit",
            Query(f"min(syncd_scrub_covered_ratio{{{MIRROR}}})"),
            bounds=((None, RED), (0.9, YELLOW), (0.99, GREEN)),
            span=3,
        ),
        number(
            "Oldest fixity check",
            "Age of the oldest fixity check of a stored byte.",
            "s",
            Query(f"max({OLDEST})"),
            span=3,
        ),
        number(
            "Store",
            "1 if the store answers and is the expected one.",
            "none",
            Query(f"min(syncd_store_online{{{HERE}}})"),
            bounds=((None, RED), (1, GREEN)),
            span=3,
        ),
        number("Free", "Free space in the store.", "bytes", Query(f"min(syncd_store_free_bytes{{{HERE}}})"), span=3),
        number(
            "Full in",
            "At the rate of the last six hours.",
            "s",
            Query(f"min({time_to_full(HERE)})"),
            bounds=((None, RED), (86400, YELLOW), (604800, GREEN)),
            span=3,
        ),
    ):
        board.with_panel(panel)
    board.with_panel(
        rows(
            "Fixity checks, by mirror",
            "Over 100 % of the target a stored byte was not read for longer than verify.scrub allows.",
            "mirror",
            Column("Size", f"syncd_mirror_bytes{{{MIRROR}}}", "bytes"),
            Column("Verified", f'syncd_mirror_files{{{MIRROR}, verdict="verified"}}'),
            Column("Attested", f'syncd_mirror_files{{{MIRROR}, verdict="attested"}}'),
            Column("Oldest fixity check", OLDEST, "s"),
            Column(
                "Of objective",
                f"{OLDEST} / {WITHIN}",
                "percentunit",
                ((None, "transparent"), (0.9, YELLOW), (1.1, RED)),
            ),
            Column("Covered", f"syncd_scrub_covered_ratio{{{MIRROR}}}", "percentunit"),
            Column("Scrub rate", f"rate(syncd_scrub_bytes_total{{{MIRROR}}}[1h])", "Bps"),
            Column(
                "All read in",
                f"syncd_mirror_bytes{{{MIRROR}}} / clamp_min(rate(syncd_scrub_bytes_total{{{MIRROR}}}[1h]), 1)",
                "s",
            ),
            Column("Damaged", f"syncd_faulty_files{{{MIRROR}}}", "short", ((None, "transparent"), (1, RED))),
            Column(
                "Quarantined", f"syncd_quarantined_files{{{MIRROR}}}", "short", ((None, "transparent"), (1, YELLOW))
            ),
            link="/d/syncd-mirror?var-mirror=${__value.raw}&${datasource:queryparam}&${instance:queryparam}&${__url_time_range}",
            worst="Of objective",
        )
    )
    for panel in (
        curves(
            "Verified files",
            "Share of files that matched a checksum of upstream; the others matched its size alone (attested).",
            "percentunit",
            Query(
                f'sum by (mirror) (syncd_mirror_files{{{MIRROR}, verdict="verified"}})'
                f" / (sum by (mirror) (syncd_mirror_files{{{MIRROR}}}) > 0)",
                "{{mirror}}",
            ),
            top=1,
            span=24,
        ),
        curves(
            "Oldest fixity check / target",
            "Over the line a byte was not read for longer than allowed.",
            "percentunit",
            Query(f"{OLDEST} / {WITHIN}", "{{mirror}}"),
            bounds=((None, GREEN), (1, RED)),
        ),
        curves(
            "Scrub coverage",
            "Share of files read within verify.scrub.",
            "percentunit",
            Query(f"syncd_scrub_covered_ratio{{{MIRROR}}}", "{{mirror}}"),
            top=1,
        ),
        curves(
            "Scrub rate",
            "Bytes per second that passed the fixity check.",
            "Bps",
            Query(f"sum by (mirror) (rate(syncd_scrub_bytes_total{{{MIRROR}}}{RATE}))", "{{mirror}}"),
            stacked=True,
        ),
        curves(
            "Damage found, by kind",
            "Damaged stored files, and repaired ones.",
            "short",
            Query(f"sum by (finding) (increase(syncd_scrub_errors_total{{{MIRROR}}}{RATE}))", "{{finding}}"),
            Query(f"sum(increase(syncd_healed_files_total{{{MIRROR}}}{RATE}))", "mended"),
            stacked=True,
        ),
        curves(
            "Failed verification",
            "Files from upstream that failed verification and went to the quarantine.",
            "short",
            Query(
                f'sum by (mirror) (increase(syncd_transfer_errors_total{{{MIRROR}, error="Mismatch"}}{RATE}))',
                "{{mirror}}",
            ),
            stacked=True,
        ),
        curves(
            "Free bytes",
            "Free space in the store.",
            "bytes",
            Query(f"syncd_store_free_bytes{{{HERE}}}", "{{store}}"),
        ),
        curves(
            "Store operations that failed",
            "By operation; an object that does not exist is not a failure.",
            "ops",
            Query(
                f'sum by (operation) (rate(syncd_store_operations_total{{{HERE}, outcome="failed"}}{RATE}))',
                "{{operation}}",
            ),
        ),
        curves(
            "Time of store operations",
            "95 % of operations took at most this time.",
            "s",
            Query(
                "histogram_quantile(0.95, sum by (le, operation) "
                f"(rate(syncd_store_operation_seconds_bucket{{{HERE}}}{RATE})))",
                "{{operation}}",
            ),
        ),
    ):
        board.with_panel(panel)
    return board
