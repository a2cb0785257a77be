"""Makes reports of the counts: rows of figures, and what the network was spared."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from syncd.catalogue import ClientCount, ServedTotal, UsageCell, UsageCounts, has_usage
from syncd.control import FEW, UNKNOWN, InstrumentHours, SavedView, UsageBy, UsageFigures, UsageReport, UsageRow
from syncd.core import SyncdError
from syncd.exchange import METRICS, DatasetCount
from syncd.usage.agents import OTHERS
from syncd.usage.period import Period, month_in

K = TypeVar("K")
Fetched = tuple[str, str, int]
"""A mirror, a day, and the bytes that were downloaded."""
Sees = Callable[[str], bool]
_FIGURES = UsageCell._fields[5:]


def read_report(
    state: Path,
    period: Period,
    by: UsageBy,
    fetched: Iterable[Fetched],
    hours: Sequence[InstrumentHours],
    home: str = "",
    sees: Sees | None = None,
) -> UsageReport:
    """Return a report of the counts in a state folder (it blocks); see `usage_report`. Raises SyncdError."""
    if not has_usage(state):
        return usage_report(period, by, (), (), fetched, hours, home, sees)
    margin = "" if by == "month" else by
    with UsageCounts(state, read_only=True) as counts:
        cells = list(counts.cells(*period))
        clients = list(counts.clients(*period, margin)) + (list(counts.clients(*period, "")) if margin else [])
    return usage_report(period, by, cells, clients, fetched, hours, home, sees)


def read_counts(state: Path, period: Period) -> dict[str, list[DatasetCount]]:
    """Return the counts by COUNTER's rules, of each mirror and month (it blocks). Raises SyncdError."""
    found: dict[str, list[DatasetCount]] = {}
    if not has_usage(state):
        return found
    with UsageCounts(state, read_only=True) as counts:
        for one in counts.cells(*period):
            if one.kind not in OTHERS:
                continue
            first, last = month_in(period, one.day[:7])
            method = "regular" if one.kind == "person" else "machine"
            values = (one.strict_investigations, one.strict_requests, one.unique_investigations, one.unique_requests)
            for metric, count in zip(METRICS, values, strict=True):
                found.setdefault(one.mirror, []).append(DatasetCount(first, last, method, metric, one.country, count))
    return found


def read_totals(state: Path) -> list[ServedTotal]:
    """Return all answers since counting began (it blocks); none if they cannot be read."""
    if has_usage(state):
        with suppress(SyncdError), UsageCounts(state, read_only=True) as counts:
            return counts.totals()
    return []


def usage_report(
    period: Period,
    by: UsageBy,
    cells: Iterable[UsageCell],
    clients: Iterable[ClientCount],
    fetched: Iterable[Fetched],
    hours: Iterable[InstrumentHours],
    home: str = "",
    sees: Sees | None = None,
) -> UsageReport:
    """Return a report.

    `home` is our own country. With `sees`, it is about the mirrors for which that is true; how many clients several of
    them had together is not known then, so the largest number of one mirror stands for it.
    """
    seen = [one for one in cells if sees is None or sees(one.mirror)]
    given = [one for one in seen if one.kind in OTHERS]
    most: dict[str, int] = {}
    most_of_all = 0
    for one in clients:
        if bool(one.mirror) != (sees is not None or (by == "mirror" and one.margin == "mirror")):
            continue
        if sees is not None and not sees(one.mirror):
            continue
        if one.margin == "":
            most_of_all = max(most_of_all, one.number)
        value = one.day[:7] if by == "month" else one.value or UNKNOWN
        if one.margin == ("" if by == "month" else by):
            most[value] = max(most.get(value, 0), one.number)
    sums = _sums(seen if by == "kind" else given, lambda one: _value(one, by))
    rows = [UsageRow(value=value, figures=_figures(counts, most.get(value, 0))) for value, counts in sums.items()]
    rows.sort(key=(lambda row: row.value) if by == "month" else (lambda row: (-row.figures.bytes, row.value)))
    total = _sums(given, lambda _: "").get("", [0] * len(_FIGURES))
    return UsageReport(
        first=period.first,
        last=period.last,
        by=by,
        since=min((one.day for one in seen), default=None),
        rows=tuple(rows),
        total=_figures(total, most_of_all),
        institutions=len({one.institution for one in given if one.institution and (one.requests or one.bytes)}),
        saved=tuple(_saved(given, [one for one in fetched if sees is None or sees(one[0])], home)),
        hours=tuple(
            one
            for one in hours
            if period.first[:7] <= one.month <= period.last[:7] and (sees is None or sees(one.mirror))
        ),
    )


def _value(one: UsageCell, by: UsageBy) -> str:
    return one.day[:7] if by == "month" else str(getattr(one, by)) or UNKNOWN


def _sums(cells: Iterable[UsageCell], key: Callable[[UsageCell], K]) -> dict[K, list[int]]:
    found: dict[K, list[int]] = {}
    for one in cells:
        counts = found.setdefault(key(one), [0] * len(_FIGURES))
        for place, count in enumerate(one[5:]):
            counts[place] += int(count)
    return found


def _figures(counts: Sequence[int], clients: int) -> UsageFigures:
    values: dict[str, int] = dict(zip(_FIGURES, counts, strict=True))
    return UsageFigures(**values, clients=clients if clients >= FEW or clients == 0 else f"<{FEW}")


def _saved(given: Iterable[UsageCell], fetched: Iterable[Fetched], home: str) -> Iterable[SavedView]:
    """Yield what the network was spared, by mirror and month."""
    found: dict[tuple[str, str], list[int]] = {}
    for one in given:
        sums = found.setdefault((one.mirror, one.day[:7]), [0, 0, 0, 0])
        sums[0] += one.bytes
        if one.country:
            sums[2 if one.country == home else 3] += one.bytes
    for mirror, day, size in fetched:
        found.setdefault((mirror, day[:7]), [0, 0, 0, 0])[1] += size
    for (mirror, month), (delivered, got, domestic, abroad) in sorted(found.items()):
        yield SavedView(
            mirror=mirror,
            month=month,
            delivered=delivered,
            fetched=got,
            saved=delivered - got,
            ratio=round(delivered / got, 3) if got else None,
            domestic=domestic if home else None,
            abroad=abroad if home else None,
        )
