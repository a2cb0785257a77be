"""The page of usage: what the public side delivered, month by month, and to whom; drawn without a script."""

from dataclasses import dataclass
from typing import get_args

from aiohttp import web

from syncd.api import ApiContext, Call, schemas as a
from syncd.control import SavedView, UsageBy, UsageReport, UsageRow
from syncd.web.rendering import site_of

HIGH = 96  # of the columns
STEP = 44  # from one month to the next
WIDE = 14  # of a column
MOST = 60  # months that are drawn, the last ones


@dataclass(frozen=True, slots=True)
class MonthColumn:
    """What was delivered and downloaded in one month, of all mirrors; heights of the columns are in pixels."""

    month: str
    delivered: int
    fetched: int
    left: int
    delivered_height: float
    fetched_height: float

    @property
    def saved(self) -> int:
        """Return the bytes that the network was spared."""
        return self.delivered - self.fetched


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One row, and its share of the largest one."""

    row: UsageRow
    share: float


async def show_usage(context: ApiContext, call: Call) -> web.Response:
    """Show what was delivered."""
    query: a.UsageQuery = call.query
    report = await context.control.usage(query.first, query.last, query.by)
    most = max((row.figures.bytes for row in report.rows), default=0)
    months = month_columns(report.saved)
    return await site_of(context).render(
        context, call.request, "usage.html", here="usage", report=report, kinds=get_args(UsageBy),
        lines=[UsageLine(row, row.figures.bytes / most if most else 0.0) for row in report.rows],
        months=months, width=len(months) * STEP, high=HIGH, wide=WIDE, saved=_total(report),
    )  # fmt: skip


def month_columns(saved: tuple[SavedView, ...]) -> list[MonthColumn]:
    """Return the columns of a drawing, by month."""
    sums: dict[str, list[int]] = {}
    for one in saved:
        month = sums.setdefault(one.month, [0, 0])
        month[0] += one.delivered
        month[1] += one.fetched
    chosen = sorted(sums.items())[-MOST:]
    most = max((max(pair) for _, pair in chosen), default=0)
    scale = HIGH / most if most else 0.0
    return [
        MonthColumn(month, delivered, fetched, place * STEP, delivered * scale, fetched * scale)
        for place, (month, (delivered, fetched)) in enumerate(chosen)
    ]


def _total(report: UsageReport) -> int:
    return sum(one.saved for one in report.saved)
