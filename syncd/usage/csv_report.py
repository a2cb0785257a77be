"""A report of usage as CSV, for spreadsheets: no cell of it begins as a formula does."""

import csv
import io

from syncd.control import UsageFigures, UsageReport

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def report_csv(report: UsageReport) -> str:
    """Return the rows of a report; by month and by mirror, two more tables say what was saved, and the hours."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\r\n")
    names = UsageFigures.__struct_fields__
    writer.writerow(["from", "to", report.by, *names])
    for row in report.rows:
        writer.writerow([report.first, report.last, _text(row.value), *(getattr(row.figures, name) for name in names)])
    if report.saved:
        writer.writerow([])
        writer.writerow(["mirror", "month", "delivered", "fetched", "saved", "ratio", "domestic", "abroad"])
        for one in report.saved:
            figures = (one.delivered, one.fetched, one.saved, one.ratio, one.domestic, one.abroad)
            writer.writerow([_text(one.mirror), one.month, *("" if value is None else value for value in figures)])
    if report.hours:
        writer.writerow([])
        writer.writerow(["instrument", "month", "hours"])
        for hours in report.hours:
            writer.writerow([_text(hours.mirror), hours.month, hours.hours])
    return made.getvalue()


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULAS) else value
