"""Collects every family at a scrape: from the counters, Control, the governors and the store.

Rules:
1. Series of a mirror exist while its manifest is in force (or rejected), begin at 0, and vanish when it is withdrawn.
2. A label value beyond its bound is counted under `other`.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from syncd.control import Control, MirrorView
from syncd.core import Histogram
from syncd.metrics import families as f
from syncd.metrics.counting import NEVER, Counting, MirrorCount
from syncd.metrics.families import Family
from syncd.wrappers import FIRST_BYTE, OPERATIONS, Governor, Governors, Meter

Labels = tuple[str, ...]
ServedAnswers = tuple[str, str, int, int, int]
"""A mirror, a kind of client, a status, the number of answers, and their bytes."""


@dataclass(slots=True)
class MetricSources:
    """The sources that are read at every scrape, as far as they exist."""

    counting: Counting
    meter: Meter
    lag: Histogram
    version: str
    control: Control | None = None
    governors: Governors | None = None
    credentials: Mapping[str, float] = field(default_factory=dict)
    """The expiry of each credential, by name."""
    read_served: Callable[[], Sequence[ServedAnswers]] | None = None
    """Reads the totals of the public side; it blocks."""
    served: Sequence[ServedAnswers] = ()


class Bound:
    """The values that one label may have; the first ones stay."""

    def __init__(self, most: int) -> None:
        """Admit `most` values."""
        self._most = most
        self._admitted: set[str] = set()
        self._folded: set[str] = set()

    def only(self, values: Iterable[str]) -> None:
        """Drop values that are not in `values`, which makes room for others, and admit those in their order."""
        values = tuple(values)
        self._admitted &= set(values)
        self._folded.clear()
        for value in values:
            if value in self._admitted or len(self._admitted) < self._most:
                self._admitted.add(value)
            else:
                self._folded.add(value)

    def fit(self, value: str) -> str:
        """Return the value, or `other`."""
        return value if value in self._admitted else f.OTHER

    @property
    def folded(self) -> int:
        """Return how many values are under `other` now."""
        return len(self._folded)


class Table:
    """The samples of one scrape, by family and labels; samples with the same labels are merged."""

    def __init__(self, bounds: Mapping[str, Bound]) -> None:
        """Fit labels into `bounds`."""
        self._bounds = bounds
        self._rows: dict[str, dict[Labels, float]] = {family.name: {} for family in f.ALL}
        self._histograms: dict[str, dict[Labels, Histogram]] = {family.name: {} for family in f.ALL}

    def put(self, family: Family, value: float | None, *labels: str) -> None:
        """Add one sample; None adds nothing."""
        if value is None:
            return
        rows, fitted = self._rows[family.name], self._fitted(family, labels)
        before = rows.get(fitted)
        if before is not None:
            value = before + value if family.fold == "sum" else (min if family.fold == "min" else max)(before, value)
        rows[fitted] = value

    def put_all(self, family: Family, values: Mapping[str, int], *labels: str) -> None:
        """Add a sample for each value of the last label."""
        for last, value in values.items():
            self.put(family, value, *labels, last)

    def put_histogram(self, family: Family, histogram: Histogram, *labels: str) -> None:
        """Add one histogram."""
        rows, fitted = self._histograms[family.name], self._fitted(family, labels)
        joined = rows.get(fitted)
        if joined is None:
            rows[fitted] = histogram
            return
        both = Histogram(histogram.bounds)
        both.add(joined)
        both.add(histogram)
        rows[fitted] = both

    def _fitted(self, family: Family, labels: Labels) -> Labels:
        first = family.labels[0] if family.labels else ""
        bound = self._bounds.get(first)
        return labels if bound is None else (bound.fit(labels[0]), *labels[1:])

    def metrics(self) -> Iterator[Metric]:
        """Yield the families, including those without samples, so that they are known."""
        for family in f.ALL:
            if family.kind == "histogram":
                histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                for labels, one in self._histograms[family.name].items():
                    histogram.add_metric(labels, one.buckets(), one.total)
                yield histogram
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            plain: CounterMetricFamily | GaugeMetricFamily = kind(family.name, family.help, labels=family.labels)
            for labels, value in self._rows[family.name].items():
                plain.add_metric(labels, value)
            yield plain


class SyncdCollector(Collector):
    """The collector that the registry reads."""

    def __init__(self, watched: MetricSources) -> None:
        """Read from `watched`."""
        self._watched = watched
        self._bounds = {label: Bound(most) for label, most in f.MOST.items()}

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        watched = self._watched
        table = Table(self._bounds)
        table.put(f.BUILD, 1, watched.version, platform.python_version())
        if watched.control is None:
            self._bounds["mirror"].only(watched.counting.mirrors)
        else:
            self._control(table, watched.control)
        for name, count in watched.counting.mirrors.items():
            _count(table, name, count)
        _counting(table, watched.counting)
        _meter(table, watched.meter)
        table.put_histogram(f.LOOP_LAG, watched.lag)
        _served(table, watched.served)
        self._origins(table)
        for label, bound in self._bounds.items():
            table.put(f.OVERFLOW, bound.folded, label)
        return table.metrics()

    def _control(self, table: Table, control: Control) -> None:
        daemon = control.daemon()
        table.put(f.READY, daemon.ready)
        table.put(f.PASSES_RUNNING, daemon.running)
        table.put(f.PASSES_WAITING, daemon.waiting)
        table.put(f.INFLIGHT_BYTES, daemon.bytes_in_flight)
        table.put(f.CATALOGUE_BYTES, daemon.catalogue_bytes)
        table.put(f.INDEX_BYTES, daemon.index_bytes)
        table.put(f.STATE_FREE, daemon.state_free)
        rejected = sum(bool(manifest.problems) for manifest in control.manifests())
        table.put(f.MANIFEST_FILES, rejected, "rejected")
        table.put(f.MANIFEST_FILES, sum(one.since is not None for one in control.manifests()), "in_force")
        views = [view for view in control.mirrors() if view.state != "retired"]
        self._watched.counting.keep_only(view.name for view in views)
        self._bounds["mirror"].only(view.name for view in views)
        for view in views:
            _mirror(table, view)
        shown = {view.name for view in views}
        for scrub in control.scrubs():
            if scrub.mirror in shown:
                table.put(f.OLDEST_PROOF, scrub.oldest, scrub.mirror)
                table.put(f.SCRUB_WITHIN, scrub.within, scrub.mirror)
                table.put(f.SCRUB_COVERED, scrub.covered, scrub.mirror)
        store = control.store()
        table.put(f.STORE_ONLINE, store.state != "offline", store.url)
        table.put(f.STORE_FULL, store.state == "full", store.url)
        table.put(f.STORE_FREE, store.free, store.url)
        table.put(f.BACKUP_AT, store.backup)

    def _origins(self, table: Table) -> None:
        watched = self._watched
        governors = tuple(watched.governors) if watched.governors is not None else ()
        certificates = watched.governors.certificates() if watched.governors is not None else {}
        self._bounds["origin"].only(dict.fromkeys((*(one.origin for one in governors), *certificates)))
        self._bounds["credential"].only(watched.credentials)
        for governor in governors:
            _governor(table, governor)
        for origin, expiry in certificates.items():
            table.put(f.CERTIFICATE, expiry, origin)
        for name, expiry in watched.credentials.items():
            table.put(f.CREDENTIAL, expiry, name)


def _mirror(table: Table, view: MirrorView) -> None:
    name = view.name
    for state in f.STATE.choices:
        table.put(f.STATE, view.state == state, name, state)
    table.put(f.SUCCEEDED, view.succeeded, name)
    table.put(f.ATTEMPTED, view.attempted, name)
    table.put(f.NEXT_RUN, view.next_run, name)
    table.put(f.OBJECTIVE, view.fresh_within, name)
    for verdict in f.MIRROR_FILES.choices:
        table.put(f.MIRROR_FILES, sum(one.files for one in view.verdicts if one.verdict == verdict), name, verdict)
    table.put(f.MIRROR_BYTES, view.bytes, name)
    table.put(f.PENDING_FILES, view.backlog_files, name)
    table.put(f.PENDING_BYTES, view.backlog_bytes, name)
    table.put(f.PARKED_FILES, view.parked, name)
    table.put(f.PARKED_BYTES, view.parked_bytes, name)
    table.put(f.UNSETTLED_FILES, view.waiting, name)
    table.put(f.FAILED_FILES, view.failed, name)
    table.put(f.QUARANTINED, view.quarantined, name)
    table.put(f.FAULTS, view.faults, name)
    table.put(f.MIRROR_CATALOGUE, view.catalogue_bytes, name)


def _count(table: Table, name: str, count: MirrorCount) -> None:
    table.put_all(f.PASSES, count.passes, name)
    table.put_all(f.PASS_FAILURES, count.pass_failures, name)
    table.put_all(f.TRANSFERS, count.transfers, name)
    table.put_all(f.FAILURES, count.failures, name)
    table.put_all(f.WASTED, count.wasted, name)
    table.put_all(f.DAMAGED, count.damaged, name)
    table.put(f.RECEIVED, count.received, name)
    table.put(f.STORED, count.stored, name)
    table.put(f.COPIED_FILES, count.copied_files, name)
    table.put(f.COPIED_BYTES, count.copied_bytes, name)
    table.put(f.PUBLISHED, count.published, name)
    table.put(f.DOCUMENTS_FAILED, count.documents_failed, name)
    table.put(f.SCRUBBED_FILES, count.scrubbed_files, name)
    table.put(f.SCRUBBED_BYTES, count.scrubbed_bytes, name)
    table.put(f.MENDED, count.mended, name)
    table.put(f.INFLIGHT_FILES, len(count.moving), name)
    for family, newest in ((f.UPSTREAM_NEWEST, count.upstream_newest), (f.LOCAL_NEWEST, count.local_newest)):
        table.put(family, newest if newest > NEVER else None, name)
    table.put(f.PENDING_SINCE, count.pending_since, name)
    table.put_histogram(f.PUBLICATION_LAG, count.lag, name)


def _counting(table: Table, counting: Counting) -> None:
    table.put_all(f.RETRIES, counting.retries)
    table.put_histogram(f.DURATIONS, counting.durations)
    table.put_histogram(f.SIZES, counting.sizes)
    table.put(f.MANIFESTS_REJECTED, counting.manifests_rejected)
    table.put(f.CLOCK_STEPS, counting.clock_steps)
    table.put(f.BACKUPS_FAILED, counting.backups_failed)
    table.put(f.RELOADED, counting.reload_good)
    table.put(f.RELOADED_AT, counting.reloaded_at)


def _served(table: Table, served: Sequence[ServedAnswers]) -> None:
    for mirror, kind, status, requests, size in served:
        known = str(status) if str(status) in f.ANSWERS else f.OTHER
        table.put(f.SERVED_BYTES, size, mirror, kind)
        table.put(f.SERVED_REQUESTS, requests, mirror, kind, known)


def _governor(table: Table, governor: Governor) -> None:
    origin, count = governor.origin, governor.count
    table.put(f.ORIGIN_REQUESTS, count.answered, origin, "answered")
    table.put(f.ORIGIN_REQUESTS, count.refused, origin, "refused")
    table.put(f.ORIGIN_REQUESTS, count.failed, origin, "failed")
    table.put(f.ORIGIN_BYTES, count.bytes, origin)
    table.put(f.ORIGIN_THROTTLED, count.asked_to_wait, origin, "asked")
    table.put(f.ORIGIN_THROTTLED, count.held_to_rate, origin, "rate")
    first_byte = Histogram(FIRST_BYTE)
    first_byte.counts, first_byte.total = list(count.first_byte), count.seconds
    table.put_histogram(f.ORIGIN_FIRST_BYTE, first_byte, origin)
    table.put(f.ORIGIN_LIMIT, governor.limit, origin)
    table.put(f.ORIGIN_ACTIVE, governor.busy, origin)
    table.put(f.ORIGIN_WAITING, governor.waiting, origin)
    table.put(f.ORIGIN_CLOSED, governor.is_closed, origin)


def _meter(table: Table, meter: Meter) -> None:
    for operation in OPERATIONS:
        table.put(f.STORE_OPERATIONS, sum(meter.times[operation].counts) - meter.failed[operation], operation, "done")
        table.put(f.STORE_OPERATIONS, meter.failed[operation], operation, "failed")
        table.put_histogram(f.STORE_SECONDS, meter.times[operation], operation)
