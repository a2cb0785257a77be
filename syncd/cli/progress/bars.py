"""Shows the progress of a pass on a terminal: bars, redrawn a few times a second (the rules: `plain`)."""

import heapq
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from manifests.model import format_rate, format_size
from syncd.cli.output import counted, files
from syncd.cli.progress.plain import WITHIN, Display, amount_of, trouble_of
from syncd.core import Event, LimitChanged, PassFinished, Published, SurveyStarted, TransferFinished, printable
from syncd.engine import PassProgress, Speed

BARS = 4  # of single transfers, at most
LARGE = 8 << 20  # bytes from which a transfer may have a bar of its own
REDRAWS = 5  # a second
NAME = 36  # characters of a path beside its bar


def is_drawable(stream: TextIO) -> bool:
    """Return True if bars can be drawn on `stream`."""
    console = Console(file=stream)
    return console.is_terminal and not console.is_dumb_terminal


class RichProgress(Display):
    """Bars on a terminal: one for the whole pass, and one for each of the few largest running transfers.

    A thread draws: a slow terminal delays no transfer, and the clock advances while no bytes arrive.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on the terminal of `stream`."""
        super().__init__(stream, clock)
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._pace = Speed()
        self._live: Live | None = None

    def listener(self, event: Event) -> None:
        """Count an event; important ones are printed above the bars."""
        self._count(event)
        kind = type(event)
        if kind in WITHIN or kind is TransferFinished:
            if self._live is None:
                self._refresh()
            return
        if kind is SurveyStarted:
            self._pace = Speed()
        line = self._line(event)
        if line is not None and kind not in {SurveyStarted, Published}:
            self._print(line)
        if kind is PassFinished:
            self.stop()
        elif self._live is None and kind is not LimitChanged:
            self._refresh()

    def count_verified(self, files: int, count: int) -> None:
        """Count verified files and bytes."""
        super().count_verified(files, count)
        if self._live is None:
            self._refresh()

    def stop(self) -> None:
        """Remove the bars."""
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except OSError:
                self._broken = True
        self._looked_files = self._looked_bytes = 0

    def _refresh(self) -> None:
        if self._broken:
            return
        live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=REDRAWS,
            transient=True,
            redirect_stdout=False,  # stdout may be a pipe, and belongs to the command
            redirect_stderr=False,
        )
        try:
            live.start()
        except OSError:
            self._broken = True
        else:
            self._live = live

    def _print(self, line: str) -> None:
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
            return Text(f"verify  {files(self._looked_files)}, {format_size(self._looked_bytes)}, {rate}")
        if tally.phase == "survey":
            read = f"{tally.documents:,} of {counted(tally.known, 'document')} read"
            return Text(f"{printable(tally.mirror)}  survey: {read}, {files(tally.found)} found")
        return Group(self._over_all(tally, now), self._single(tally))

    def _over_all(self, tally: PassProgress, now: float) -> RenderableType:
        share = tally.share()
        pace = self._pace.at(now, share or 0.0)
        left = f"{_clockwise((1 - share) / pace)} to go" if share is not None and pace > 0 else ""
        rate = format_rate(self._speed.at(now, tally.arrived))
        moved = f"{tally.files:,} of {files(tally.planned_files)}"
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(printable(tally.mirror), style="bold"),
            ProgressBar(total=1.0 if share is not None else None, completed=share or 0.0, width=16),
            Text(f"{moved}  {amount_of(tally)}  {rate}  {left}{trouble_of(tally)}", no_wrap=True, overflow="ellipsis"),
        )
        return grid

    def _single(self, tally: PassProgress) -> RenderableType:
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


def _clockwise(seconds: float) -> str:
    minutes, second = divmod(round(min(seconds, 359_999)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
