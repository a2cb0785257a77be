"""The output of commands: text for people, JSON for programs."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.messages import plain
from manifests.timestamps import rfc3339
from syncd.core import Secrets, SyncdError, printable

if TYPE_CHECKING:
    from manifests.stat import Stat


WIDTH = 300  # columns of a table that is not printed on a terminal: programs read lines, and no folded ones
_NARROW = 0x2FF  # up to this character, each has the width of one column


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value, enc_hook=plain).decode() + "\n")
    sys.stdout.flush()


def print_line(line: str = "") -> None:
    """Print a line for people, with control characters escaped."""
    sys.stdout.write(printable(line) + "\n")


def print_text(text: str) -> None:
    """Print a text for programs, as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_note(line: str) -> None:
    """Print a line for people to stderr, beside the output of a command that may go into a file."""
    sys.stderr.write(f"syncd: {printable(line)}\n")


def print_error(error: SyncdError, *, json: bool, secrets: Secrets) -> None:
    """Print an error to stderr, without secrets; with `json` as an object."""
    import msgspec

    reason = secrets.redact(str(error))
    if json:
        sys.stderr.write(
            msgspec.json.encode({"error": type(error).__name__, "reason": reason}, enc_hook=plain).decode() + "\n"
        )
    else:
        for line in reason.splitlines():
            sys.stderr.write(f"syncd: {printable(line)}\n")


def print_warning(text: str, *, json: bool) -> None:
    """Print a warning to stderr; with `json` as an object."""
    import msgspec

    sys.stderr.write(
        msgspec.json.encode({"warning": text}, enc_hook=plain).decode() + "\n" if json else f"syncd: {text}\n"
    )


def print_config(file: Path, *, json: bool) -> None:
    """Print to stderr which configuration was found; with `json` as an object."""
    import msgspec

    name = str(file)
    sys.stderr.write(
        msgspec.json.encode({"configuration": name}, enc_hook=plain).decode() + "\n"
        if json
        else f"syncd: configuration: {printable(name)}\n"
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under headings, with numbers aligned right."""
    columns = tuple(columns)
    lines = [tuple(printable(cell) for cell in row) for row in rows]
    if not sys.stdout.isatty() and (text := _plain_table(columns, lines)) is not None:
        sys.stdout.write(text)
        return
    from rich.console import Console  # slow to import, and most commands print no table on a terminal
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for line in lines:
        grid.add_row(*line)
    width = None if sys.stdout.isatty() else WIDTH
    Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False).print(grid)


def _plain_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str | None:
    """Return a table as rich prints it; None if a line is too long, or has characters of another width."""
    whole = [tuple(column.lstrip(">") for column in columns), *lines]
    if any("\n" in cell or max(map(ord, cell), default=0) > _NARROW for line in whole for cell in line):
        return None
    widths = [max(map(len, cells)) for cells in zip(*whole, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        return None
    justify = [str.rjust if column.startswith(">") else str.ljust for column in columns]
    return "".join(
        "  ".join(put(cell, width) for put, cell, width in zip(justify, line, widths, strict=True)) + "\n"
        for line in whole
    )


def stat_object(stat: "Stat") -> dict[str, Any]:
    """Return a Stat as the object that `survey --json` prints."""
    return {
        "path": stat.path,
        "size": stat.size,
        "modified": instant(stat.modified),
        "version": stat.version,
        "digests": stat.digests,
        "urls": list(stat.urls),
    }


def instant(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 in UTC."""
    return rfc3339(seconds) if seconds is not None else None


def ago(seconds: float | None, now: float) -> str:
    """Return how long ago something was, for people."""
    if seconds is None:
        return "never"
    age = max(0, int(now - seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if age >= 2 * length:
            return f"{age // length} {unit} ago"
    return f"{age} s ago"


def files(count: int) -> str:
    """Return a number of files, as in "2 files"."""
    return counted(count, "file")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent: 100 % only if it is all of it, and 0 % only if it is none."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if part in {0, whole} or 1 <= percent < 99 else "<1 %" if percent < 1 else ">99 %"


def size(count: int) -> str:
    """Return bytes for people."""
    from manifests.model import format_size

    return format_size(count)
