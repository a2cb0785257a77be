r"""Sets up the log: structured lines, as JSON or for a console, without secrets and control codes.

Rules:
1. A secret never reaches the stream: neither under the name of a secret, nor in a url, a header or a traceback.
2. One line is one line: `\x1b`, CR, LF and other invisible characters are escaped, in names and in values.
3. If the stream breaks, the log becomes silent; the work continues.
4. The only global configuration is that of the standard library's root logger, for the messages of libraries.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

from syncd.core import (
    HIDDEN,
    KINDS,
    BackupFailed,
    CatalogueOutdated,
    ClockStepped,
    DamageFound,
    DamageStays,
    DocumentFailed,
    Event,
    EventsLost,
    HeadUnsigned,
    JobAdvanced,
    LimitChanged,
    Listener,
    ManifestRejected,
    ManifestWithdrawn,
    OriginAway,
    PassFailed,
    PublishResumed,
    PublishStuck,
    ReloadFailed,
    RemovalsParked,
    ScrubAdvanced,
    Secrets,
    StateChanged,
    StoreChanged,
    SurveyAdvanced,
    SurveyNoted,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferStarted,
    is_secret_name,
    printable,
)

_LINES = frozenset({"exception", "stack"})  # have several lines

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["console", "json", "journal"]
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # of syslog


class LogStream:
    """A stream whose errors are ignored."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, ignoring errors."""
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush, ignoring errors."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def style_of(stream: TextIO, environ: Mapping[str, str]) -> Style:
    """Return the format for a stream: text for a terminal, JSON elsewhere, with priorities for the journal."""
    if stream.isatty():
        return "console"
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file behind it
        return "json"
    return "journal" if environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}" else "json"


def open_log(
    stream: TextIO,
    *,
    json: bool,
    level: Level = "info",
    secrets: Secrets | None = None,
    journal: bool = False,
) -> FilteringBoundLogger:
    """Return a log that writes to `stream`; warnings and errors of libraries go there too.

    With `journal` each line of JSON begins with a priority, which journald removes.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        redacting_step(secrets or Secrets()),
    ]
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    if journal:
        last = _with_priority(structlog.processors.JSONRenderer(ensure_ascii=True))
    outlet = cast("TextIO", LogStream(stream))
    _route_libraries(outlet, before, last, max(threshold, logging.WARNING))
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(outlet),
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
    )
    return log


def _route_libraries(outlet: TextIO, before: list[Processor], last: Processor, threshold: int) -> None:
    """Make the standard library's root logger write in the same format."""
    libraries = logging.StreamHandler(outlet)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [libraries]
    root.setLevel(threshold)


def _with_priority(render: Callable[..., Any]) -> Processor:
    def rendered(log: WrappedLogger, method: str, line: MutableMapping[str, Any]) -> str:
        return f"<{_PRIORITIES.get(line.get('level', ''), 6)}>{render(log, method, line)}"

    return rendered


def redacting_step(secrets: Secrets) -> Processor:
    """Return the processor of every line: removes secrets and escapes control characters, at every depth."""

    def clean(_log: WrappedLogger, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {
            printable(name): _lines(value, secrets) if name in _LINES else _cleaned(name, value, secrets)
            for name, value in line.items()
        }

    return clean


def _cleaned(name: str, value: Any, secrets: Secrets) -> Any:
    if is_secret_name(name) and value not in (None, "", False, True):
        return HIDDEN
    if isinstance(value, str):
        return printable(secrets.redact(value))
    if isinstance(value, dict):
        return {printable(str(key)): _cleaned(str(key), inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(name, inner, secrets) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(secrets.redact(str(value)))


def _lines(value: Any, secrets: Secrets) -> str:
    return "\n".join(printable(line) for line in secrets.redact(str(value)).splitlines())


LEVELS: dict[type[Event], Level | None] = {
    SurveyAdvanced: None,
    TransferStarted: None,
    TransferAdvanced: None,
    ScrubAdvanced: None,
    JobAdvanced: None,
    TransferFinished: "debug",
    LimitChanged: "debug",
    StateChanged: "debug",
    EventsLost: "debug",
    DocumentFailed: "warning",
    SurveyNoted: "warning",
    OriginAway: "warning",
    TransferFailed: "warning",
    RemovalsParked: "warning",
    PassFailed: "warning",
    ManifestWithdrawn: "warning",
    StoreChanged: "warning",
    PublishResumed: "warning",
    CatalogueOutdated: "warning",
    ClockStepped: "warning",
    ManifestRejected: "error",
    ReloadFailed: "error",
    BackupFailed: "error",
    HeadUnsigned: "error",
    DamageFound: "error",
    DamageStays: "error",
    PublishStuck: "error",
}
"""The level of an event, if it is not "info"; None: too frequent, only displays and metrics count them."""


def event_name(kind: type[Event]) -> str:
    """Return the name of an event in logs, pass logs and the event stream: `transfer_failed` of TransferFailed."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def event_logger(log: FilteringBoundLogger) -> Listener:
    """Return a listener that logs the events of a mirror; the success of single files has the level `debug`."""
    writers = {
        kind: (getattr(log, level), event_name(kind))
        for kind in KINDS
        if (level := LEVELS.get(kind, "info")) is not None
    }

    def listen(event: Event) -> None:
        found = writers.get(type(event))
        if found is not None:
            write, name = found
            if isinstance(event, StoreChanged) and event.state == "online":
                write = log.info
            write(name, **msgspec.structs.asdict(event))

    return listen
