r"""Sets up the log: structured lines, as JSON or for a console, without secrets, without strangers' control codes.

Rules:
1. A secret never reaches the stream: neither under a telling name, nor inside a url, a header or a traceback.
2. One line is one line: `\x1b`, CR, LF and their invisible kin are written out, in names and in values.
3. A stream that breaks makes the log silent; it never fails the work.
4. Nothing is configured for the whole process but the standard library's root logger, for what our libraries say.
"""

import logging
import re
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

from syncd.events import (
    DocumentFailed,
    Event,
    LimitChanged,
    Listener,
    PassFinished,
    Planned,
    Published,
    RemovalsParked,
    SurveyStarted,
    TransferFailed,
    TransferFinished,
    TransferRestarted,
    TransferRetried,
)
from syncd.printable import printable

HIDDEN = "***"

_SECRET_NAME = re.compile(r"(?i)authoriz|cookie|passw|secret|token|signature|credential|api[-_]?key|access[-_]?key")
_SECRET_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    # user and password in a url
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{HIDDEN}@"),
    # signed urls, and keys given as parameters
    (
        re.compile(
            r"(?i)([?&;](?:x-amz-(?:signature|credential|security-token)|signature|sig|[a-z_-]*token|[a-z_-]*key|"
            r"awsaccesskeyid|password|secret)=)[^&;\s\"']+"
        ),
        rf"\1{HIDDEN}",
    ),
    # headers
    (re.compile(r"(?i)\b(basic|bearer|negotiate|digest)\s+[a-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)\b(['\"]?\s*[:=]\s*['\"]?)[^'\"\s][^'\"\n]*"),
        rf"\1\2{HIDDEN}",
    ),
)
_LINES = frozenset({"exception", "stack"})  # several lines by their nature

Level = Literal["debug", "info", "warning", "error"]


class Outlet:
    """A stream that may break without anybody noticing."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class Secrets:
    """The secrets that this process has read, so that the log can leave them out; it never shows them itself."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Start with those `known` already."""
        self._known: set[str] = set()
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Leave `secret` out from now on; one of fewer than four characters would blacken ordinary words."""
        if len(secret) >= 4:
            self._known.add(secret)

    def redact(self, text: str) -> str:
        """Return `text` without any secret, known or recognised by where it stands."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _SECRET_TEXT:
            text = pattern.sub(instead, text)
        return text


def open_log(
    stream: TextIO, *, json: bool, level: Level = "info", secrets: Secrets | None = None
) -> FilteringBoundLogger:
    """Return a log that writes to `stream`; what libraries say to the root logger goes there too, from warning on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        cleaned(secrets or Secrets()),
    ]
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    outlet = cast("TextIO", Outlet(stream))
    _route_libraries(outlet, before, last, max(threshold, logging.WARNING))
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(outlet),
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
    )
    return log


def _route_libraries(outlet: TextIO, before: list[Processor], last: Processor, threshold: int) -> None:
    """Let the standard library's root logger write as we do, instead of as it did."""
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


def cleaned(secrets: Secrets) -> Processor:
    """Return the step that every line goes through: secrets out, control characters written out, in all depths."""

    def clean(_log: WrappedLogger, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {
            printable(name): _lines(value, secrets) if name in _LINES else _cleaned(name, value, secrets)
            for name, value in line.items()
        }

    return clean


def _cleaned(name: str, value: Any, secrets: Secrets) -> Any:
    if _SECRET_NAME.search(name) is not None and value not in (None, "", False, True):
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


def logged(log: FilteringBoundLogger) -> Listener:
    """Return a listener that writes what happens to a mirror; single files that went well are for `debug`."""
    levels: dict[type[Event], Callable[..., Any]] = {
        SurveyStarted: log.info,
        DocumentFailed: log.warning,
        Planned: log.info,
        TransferFinished: log.debug,
        TransferRetried: log.info,
        TransferRestarted: log.info,
        TransferFailed: log.warning,
        RemovalsParked: log.warning,
        Published: log.info,
        PassFinished: log.info,
        LimitChanged: log.debug,
    }

    def listen(event: Event) -> None:
        write = levels.get(type(event))
        if write is not None:
            write(_words(type(event).__name__), **{name: getattr(event, name) for name in type(event).__match_args__})

    return listen


def _words(name: str) -> str:
    """Return `TransferFailed` as `transfer failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
