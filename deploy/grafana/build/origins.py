"""The dashboard *Origins and network*: each upstream's traffic, throttling, and expiry dates."""

from fleet import quantiles
from panels import GREEN, HERE, ORIGIN, RATE, RED, YELLOW, Column, Query, builders, chosen, curves, dashboard, rows


def origins() -> builders.Dashboard:
    board = dashboard(
        "syncd-origins",
        "syncd / Origins and network",
        "Each upstream origin: requests, refusals, rate, first byte, and expiry dates.",
        since="now-6h",
    )
    board.with_variable(chosen("origin", "Origin", f"label_values(syncd_origin_concurrency_limit{{{HERE}}}, origin)"))
    refused = f'sum by (origin) (rate(syncd_origin_requests_total{{{ORIGIN}, outcome="refused"}}{RATE}))'
    every = f"sum by (origin) (rate(syncd_origin_requests_total{{{ORIGIN}}}{RATE}))"
    board.with_panel(
        rows(
            "Origins",
            "One row for each origin. Refused is the share of requests that met 429, 503, a reset or Retry-After.",
            "origin",
            Column("Requests / s", every, "reqps"),
            Column(
                "Refused",
                f"{refused} / clamp_min({every}, 0.001)",
                "percentunit",
                ((None, "transparent"), (0.01, YELLOW), (0.1, RED)),
            ),
            Column("Closed", f"syncd_origin_closed{{{ORIGIN}}}", "none", ((None, "transparent"), (1, RED))),
            Column("Running", f"syncd_origin_requests_active{{{ORIGIN}}}"),
            Column("Allowed", f"syncd_origin_concurrency_limit{{{ORIGIN}}}"),
            Column("Waiting", f"syncd_origin_requests_waiting{{{ORIGIN}}}"),
            Column("Rate", f"rate(syncd_origin_received_bytes_total{{{ORIGIN}}}{RATE})", "Bps"),
            Column(
                "Certificate",
                f"syncd_origin_certificate_expiry_timestamp_seconds{{{ORIGIN}}} - time()",
                "s",
                ((None, RED), (604800, YELLOW), (1814400, GREEN)),
            ),
            worst="Refused",
        )
    )
    for panel in (
        curves(
            "Requests, by outcome",
            "Answered, refused (429, 503, a reset), or failed for other reasons.",
            "reqps",
            Query(f"sum by (outcome) (rate(syncd_origin_requests_total{{{ORIGIN}}}{RATE}))", "{{outcome}}"),
            stacked=True,
        ),
        curves(
            "Refused, by origin",
            "Requests per second that upstream refused: it asks for a lower rate.",
            "reqps",
            Query(refused, "{{origin}}"),
        ),
        curves(
            "Waiting because of throttling",
            "Concurrently waiting requests: by upstream's Retry-After, or by syncd's own rate limit.",
            "short",
            Query(
                f"sum by (origin, reason) (rate(syncd_origin_throttled_seconds_total{{{ORIGIN}}}{RATE}))",
                "{{origin}} {{reason}}",
            ),
        ),
        curves(
            "Concurrency",
            "Concurrent requests: running, and the governor's limit, which grows while goodput grows.",
            "short",
            Query(f"syncd_origin_requests_active{{{ORIGIN}}}", "{{origin}} running"),
            Query(f"syncd_origin_concurrency_limit{{{ORIGIN}}}", "{{origin}} allowed"),
        ),
        curves(
            "Bytes, by origin",
            "Bytes per second of bodies, including lists and indexes.",
            "Bps",
            Query(f"sum by (origin) (rate(syncd_origin_received_bytes_total{{{ORIGIN}}}{RATE}))", "{{origin}}"),
            stacked=True,
        ),
        curves(
            "First byte",
            "Time from a request to the first byte of its answer.",
            "s",
            *quantiles("syncd_origin_first_byte_seconds", ORIGIN),
        ),
        curves(
            "Failed attempts, by kind",
            "Each was retried.",
            "short",
            Query(f"sum by (error) (increase(syncd_transfer_retries_total{{{HERE}}}{RATE}))", "{{error}}"),
            stacked=True,
        ),
        curves(
            "Discarded bytes, by reason",
            "As a share of all received bytes.",
            "percentunit",
            Query(
                f"sum by (reason) (rate(syncd_wasted_bytes_total{{{HERE}}}{RATE})) / ignoring(reason) group_left "
                f"clamp_min(sum(rate(syncd_received_bytes_total{{{HERE}}}{RATE})), 1)",
                "{{reason}}",
            ),
        ),
        curves(
            "Transfer time",
            "Time from the start of a transfer to its verification, all mirrors.",
            "s",
            *quantiles("syncd_transfer_duration_seconds", HERE),
        ),
        curves(
            "File sizes",
            "Sizes of stored files, all mirrors.",
            "bytes",
            *quantiles("syncd_transfer_size_bytes", HERE),
        ),
        curves(
            "Certificates expire in",
            "Time until the certificate that an origin presented last expires.",
            "s",
            Query(f"syncd_origin_certificate_expiry_timestamp_seconds{{{ORIGIN}}} - time()", "{{origin}}"),
            bounds=((None, RED), (604800, YELLOW), (1814400, GREEN)),
        ),
        curves(
            "Credentials expire in",
            "Time until a credential expires, if it is known.",
            "s",
            Query(f"syncd_credential_expiry_timestamp_seconds{{{HERE}}} - time()", "{{credential}}"),
            bounds=((None, RED), (604800, YELLOW), (1814400, GREEN)),
        ),
    ):
        board.with_panel(panel)
    return board
