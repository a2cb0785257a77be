"""Shows a pass at work: bars on a terminal, plain lines in a log, one JSON object a line for programs.

Rules:
1. A display costs a pass one short call for each event and never fails it: a stream that breaks makes it silent.
2. It writes to its own stream only; stdout stays the command's, also while bars are drawn.
3. What strangers wrote (names, urls, their servers' words) is made printable first.
4. What may happen a million times is said a few times and counted from then on.
"""

import heapq
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from manifests.units import format_rate, format_size
from syncd.events import (
    DocumentFailed,
    Event,
    LimitChanged,
    PassFinished,
    Planned,
    Published,
    RemovalsParked,
    SurveyAdvanced,
    SurveyNoted,
    SurveyStarted,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRetried,
    TransferStarted,
)
from syncd.printable import printable
from syncd.tally import Speed, Tally

BARS = 4  # of single transfers, at most
LARGE = 8 << 20  # bytes from which a transfer may have a bar of its own
EVERY = 5.0  # seconds between two plain lines
SECOND = 1.0  # between two JSON lines that say how far we are
REDRAWS = 5  # a second
REPEATED = 20  # lines of one kind in a pass; from then on they are only counted
NAME = 36  # characters of a path beside its bar


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
    console = Console(file=stream)
    return RichProgress(stream) if console.is_terminal and not console.is_dumb_terminal else PlainProgress(stream)


class _Display:
    """What all displays share: the tally of the pass, the stream that may break, the lines that may be too many."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._tally = Tally("")
        self._speed = Speed()
        self._looked_files = self._looked_bytes = 0
        self._said: dict[type[Event], int] = {}
        self._broken = False

    def _count(self, event: Event) -> None:
        if type(event) is SurveyStarted:
            self._tally, self._speed = Tally(event.mirror), Speed()
            self._said.clear()
        self._tally.take(event)
        if type(event) is Planned:
            self._speed.at(self._clock(), 0)  # from here on

    def looked(self, files: int, count: int) -> None:
        """Count what a verification has looked at."""
        self._looked_files += files
        self._looked_bytes += count

    def _line(self, event: Event) -> str | None:
        """Return the line that an event is worth, or None; the last of too many says so."""
        line = line_of(event)
        if line is None or type(event) not in _MANY:
            return line
        said = self._said[type(event)] = self._said.get(type(event), 0) + 1
        if said > REPEATED:
            return None
        return line if said < REPEATED else f"{line} (more of this kind are only counted)"

    def _write(self, line: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._broken = True

    def stop(self) -> None:
        """Leave the terminal to others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PlainProgress(_Display):
    """Lines for a log: one at each change of phase, one every few seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        super().__init__(stream, clock)
        self._due = clock() + EVERY

    def listener(self, event: Event) -> None:
        """Write a line if there is something to say, or if it is time for one."""
        self._count(event)
        line = None if type(event) in _FREQUENT else self._line(event)
        if line is not None:
            self._write(printable(line))
        elif type(event) in _FREQUENT and self._is_due():
            self._write(printable(self._far()))

    def looked(self, files: int, count: int) -> None:
        """Count what a verification has looked at."""
        super().looked(files, count)
        if self._is_due():
            self._write(f"verify: {self._looked_files:,} files, {format_size(self._looked_bytes)}")

    def _far(self) -> str:
        tally = self._tally
        if tally.phase == "survey":
            return f"{tally.mirror}: survey: {tally.documents:,} documents read, {tally.found:,} files found"
        return (
            f"{tally.mirror}: {tally.files:,} of {tally.planned_files:,} files, "
            f"{amount_of(tally)}, {format_rate(self._speed.at(self._clock(), tally.arrived))}{trouble_of(tally)}"
        )

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + EVERY
        return True


class JsonProgress(_Display):
    """One object a line, for programs: every event but those within a file, and once a second how far we are."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        super().__init__(stream, clock)
        self._due = clock() + SECOND

    def listener(self, event: Event) -> None:
        """Write the event, unless it is one of the many small ones."""
        self._count(event)
        kind = type(event)
        if kind not in _WITHIN:
            self._write(f'{{"event":"{kind.__name__}",{_json(event)[1:]}')
        now = self._clock()
        if kind in _FREQUENT and now >= self._due:
            self._due = now + SECOND
            tally = self._tally
            values = {
                "event": "Progress",
                "mirror": tally.mirror,
                "phase": tally.phase,
                "documents": tally.documents,
                "found": tally.found,
                "files": tally.files,
                "of_files": tally.planned_files,
                "bytes": tally.arrived,
                "of_bytes": tally.planned_bytes if tally.sized else None,
                "failed": tally.failed,
                "retried": tally.retried,
                "rate": round(self._speed.at(now, tally.arrived)),
            }
            self._write(_json(values))

    def stop(self) -> None:
        """Say what was looked at."""
        if self._looked_files:
            self._write(_json({"event": "Verified", "files": self._looked_files, "bytes": self._looked_bytes}))
            self._looked_files = self._looked_bytes = 0


