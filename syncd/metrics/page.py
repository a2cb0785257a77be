"""Writes the page of documentation that lists every metric."""

from collections.abc import Iterator

from syncd.metrics import families as f
from syncd.metrics.families import Family

PARTS: dict[f.Part, tuple[str, str]] = {
    "freshness": (
        "Freshness",
        "How old a copy is, and how old it may be. An age is `time() - x`, which keeps growing if the daemon is dead.",
    ),
    "work": ("Work", "Planned, running, held and failed work, and the results of passes."),
    "transfers": ("Transfers", "Files and bytes: number, size, speed, failures, and discarded bytes."),
    "origins": ("Origins and network", "The traffic of each upstream origin, and the limits of its governor."),
    "integrity": ("Integrity", "The results of the fixity check, which reads the store again."),
    "store": ("The store", "The folder or bucket of the copies."),
    "sharing": ("Sharing", "What the public side gave; `syncd usage` has institutions and countries."),
    "daemon": ("The daemon", "The process itself, its configuration and its clock."),
}
HEAD = """\
# Metrics

Written by `python -m syncd.metrics > docs/metrics.md` (or `make docs`); a test compares it with the exposed metrics.

`GET /metrics` on the daemon's address (`listen`, by default `127.0.0.1:8750`) answers in Prometheus' text format, or in
OpenMetrics to clients that ask for it. An example scrape configuration and alert rules are in
[deploy/prometheus/](../deploy/prometheus/), dashboards in [deploy/grafana/](../deploy/grafana/); what to do when an
alert fires is in [runbooks.md](runbooks.md).

* Every family begins with `syncd_`. Times are timestamps in seconds, not ages; sizes are bytes; counters begin at 0
  when the daemon starts, so read them with `rate()` or `increase()`.
* The series of a mirror exist while its manifest is in force. When it is withdrawn, they disappear, and so do its
alerts.
* A label never names a file, a url below its origin, or a person. At most {mirror} mirrors, {origin} origins and
  {credential} credentials have series of their own; further ones are counted under `other`, and
  `syncd_metric_label_overflow` is their number. Fifty mirrors and ten origins make fewer than 5,000
  series.
* Prometheus' own client adds `process_*` (memory, processor, descriptors, start) and `python_gc_*`.
* Bytes of a file are counted when they are written, those of a small file when it is complete. Bytes that were received
  before a failure are in `syncd_origin_received_bytes_total` only.
* Worker processes, which transfer small files if there are thousands, report transfers, bytes, requests and first
  bytes, but not their operations on the store and their running requests.
"""


def page() -> str:
    """Return docs/metrics.md."""
    return "\n".join([HEAD.format(**f.MOST), *_parts(), *_labels()])


def _parts() -> Iterator[str]:
    for part, (title, intro) in PARTS.items():
        yield f"## {title}\n\n{intro}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|"
        yield from (_row(family) for family in f.ALL if family.part == part)
        yield ""


def _row(family: Family) -> str:
    more = f" Buckets: {', '.join(f'{bound:g}' for bound in family.bounds)}." if family.bounds else ""
    labels = ", ".join(f"`{label}`" for label in family.labels)
    said = family.help[0].upper() + family.help[1:]
    closed = f" `{family.labels[-1]}`: {', '.join(family.choices)}." if family.choices and family.labels else ""
    return f"| `{family.name}` | {family.kind} | {labels} | {said}.{closed}{more} |"


def _labels() -> Iterator[str]:
    yield "## Labels\n\n| label | value |\n|---|---|"
    used = {label for family in f.ALL for label in family.labels}
    yield from (f"| `{label}` | {says} |" for label, says in f.LABELS.items() if label in used)
    yield ""
