"""Shows a pass at work: bars on a terminal, plain lines in a log, one JSON object a line for programs.

Displays are listeners: a call each, cheap, and of constant memory whatever the number of files.
"""

import json
import re
import time
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from manifests.units import format_size
from syncd.events import (
    DocumentFailed,
    Event,
    LimitChanged,
    PassFinished,
    Planned,
    Published,
    RemovalsParked,
    SurveyAdvanced,
    SurveyStarted,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRetried,
    TransferStarted,
)

LARGE = 8 << 20  # bytes from which a transfer has a bar of its own
BARS = 4  # at most
EVERY = 5.0  # seconds between two plain lines
REFRESH = 0.1  # seconds between two redraws

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    """Return `text` without what could command a terminal or break a line; foreign letters stay."""
    if _UNPRINTABLE.search(text) is None:
        return text
    return "".join(
        c if c == "\t" or unicodedata.category(c)[0] not in "CZ" or c == " " else f"\\u{ord(c):04x}" for c in text
    )


class Progress(Protocol):
    """A display, open over a block."""

    def listener(self, event: Event) -> None:
        """Take an event."""
        ...

    def looked(self, files: int, count: int) -> None:
        """Count files and bytes that a verification has looked at."""
        ...

    def stop(self) -> None:
        """Leave the terminal to others; the next event brings the display back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def for_terminal(stream: TextIO, *, json: bool) -> Progress:
    """Return the display that fits `stream`."""
    if json:
        return JsonProgress(stream)
    return RichProgress(stream) if stream.isatty() else PlainProgress(stream)


class JsonProgress:
    """One object a line, for programs; the bytes of single transfers are left out."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._files = self._bytes = 0

    def listener(self, event: Event) -> None:
        """Write the event, unless it is one of the many small ones."""
        if not isinstance(event, TransferAdvanced | TransferStarted | SurveyAdvanced):
            self._write({"event": type(event).__name__, **asdict(event)})

    def looked(self, files: int, count: int) -> None:
        """Count; said when stopped."""
        self._files += files
        self._bytes += count

    def stop(self) -> None:
        """Say what was looked at."""
        if self._files:
            self._write({"event": "Verified", "files": self._files, "bytes": self._bytes})
            self._files = self._bytes = 0

    def _write(self, values: dict[str, object]) -> None:
        self._stream.write(json.dumps(values) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stream.flush()


class PlainProgress:
    """Lines for a log: one at each change of phase, one every few seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._due = clock() + EVERY
        self._began = clock()
        self._files = self._bytes = self._moved = self._all_files = self._all_bytes = 0

    def listener(self, event: Event) -> None:
        """Write a line if it is time for one."""
        if isinstance(event, TransferAdvanced):
            self._moved += event.received
            self._tick(event.mirror)
        elif isinstance(event, TransferFinished):
            self._files += 1
        elif isinstance(event, SurveyAdvanced):
            if self._is_due():
                self._say(f"{event.mirror}: survey: {event.documents} documents read, {event.files} files found")
        elif not isinstance(event, TransferStarted | LimitChanged):
            if isinstance(event, Planned):
                self._all_files, self._all_bytes = event.fetch + event.replace, event.bytes
                self._began, self._files, self._moved = self._clock(), 0, 0
            if (line := line_of(event)) is not None:
                self._say(line)

    def looked(self, files: int, count: int) -> None:
        """Count what a verification has looked at."""
        self._files += files
        self._bytes += count
        if self._is_due():
            self._say(f"verify: {self._files} files, {format_size(self._bytes)}")

    def stop(self) -> None:
        """Plain lines are in nobody's way."""

    def _tick(self, mirror: str) -> None:
        if self._is_due():
            rate = self._moved / max(self._clock() - self._began, 0.001)
            self._say(
                f"{mirror}: {self._files} of {self._all_files} files, {format_size(self._moved)} of "
                f"{format_size(self._all_bytes)}, {format_size(int(rate))}/s"
            )

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + EVERY
        return True

    def _say(self, line: str) -> None:
        self._stream.write(printable(line) + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()


class RichProgress:
    """Bars: one over all bytes, one over all files, and one for each of the few largest transfers under way."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on the terminal of `stream`."""
        self._clock = clock
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._bars = self._new()
        self._shown = False
        self._drawn = 0.0
        self._total: TaskID | None = None
        self._count: TaskID | None = None
        self._large: dict[str, TaskID] = {}
        self._pending: dict[str, int] = {}
        self._moved = self._files = 0

    def _new(self) -> Bars:
        return Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False, justify="right"),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )

    def listener(self, event: Event) -> None:
        """Draw, at most ten times a second."""
        if isinstance(event, TransferAdvanced):
            self._moved += event.received
            if event.path in self._large:
                self._pending[event.path] = self._pending.get(event.path, 0) + event.received
        elif isinstance(event, TransferStarted):
            self._start(event)
        elif isinstance(event, TransferFinished | TransferFailed):
            self._files += 1
            self._end(event.path)
            if isinstance(event, TransferFailed) and (line := line_of(event)) is not None:
                self._console.print(printable(line))
        elif isinstance(event, SurveyAdvanced):
            self._survey(event)
        elif isinstance(event, Planned):
            self._plan(event)
        elif not isinstance(event, SurveyStarted | LimitChanged | PassFinished | Published):
            if (line := line_of(event)) is not None:
                self._console.print(printable(line))
        self._draw()

    def looked(self, files: int, count: int) -> None:
        """Count what a verification has looked at."""
        self._files += files
        self._moved += count
        if self._total is None:
            self._show()
            self._total = self._bars.add_task("verify", total=None, amount="")
        self._draw()

    def stop(self) -> None:
        """Leave the terminal to what is printed next."""
        if self._shown:
            self._bars.stop()
        self._bars, self._shown, self._total, self._count = self._new(), False, None, None
        self._large.clear()
        self._pending.clear()
        self._moved = self._files = 0

    def _survey(self, event: SurveyAdvanced) -> None:
        if self._count is None:
            self._show()
            self._count = self._bars.add_task("survey", total=None, amount="")
        amount = f"{event.documents}/{event.known} documents, {event.files:,} files"
        self._bars.update(self._count, completed=event.documents, total=event.known, amount=amount)

    def _plan(self, event: Planned) -> None:
        self.stop()
        if line := line_of(event):
            self._console.print(printable(line))
        if event.fetch + event.replace:
            self._show()
            self._total = self._bars.add_task("bytes", total=event.bytes or None, amount="")
            self._count = self._bars.add_task("files", total=event.fetch + event.replace, amount="")

    def _start(self, event: TransferStarted) -> None:
        if event.size is not None and event.size >= LARGE and len(self._large) < BARS:
            name = printable(event.path)
            name = name if len(name) <= 40 else f"…{name[-39:]}"
            self._large[event.path] = self._bars.add_task(name, total=event.size, amount=format_size(event.size))

    def _end(self, path: str) -> None:
        if (task := self._large.pop(path, None)) is not None:
            self._pending.pop(path, None)
            self._bars.remove_task(task)

    def _show(self) -> None:
        if not self._shown:
            self._bars.start()
            self._shown = True

    def _draw(self) -> None:
        now = self._clock()
        if not self._shown or now - self._drawn < REFRESH:
            return
        self._drawn = now
        for path, count in self._pending.items():
            self._bars.update(self._large[path], advance=count)
        self._pending.clear()
        if self._total is not None:
            self._bars.update(self._total, completed=self._moved, amount=format_size(self._moved))
            if self._count is not None:
                self._bars.update(self._count, completed=self._files, amount=f"{self._files:,}")
        self._bars.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def line_of(event: Event) -> str | None:
    """Return what an event says in one line, or None for those that say nothing alone."""
    name = event.mirror
    match event:
        case SurveyStarted():
            return f"{name}: asking upstream what it has"
        case DocumentFailed(url=url, reason=reason):
            return f"{name}: not read: {url}: {reason}"
        case Planned():
            whole = "" if event.complete else "; the inventory is INCOMPLETE, nothing will be removed"
            return (
                f"{name}: {event.fetch} to fetch, {event.replace} to replace, {event.keep} to keep, "
                f"{event.remove} to remove, {event.refused} refused; {format_size(event.bytes)} to move{whole}"
            )
        case TransferRetried(path=path, reason=reason, wait=wait):
            return f"{name}: {path}: again in {wait:.1f} s: {reason}"
        case TransferFailed(reason=reason, quarantined=quarantined):
            return f"{name}: failed: {reason}{' (its bytes are in the quarantine)' if quarantined else ''}"
        case RemovalsParked(files=files, reason=reason):
            return f"{name}: {files} removals parked: {reason}; let them through with: syncd approve {name}"
        case Published(snapshot=snapshot, files=files, changed=True):
            return f"{name}: published {snapshot[:12]}, {files} files"
        case _:
            return None
