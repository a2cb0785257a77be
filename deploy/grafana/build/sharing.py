"""The dashboard *Sharing*: what the public side gave, what was downloaded for it, and how fresh the copies are."""

from fleet import AGE, OBJECTIVE
from panels import (
    BLUE,
    GREEN,
    HERE,
    MIRROR,
    RATE,
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

OTHERS = 'kind=~"person|tool|node"'
GIVEN = f"syncd_served_bytes_total{{{MIRROR}, {OTHERS}}}"
FETCHED = f"syncd_received_bytes_total{{{MIRROR}}}"


def sharing() -> builders.Dashboard:
    board = dashboard(
        "syncd-sharing",
        "syncd / Sharing",
        "Published mirrors: what others took, what was downloaded for it, and what the network was saved.",
        since="now-7d",
    )
    board.with_variable(chosen("mirror", "Mirror", f"label_values(syncd_served_bytes_total{{{HERE}}}, mirror)"))
    given, fetched = f"sum(increase({GIVEN}[$__range]))", f"sum(increase({FETCHED}[$__range]))"
    for panel in (
        number(
            "Delivered", "Bytes that people, tools and other nodes took.", "bytes", Query(given), span=5, curve=False
        ),
        number(
            "Downloaded",
            "Bytes of files that were received from upstream.",
            "bytes",
            Query(fetched),
            span=5,
            curve=False,
        ),
        number(
            "Network saved",
            "Delivered less downloaded: negative while a mirror is filled.",
            "bytes",
            Query(f"{given} - {fetched}"),
            bounds=((None, YELLOW), (0, GREEN)),
            span=5,
            curve=False,
        ),
        number(
            "Broke off",
            "Share of answers that clients did not take to their ends.",
            "percentunit",
            Query(
                f'sum(increase(syncd_served_requests_total{{{MIRROR}, status="499"}}[$__range])) '
                f"/ clamp_min(sum(increase(syncd_served_requests_total{{{MIRROR}}}[$__range])), 1)"
            ),
            bounds=((None, GREEN), (0.2, YELLOW)),
            span=5,
            curve=False,
        ),
        number(
            "Stale copies",
            "Published or not, mirrors whose last complete pass is older than their freshness target.",
            "none",
            Query(f"sum({AGE} > bool {OBJECTIVE})"),
            bounds=((None, GREEN), (1, YELLOW)),
        ),
        curves(
            "Delivered, by kind of client",
            "Bytes per second. Robots and our own machines are not delivered, and are shown beside the others.",
            "Bps",
            Query(f"sum by (kind) (rate(syncd_served_bytes_total{{{MIRROR}}}{RATE}))", "{{kind}}"),
            stacked=True,
        ),
        curves(
            "Delivered and downloaded",
            "Bytes per second: what others took, and what came from upstream.",
            "Bps",
            Query(f"sum(rate({GIVEN}{RATE}))", "delivered"),
            Query(f"sum(rate({FETCHED}{RATE}))", "downloaded"),
        ),
        curves(
            "Answers, by status",
            "Answers per second: 206 is a piece, 304 was not changed, 499 broke off, 503 is an unavailable store.",
            "reqps",
            Query(f"sum by (status) (rate(syncd_served_requests_total{{{MIRROR}}}{RATE}))", "{{status}}"),
            stacked=True,
        ),
        curves(
            "Delivered, by mirror",
            "Bytes per second that others took.",
            "Bps",
            Query(f"sum by (mirror) (rate({GIVEN}{RATE}))", "{{mirror}}"),
            stacked=True,
        ),
    ):
        board.with_panel(panel)
    board.with_panel(
        rows(
            "Mirrors",
            "One row for each mirror that gave something, in the chosen time. Age is that of the last complete pass.",
            "mirror",
            Column("Delivered", f"sum by (mirror) (increase({GIVEN}[$__range]))", "bytes"),
            Column("Downloaded", f"sum by (mirror) (increase({FETCHED}[$__range]))", "bytes"),
            Column(
                "Saved",
                f"sum by (mirror) (increase({GIVEN}[$__range])) - sum by (mirror) (increase({FETCHED}[$__range]))",
                "bytes",
                ((None, YELLOW), (0, BLUE)),
            ),
            Column("Age", f"sum by (mirror) ({AGE} and on (mirror) {GIVEN})", "s"),
            worst="Delivered",
        )
    )
    return board
