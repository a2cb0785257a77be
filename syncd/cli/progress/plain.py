"""Shows the progress of a pass: plain lines in a log, JSON lines for programs; `bars` draws on a terminal.

Rules:
1. A display costs a pass one short call for each event, and never fails it: after an error of the stream it is silent.
2. It writes to its own stream only; stdout stays the command's, also while bars are drawn.
3. Untrusted text (names, urls, messages of servers) is made printable first.
4. Frequent messages are printed a few times, and then only counted.
"""

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

import msgspec

from manifests.messages import plain
from manifests.model import format_rate, format_size
from syncd.cli.output import counted, files
from syncd.core import (
    CatalogueOutdated,
    DocumentFailed,
    Event,
    FilesWaiting,
    OriginAway,
    OriginBack,
    Planned,
    Published,
    PublishResumed,
    PublishStuck,
    RemovalsParked,
    SurveyAdvanced,
    SurveyNoted,
    SurveyStarted,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRetried,
    TransferStarted,
    printable,
)
from syncd.engine import PassProgress, Speed

EVERY = 5.0  # seconds between two plain lines
SECOND = 1.0  # between two JSON lines of progress
REPEATED = 20  # lines of one kind in a pass; from then on they are only counted


class Progress(Protocol):
    """A display, open over a block."""

    def listener(self, event: Event) -> None:
        """Take an event."""
        ...

    def count_verified(self, files: int, count: int) -> None:
        """Count verified files and bytes."""
        ...

    def stop(self) -> None:
        """Release the terminal; the next event shows the display again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Display:
    """The base of all displays: counts the pass, ignores errors of the stream, limits repeated lines."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._tally = PassProgress("")
        self._speed = Speed()
        self._looked_files = self._looked_bytes = 0
        self._said: dict[type[Event], int] = {}
        self._broken = False

    def _count(self, event: Event) -> None:
        if type(event) is SurveyStarted:
            self._tally, self._speed = PassProgress(event.mirror), Speed()
            self._said.clear()
        self._tally.on_event(event)
        if type(event) is Planned:
            self._speed.at(self._clock(), 0)  # from here on

    def count_verified(self, files: int, count: int) -> None:
        """Count verified files and bytes."""
        self._looked_files += files
        self._looked_bytes += count

    def _line(self, event: Event) -> str | None:
        """Return the line for an event, or None; the last line of a frequent kind states that."""
        line = line_of(event)
        if line is None or type(event) not in _MANY:
            return line
        said = self._said[type(event)] = self._said.get(type(event), 0) + 1
        if said > REPEATED:
            return None
        return line if said < REPEATED else f"{line} (further messages of this kind are only counted)"

    def _write(self, line: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._broken = True

    def stop(self) -> None:
        """Release the terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PlainProgress(Display):
    """Lines for a log: one at each change of phase, one every few seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        super().__init__(stream, clock)
        self._due = clock() + EVERY

    def listener(self, event: Event) -> None:
        """Write a line for an important event, or if it is time for one."""
        self._count(event)
        line = None if type(event) in _FREQUENT else self._line(event)
        if line is not None:
            self._write(printable(line))
        elif type(event) in _FREQUENT and self._is_due():
            self._write(printable(self._far()))

    def count_verified(self, files: int, count: int) -> None:
        """Count verified files and bytes."""
        super().count_verified(files, count)
        if self._is_due():
            self._write(f"verify: {counted(self._looked_files, 'file')}, {format_size(self._looked_bytes)}")

    def _far(self) -> str:
        tally = self._tally
        if tally.phase == "survey":
            return f"{tally.mirror}: survey: {counted(tally.documents, 'document')} read, {files(tally.found)} found"
        return (
            f"{tally.mirror}: {tally.files:,} of {files(tally.planned_files)}, "
            f"{amount_of(tally)}, {format_rate(self._speed.at(self._clock(), tally.arrived))}{trouble_of(tally)}"
        )

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + EVERY
        return True


class JsonProgress(Display):
    """One object a line, for programs: every event except those within a file, and the progress once a second."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        super().__init__(stream, clock)
        self._due = clock() + SECOND

    def listener(self, event: Event) -> None:
        """Write the event, unless it is a frequent one."""
        self._count(event)
        kind = type(event)
        if kind not in WITHIN:
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
                "waiting_for": sorted(tally.away),
                "rate": round(self._speed.at(now, tally.arrived)),
            }
            self._write(_json(values))

    def stop(self) -> None:
        """Report the verified files."""
        if self._looked_files:
            self._write(_json({"event": "Verified", "files": self._looked_files, "bytes": self._looked_bytes}))
            self._looked_files = self._looked_bytes = 0


WITHIN: frozenset[type[Event]] = frozenset({TransferAdvanced, TransferStarted, SurveyAdvanced})
_FREQUENT: frozenset[type[Event]] = WITHIN | {TransferFinished}
_MANY: frozenset[type[Event]] = frozenset({DocumentFailed, TransferFailed, TransferRetried})


def line_of(event: Event) -> str | None:
    """Return an event as one line, or None for frequent ones."""
    name = event.mirror
    match event:
        case SurveyStarted():
            return f"{name}: asking upstream for its files"
        case DocumentFailed(url=url, reason=reason):
            return f"{name}: failed to read: {url}: {reason}"
        case SurveyNoted(text=text, times=times):
            return f"{name}: {text}{f' ({times:,} times)' if times > 1 else ''}"
        case Planned():
            whole = "" if event.complete else "; the inventory is INCOMPLETE, nothing will be deleted"
            return (
                f"{name}: {event.fetch:,} to fetch, {event.replace:,} to replace, {event.keep:,} to keep, "
                f"{event.remove:,} to delete, {event.refused:,} rejected{whole}"
            )
        case OriginAway(origin=origin, reason=reason, most=most):
            return f"{name}: waiting for origin {origin}, at most {most / 60:.0f} min: {reason}"
        case OriginBack(origin=origin, seconds=seconds, answers=True):
            return f"{name}: origin {origin} answers again after {seconds:.0f} s"
        case OriginBack(origin=origin, seconds=seconds):
            return f"{name}: origin {origin} has not answered for {seconds / 60:.0f} min; its files fail"
        case TransferRetried(path=path, reason=reason, wait=wait):
            return f"{name}: {path}: retrying in {wait:.1f} s: {reason}"
        case TransferFailed(reason=reason, quarantined=quarantined):
            return f"{name}: failed: {reason}{' (quarantined)' if quarantined else ''}"
        case FilesWaiting(files=number, path=path, reason=reason):
            return f"{name}: {counted(number, 'file')} may still be written upstream; {path}: {reason}"
        case RemovalsParked(files=number, reason=reason, replaced=replaced):
            what = "losses" if replaced else "deletions"
            return f"{name}: {what} held for approval: {reason} ({number:,} held); approve: syncd approve {name}"
        case CatalogueOutdated(snapshot=snapshot, reason=""):
            return (
                f"{name}: the state folder is older than the store; its records are rebuilt from there: "
                f"snapshot {snapshot[:12]}"
            )
        case CatalogueOutdated(reason=reason):
            return f"{name}: the state folder is older than the store: run `syncd rebuild` ({reason})"
        case Published(snapshot=snapshot, files=number, changed=True):
            return f"{name}: published {snapshot[:12]}, {counted(number, 'file')}"
        case PublishResumed(snapshot=snapshot):
            return f"{name}: a publish was interrupted; it is finished now: snapshot {snapshot[:12]}"
        case PublishStuck(reason=reason):
            return f"{name}: a publish was interrupted and cannot be finished: {reason}"
        case _:
            return None


def amount_of(tally: PassProgress) -> str:
    """Return the received bytes, and the total if every size is known."""
    whole = f" of {format_size(tally.planned_bytes)}" if tally.sized else ""
    return f"{format_size(tally.arrived)}{whole}"


def trouble_of(tally: PassProgress) -> str:
    """Return the origins that are away, and the number of failures and retries so far; "" if there are none."""
    failed = f", waiting for origin {', '.join(sorted(tally.away))}" if tally.away else ""
    failed += f", {tally.failed:,} failed" if tally.failed else ""
    return f"{failed}, {tally.retried:,} retried" if tally.retried else failed


def _ascii(value: object) -> str:
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")


def _json(value: object) -> str:
    """Return JSON on one line of ASCII, because a terminal interprets a U+009B in a name."""
    text = msgspec.json.encode(value, enc_hook=plain).decode()
    return text if text.isascii() and "\x7f" not in text else _ascii(json.loads(text))