class RichProgress(_Display):
    """Bars on a terminal: one over everything, and one for each of the few largest transfers under way.

    A thread draws, so that a slow terminal slows nobody, and so that the clock goes on when nothing arrives.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on the terminal of `stream`."""
        super().__init__(stream, clock)
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._pace = Speed()
        self._live: Live | None = None

    def listener(self, event: Event) -> None:
        """Count; what deserves a line is said above the bars."""
        self._count(event)
        kind = type(event)
        if kind in _WITHIN or kind is TransferFinished:
            if self._live is None:
                self._show()
            return
        if kind is SurveyStarted:
            self._pace = Speed()
        line = self._line(event)
        if line is not None and kind not in {SurveyStarted, Published}:
            self._say(line)
        if kind is PassFinished:
            self.stop()
        elif self._live is None and kind is not LimitChanged:
            self._show()

    def looked(self, files: int, count: int) -> None:
        """Count what a verification has looked at."""
        super().looked(files, count)
        if self._live is None:
            self._show()

    def stop(self) -> None:
        """Take the bars away."""
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except OSError:
                self._broken = True
        self._looked_files = self._looked_bytes = 0

    def _show(self) -> None:
        if self._broken:
            return
        live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=REDRAWS,
            transient=True,
            redirect_stdout=False,  # stdout may be a pipe, and is never ours
            redirect_stderr=False,
        )
        try:
            live.start()
        except OSError:
            self._broken = True
        else:
            self._live = live

    def _say(self, line: str) -> None:
        if self._broken:
            return
        try:
            self._console.print(Text(printable(line)))
        except OSError:
            self._broken = True

    def _draw(self) -> RenderableType:
        tally, now = self._tally, self._clock()
        if self._looked_files:
            rate = format_rate(self._speed.at(now, self._looked_bytes))
            return Text(f"verify  {self._looked_files:,} files, {format_size(self._looked_bytes)}, {rate}")
        if tally.phase == "survey":
            read = f"{tally.documents:,} of {tally.known:,} documents read"
            return Text(f"{printable(tally.mirror)}  survey: {read}, {tally.found:,} files found")
        return Group(self._over_all(tally, now), self._single(tally))

    def _over_all(self, tally: Tally, now: float) -> RenderableType:
        share = tally.share()
        pace = self._pace.at(now, share or 0.0)
        left = f"{_clockwise((1 - share) / pace)} to go" if share is not None and pace > 0 else ""
        rate = format_rate(self._speed.at(now, tally.arrived))
        files = f"{tally.files:,} of {tally.planned_files:,} files"
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(printable(tally.mirror), style="bold"),
            ProgressBar(total=1.0 if share is not None else None, completed=share or 0.0, width=16),
            Text(f"{files}  {amount_of(tally)}  {rate}  {left}{trouble_of(tally)}", no_wrap=True, overflow="ellipsis"),
        )
        return grid

    def _single(self, tally: Tally) -> RenderableType:
        large = [one for one in tally.under_way() if (one.size or one.received) >= LARGE]
        grid = Table.grid(padding=(0, 2))
        for one in heapq.nlargest(BARS, large, key=lambda one: one.size or one.received):
            name = printable(one.path)
            grid.add_row(
                Text(name if len(name) <= NAME else f"…{name[1 - NAME :]}", style="dim"),
                ProgressBar(total=one.size, completed=one.received, width=16),
                Text(f"{format_size(one.received)} of {'?' if one.size is None else format_size(one.size)}"),
            )
        return grid


_WITHIN: frozenset[type[Event]] = frozenset({TransferAdvanced, TransferStarted, SurveyAdvanced})
_FREQUENT: frozenset[type[Event]] = _WITHIN | {TransferFinished}
_MANY: frozenset[type[Event]] = frozenset({DocumentFailed, TransferFailed, TransferRetried})


def line_of(event: Event) -> str | None:
    """Return what an event says in one line, or None for those that say nothing alone."""
    name = event.mirror
    match event:
        case SurveyStarted():
            return f"{name}: asking upstream what it has"
        case DocumentFailed(url=url, reason=reason):
            return f"{name}: not read: {url}: {reason}"
        case SurveyNoted(text=text, times=times):
            return f"{name}: {text}{f' ({times:,} times)' if times > 1 else ''}"
        case Planned():
            whole = "" if event.complete else "; the inventory is INCOMPLETE, nothing will be removed"
            return (
                f"{name}: {event.fetch:,} to fetch, {event.replace:,} to replace, {event.keep:,} to keep, "
                f"{event.remove:,} to remove, {event.refused:,} refused{whole}"
            )
        case TransferRetried(path=path, reason=reason, wait=wait):
            return f"{name}: {path}: again in {wait:.1f} s: {reason}"
        case TransferFailed(reason=reason, quarantined=quarantined):
            return f"{name}: failed: {reason}{' (its bytes are in the quarantine)' if quarantined else ''}"
        case RemovalsParked(files=files, reason=reason):
            return f"{name}: {files:,} removals parked: {reason}; let them through with: syncd approve {name}"
        case Published(snapshot=snapshot, files=files, changed=True):
            return f"{name}: published {snapshot[:12]}, {files:,} files"
        case _:
            return None


def amount_of(tally: Tally) -> str:
    """Return the bytes that arrived, and of how many where every size is known."""
    whole = f" of {format_size(tally.planned_bytes)}" if tally.sized else ""
    return f"{format_size(tally.arrived)}{whole}"


def trouble_of(tally: Tally) -> str:
    """Return what went wrong so far, in numbers; nothing if nothing did."""
    failed = f", {tally.failed:,} failed" if tally.failed else ""
    return f"{failed}, {tally.retried:,} tried again" if tally.retried else failed


def _clockwise(seconds: float) -> str:
    minutes, second = divmod(round(min(seconds, 359_999)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _json(value: object) -> str:
    """Return JSON on one line of plain ASCII: a terminal that shows it would obey a U+009B in a name."""
    text = msgspec.json.encode(value).decode()
    return text if text.isascii() and "\x7f" not in text else json.dumps(json.loads(text)).replace("\x7f", "\\u007f")


__all__ = ["JsonProgress", "PlainProgress", "Progress", "RichProgress", "for_terminal", "line_of", "printable"]
