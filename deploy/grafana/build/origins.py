"""The dashboard *Origins and network*: what each upstream gives, how it throttles us, what expires."""

from fleet import quantiles
from panels import GREEN, HERE, ORIGIN, RATE, RED, YELLOW, Column, Query, builders, chosen, curves, dashboard, rows


def origins() -> builders.Dashboard:
    board = dashboard(
        "syncd-origins",
        "syncd / Origins and network",
        "Each upstream origin: requests, refusals, pace, first byte, and what expires.",
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
            Column("Under way", f"syncd_origin_requests_active{{{ORIGIN}}}"),
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
            "Answered, refused (429, 503, a reset), or failed otherwise.",
            "reqps",
            Query(f"sum by (outcome) (rate(syncd_origin_requests_total{{{ORIGIN}}}{RATE}))", "{{outcome}}"),
            stacked=True,
        ),
        curves(
            "Refused, by origin",
            "Requests a second that upstream refused: it asks us to go slower.",
            "reqps",
            Query(refused, "{{origin}}"),
        ),
        curves(
            "Waiting because of throttling",
            "Requests that waited at the same time: asked by upstream, or held to our own rate.",
            "short",
            Query(
                f"sum by (origin, reason) (rate(syncd_origin_throttled_seconds_total{{{ORIGIN}}}{RATE}))",
                "{{origin}} {{reason}}",
            ),
        ),
        curves(
            "Concurrency",
            "Requests at once: under way, and what the governor allows. It grows while goodput grows.",
            "short",
            Query(f"syncd_origin_requests_active{{{ORIGIN}}}", "{{origin}} under way"),
            Query(f"syncd_origin_concurrency_limit{{{ORIGIN}}}", "{{origin}} allowed"),
        ),
        curves(
            "Bytes, by origin",
            "Bytes a second of bodies, lists and indexes too.",
            "Bps",
            Query(f"sum by (origin) (rate(syncd_origin_received_bytes_total{{{ORIGIN}}}{RATE}))", "{{origin}}"),
            stacked=True,
        ),
        curves(
            "First byte",
            "From a request to the beginning of its answer.",
            "s",
            *quantiles("syncd_origin_first_byte_seconds", ORIGIN),
        ),
        curves(
            "Tries that failed, by kind",
            "Each was followed by another.",
            "short",
            Query(f"sum by (error) (increase(syncd_transfer_retries_total{{{HERE}}}{RATE}))", "{{error}}"),
            stacked=True,
        ),
        curves(
            "Wasted bytes, by reason",
            "Arrived for nothing, as a share of all that arrived.",
            "percentunit",
            Query(
                f"sum by (reason) (rate(syncd_wasted_bytes_total{{{HERE}}}{RATE})) / ignoring(reason) group_left "
                f"clamp_min(sum(rate(syncd_received_bytes_total{{{HERE}}}{RATE})), 1)",
                "{{reason}}",
            ),
        ),
        curves(
            "Transfer time",
            "From the beginning of a transfer to its proof, all mirrors.",
            "s",
            *quantiles("syncd_transfer_duration_seconds", HERE),
        ),
        curves(
            "File sizes",
            "Sizes of the files that were stored, all mirrors.",
            "bytes",
            *quantiles("syncd_transfer_size_bytes", HERE),
        ),
        curves(
            "Certificates expire in",
            "Until the certificate that an origin showed us last is no longer valid.",
            "s",
            Query(f"syncd_origin_certificate_expiry_timestamp_seconds{{{ORIGIN}}} - time()", "{{origin}}"),
            bounds=((None, RED), (604800, YELLOW), (1814400, GREEN)),
        ),
        curves(
            "Credentials expire in",
            "Until a credential is no longer valid, for those that say.",
            "s",
            Query(f"syncd_credential_expiry_timestamp_seconds{{{HERE}}} - time()", "{{credential}}"),
            bounds=((None, RED), (604800, YELLOW), (1814400, GREEN)),
        ),
    ):
        board.with_panel(panel)
    return board
