"""The dashboard *Integrity*: is what we hold still what we proved, how do we know, and is there room."""

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
        "syncd-integrity", "syncd / Integrity", "Scrubs, damage, quarantine, the store and its room.", since="now-7d"
    )
    board.with_variable(chosen("mirror", "Mirror", f"label_values(syncd_mirror_state{{{HERE}}}, mirror)"))
    for panel in (
        number(
            "Damaged files",
            "Found damaged or missing and not mended yet.",
            "none",
            Query(f"sum(syncd_faulty_files{{{MIRROR}}})"),
            bounds=BAD,
            span=3,
        ),
        number(
            "Mended",
            "Damaged files that were replaced by proved bytes in the range shown.",
            "none",
            Query(f"sum(increase(syncd_healed_files_total{{{MIRROR}}}[$__range]))"),
            bounds=ODD,
            span=3,
            decimals=0,
        ),
        number(
            "Quarantined",
            "Files kept aside with the reason.",
            "none",
            Query(f"sum(syncd_quarantined_files{{{MIRROR}}})"),
            bounds=ODD,
            span=3,
        ),
        number(
            "Least covered",
            "Share of files read within verify.scrub, of the mirror where it is smallest.",
            "percentunit",
            Query(f"min(syncd_scrub_covered_ratio{{{MIRROR}}})"),
            bounds=((None, RED), (0.9, YELLOW), (0.99, GREEN)),
            span=3,
        ),
        number(
            "Oldest unread byte",
            "Since the stored byte that was not read for longest was proved.",
            "s",
            Query(f"max({OLDEST})"),
            span=3,
        ),
        number(
            "Store",
            "1 if the store answers and is the one we know.",
            "none",
            Query(f"min(syncd_store_online{{{HERE}}})"),
            bounds=((None, RED), (1, GREEN)),
            span=3,
        ),
        number("Free", "Room left in the store.", "bytes", Query(f"min(syncd_store_free_bytes{{{HERE}}})"), span=3),
        number(
            "Full in",
            "At the pace of the last six hours.",
            "s",
            Query(f"min({time_to_full(HERE)})"),
            bounds=((None, RED), (86400, YELLOW), (604800, GREEN)),
            span=3,
        ),
    ):
        board.with_panel(panel)
    board.with_panel(
        rows(
            "Proof, by mirror",
            "Over 100 % of the objective a stored byte was not read for longer than verify.scrub allows.",
            "mirror",
            Column("Size", f"syncd_mirror_bytes{{{MIRROR}}}", "bytes"),
            Column("Oldest unread byte", OLDEST, "s"),
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
            "Oldest unread byte / objective",
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
            "Bytes a second that are read again and good.",
            "Bps",
            Query(f"sum by (mirror) (rate(syncd_scrub_bytes_total{{{MIRROR}}}{RATE}))", "{{mirror}}"),
            stacked=True,
        ),
        curves(
            "Damage found, by kind",
            "Stored files that were not what was proved, and those that were mended.",
            "short",
            Query(f"sum by (finding) (increase(syncd_scrub_errors_total{{{MIRROR}}}{RATE}))", "{{finding}}"),
            Query(f"sum(increase(syncd_healed_files_total{{{MIRROR}}}{RATE}))", "mended"),
            stacked=True,
        ),
        curves(
            "Wrong on arrival",
            "Files that upstream sent otherwise than promised: refused, and kept aside.",
            "short",
            Query(
                f'sum by (mirror) (increase(syncd_transfer_errors_total{{{MIRROR}, error="Mismatch"}}{RATE}))',
                "{{mirror}}",
            ),
            stacked=True,
        ),
        curves(
            "Free bytes",
            "Room left in the store.",
            "bytes",
            Query(f"syncd_store_free_bytes{{{HERE}}}", "{{store}}"),
        ),
        curves(
            "Store operations that failed",
            "By operation; what was not there is no failure.",
            "ops",
            Query(
                f'sum by (operation) (rate(syncd_store_operations_total{{{HERE}, outcome="failed"}}{RATE}))',
                "{{operation}}",
            ),
        ),
        curves(
            "Time of store operations",
            "95 of 100 operations took no longer.",
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
