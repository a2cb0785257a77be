"""Records the events of one pass as log lines for people: a bounded number of failures and retries, no byte counts."""

from collections.abc import Callable
from typing import Any

from manifests.model import format_size
from syncd.core import (
    DocumentFailed,
    Event,
    Level,
    PassEvent,
    PassFailed,
    PassFinished,
    Planned,
    Published,
    RemovalsParked,
    SurveyStarted,
    TransferFailed,
    TransferRetried,
    printable,
)
from syncd.process import event_name

MOST = 2_000  # lines of one pass
MOST_RETRIES = 200


class PassLog:
    """The lines of one pass that are not in the Catalogue yet."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is the wall clock."""
        self._now = now
        self._count = self._retries = self._left_out = 0
        self.waiting: list[PassEvent] = []

    def on_event(self, event: Event) -> None:
        """Add the line of an event, if events of its class have one."""
        words = _WORDS.get(type(event))
        if words is None:
            return
        if isinstance(event, TransferRetried):
            self._retries += 1
            if self._retries > MOST_RETRIES:
                return
        level, text = words(event)
        self._add_line(level, event_name(type(event)), getattr(event, "path", ""), text)

    def end(self) -> None:
        """End the log: add the number of omitted events."""
        left_out = self._left_out + max(0, self._retries - MOST_RETRIES)
        if left_out:
            self._left_out = 0
            self._append("info", "left_out", "", f"{left_out:,} more events were not recorded")

    def _add_line(self, level: Level, event: str, path: str, text: str) -> None:
        if self._count >= MOST and level != "error" and event not in _ALWAYS:
            self._left_out += 1
        else:
            self._append(level, event, path, text)

    def _append(self, level: Level, event: str, path: str, text: str) -> None:
        self._count += 1
        self.waiting.append(
            PassEvent(id=self._count, at=self._now(), level=level, event=event, path=path, text=printable(text))
        )


def _planned(event: Planned) -> tuple[Level, str]:
    counts = [f"{getattr(event, name):,} {word}" for name, word in _COUNTS if getattr(event, name)]
    more = "" if event.complete else "; the inventory is incomplete, so nothing is deleted"
    return "info", f"{', '.join(counts) or 'nothing to do'}; {format_size(event.bytes)} to transfer{more}"


def _finished(event: PassFinished) -> tuple[Level, str]:
    counts = [f"{getattr(event, name):,} {name}" for name in _RESULTS if getattr(event, name)]
    text = f"{', '.join(counts) or 'nothing changed'}; {format_size(event.bytes)} in {event.seconds:.0f} s"
    return ("info" if event.complete else "warning"), text


_COUNTS = (
    ("fetch", "to fetch"), ("replace", "to replace"), ("keep", "kept"), ("remove", "to remove"), ("refused", "refused")
)  # fmt: skip
_RESULTS = ("fetched", "replaced", "kept", "removed", "parked", "failed")
_ALWAYS = frozenset({"removals_parked", "published", "pass_finished"})
_WORDS: dict[type[Event], Callable[[Any], tuple[Level, str]]] = {
    SurveyStarted: lambda _: ("info", "surveys upstream"),
    DocumentFailed: lambda e: ("warning", f"{e.url}: {e.reason}"),
    Planned: _planned,
    TransferRetried: lambda e: ("info", f"{e.reason}; try {e.attempt + 1} follows in {e.wait:.1f} s"),
    TransferFailed: lambda e: ("warning", e.reason),
    RemovalsParked: lambda e: (
        "warning",
        f"{e.files:,} deletions of {format_size(e.bytes)} are held for approval: {e.reason}",
    ),
    Published: lambda e: ("info", f"snapshot {e.snapshot[:16]}{'' if e.changed else ', as before'}"),
    PassFinished: _finished,
    PassFailed: lambda e: ("error", e.reason),
}
