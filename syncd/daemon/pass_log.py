"""Records the events of one pass as log lines for people: a bounded number of failures and retries, no byte counts."""

from collections.abc import Callable
from typing import Any

from manifests.messages import chained, count, message, template
from manifests.model import format_size
from syncd.core import (
    DocumentFailed,
    Event,
    FilesWaiting,
    Level,
    OriginAway,
    OriginBack,
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
            self._append(
                "info",
                "left_out",
                "",
                count(left_out, "{n} more event was not recorded", "{n:,} more events were not recorded"),
            )

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
    counts = [message(text, n=getattr(event, name)) for name, text in _COUNTS if getattr(event, name)]
    steps = counts or message("nothing to do")
    said = [message("{steps}; {size} to transfer", steps=steps, size=format_size(event.bytes))]
    if not event.complete:
        said.append(message("only a part of upstream's listing could be read, so nothing is deleted"))
    return "info", chained(said)


def _finished(event: PassFinished) -> tuple[Level, str]:
    counts = [message(text, n=getattr(event, name)) for name, text in _RESULTS if getattr(event, name)]
    text = message(
        "{counts}; {size} in {seconds:.0f} s",
        counts=counts or message("nothing changed"),
        size=format_size(event.bytes),
        seconds=event.seconds,
    )
    return ("info" if event.complete else "warning"), text


_COUNTS = (
    ("fetch", template("{n:,} to fetch")), ("replace", template("{n:,} to replace")), ("keep", template("{n:,} kept")),
    ("remove", template("{n:,} to delete")), ("refused", template("{n:,} rejected")),
)  # fmt: skip
_RESULTS = (
    ("fetched", template("{n:,} fetched")), ("replaced", template("{n:,} replaced")),
    ("copied", template("{n:,} of them copied inside the store")), ("kept", template("{n:,} kept")),
    ("removed", template("{n:,} deleted")), ("parked", template("{n:,} held for approval")),
    ("failed", template("{n:,} failed")), ("waiting", template("{n:,} waiting")),
)  # fmt: skip
_ALWAYS = frozenset({"removals_parked", "files_waiting", "origin_away", "origin_back", "published", "pass_finished"})
_WORDS: dict[type[Event], Callable[[Any], tuple[Level, str]]] = {
    SurveyStarted: lambda _: ("info", message("surveys upstream")),
    DocumentFailed: lambda e: ("warning", message("{url}: {reason}", url=e.url, reason=e.reason)),
    Planned: _planned,
    TransferRetried: lambda e: (
        "info",
        message("{reason}; try {attempt} follows in {wait:.1f} s", reason=e.reason, attempt=e.attempt + 1, wait=e.wait),
    ),
    TransferFailed: lambda e: ("warning", e.reason),
    FilesWaiting: lambda e: (
        "info",
        message(
            "{files} until upstream has written them; {path}: {reason}",
            files=count(e.files, "{n} file waits", "{n:,} files wait"),
            path=e.path,
            reason=e.reason,
        ),
    ),
    OriginAway: lambda e: (
        "warning",
        message(
            "waiting for origin {origin}, at most {minutes:.0f} min: {reason}",
            origin=e.origin,
            minutes=e.most / 60,
            reason=e.reason,
        ),
    ),
    OriginBack: lambda e: (
        ("info", message("origin {origin} answers again after {seconds:.0f} s", origin=e.origin, seconds=e.seconds))
        if e.answers
        else (
            "warning",
            message(
                "origin {origin} has not answered for {minutes:.0f} min; its files fail",
                origin=e.origin,
                minutes=e.seconds / 60,
            ),
        )
    ),
    RemovalsParked: lambda e: (
        "warning",
        message(
            "{losses} of {size} held for approval: {reason}",
            losses=count(e.files, "{n} loss", "{n:,} losses")
            if e.replaced
            else count(e.files, "{n} deletion", "{n:,} deletions"),
            size=format_size(e.bytes),
            reason=e.reason,
        ),
    ),
    Published: lambda e: (
        "info",
        message("snapshot {snapshot}" if e.changed else "snapshot {snapshot}, as before", snapshot=e.snapshot[:16]),
    ),
    PassFinished: _finished,
    PassFailed: lambda e: ("error", e.reason),
}
