"""Reads the hours of instruments from a CSV file of the operator: they are carried into reports, and not judged."""

import csv
import re
from pathlib import Path

from manifests.messages import message
from syncd.control import InstrumentHours
from syncd.core import ConfigError

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
LARGEST = 16 << 20  # bytes of the file


def read_hours(path: Path | None) -> list[InstrumentHours]:
    """Return the hours, by mirror and month (it blocks). Raises ConfigError, which names the line."""
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            message(
                "usage.hours: {path}: cannot be read: {cause}: give the path of a CSV file in UTF-8, or delete the key",
                path=path,
                cause=cause,
            )
        ) from error
    sums: dict[tuple[str, str], float] = {}
    rows = csv.reader(text.splitlines())
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#") or (rows.line_num == 1 and cells[-1].lower() == "hours"):
            continue
        hours = _number(cells[2]) if len(cells) == 3 else None
        if hours is None or not cells[0] or _MONTH.fullmatch(cells[1]) is None:
            raise ConfigError(
                message(
                    "usage.hours: {path}: line {number}: is not a mirror, a month and hours: write it as in "
                    "telescope,2026-01,412.5",
                    path=path,
                    number=rows.line_num,
                )
            )
        sums[cells[0], cells[1]] = sums.get((cells[0], cells[1]), 0.0) + hours
    return [InstrumentHours(mirror=key[0], month=key[1], hours=hours) for key, hours in sorted(sums.items())]


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < 1e9 else None
