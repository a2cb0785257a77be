"""The page of docs that names every metric, written from the metric set itself."""

from collections.abc import Iterator

from syncd.metrics import families as f
from syncd.metrics.families import Family

PARTS: dict[f.Part, tuple[str, str]] = {
    "freshness": (
        "Freshness",
        "How old a copy is, and how old it may be. An age is `time() - x`: it goes on growing when the daemon is dead.",
    ),
    "work": ("Work", "What is planned, under way, parked or failed, and how passes end."),
    "transfers": ("Transfers", "Files and bytes: how many, how large, how fast, how they failed, what was wasted."),
    "origins": ("Origins and network", "What goes over each upstream origin, and what its governor allows."),
    "integrity": ("Integrity", "What re-reading the store found."),
    "store": ("The store", "Where the copies lie."),
    "daemon": ("The daemon", "The process itself, its configuration and its clock."),
}
HEAD = """\
# Metrics

Written by `python -m syncd.metrics > docs/metrics.md` (or `make docs`); a test holds it equal to what is exposed.

`GET /metrics` on the daemon's address (`listen`, by default `127.0.0.1:8750`) answers in Prometheus' text format, or in
OpenMetrics to those who ask for it. An example scrape configuration and alert rules are in
[deploy/prometheus/](../deploy/prometheus/), dashboards in [deploy/grafana/](../deploy/grafana/); what to do when an
alert fires is in [runbooks.md](runbooks.md).

* Every family begins with `syncd_`. Times are timestamps in seconds, not ages; sizes are bytes; counters begin at 0
  when the daemon starts, so read them with `rate()` or `increase()`.
* The series of a mirror exist while its manifest is in force. When it is withdrawn they vanish, and so do its alerts.
* A label never names a file, a url below its origin, or a person. At most {mirror} mirrors, {origin} origins and
  {credential} credentials have series of their own; what is beyond is folded into `other`, and
  `syncd_metric_label_overflow` says how many values that are. Fifty mirrors and ten origins make fewer than 5,000
  series.
* Prometheus' own client adds `process_*` (memory, processor, descriptors, start) and `python_gc_*`.
* Bytes of a file are counted when they are handed on, a small file's when it is whole: what broke off before that shows
  in `syncd_origin_received_bytes_total` only. So does what a worker process received of a small file that failed.
* Worker processes, which move small files where there are thousands of them, report transfers, bytes, requests and
  first bytes; their operations on the store and their requests under way are not among those that are shown.
"""


def page() -> str:
    """Return docs/metrics.md."""
    return "\n".join([HEAD.format(**f.MOST), *_parts(), *_labels()])


def _parts() -> Iterator[str]:
    for part, (title, intro) in PARTS.items():
        yield f"## {title}\n\n{intro}\n\n| metric | kind | labels | what it says |\n|---|---|---|---|"
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
