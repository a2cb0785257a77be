"""Writes unexpected errors and warnings of libraries to stderr, without secrets and without control codes."""

import logging
import sys
import traceback
from functools import partial
from types import TracebackType

from syncd.core import Secrets, printable


def install(secrets: Secrets) -> None:
    """Install the hooks that report unexpected errors and warnings without `secrets`."""
    sys.excepthook = partial(_write_traceback, secrets)
    heard = logging.StreamHandler()
    heard.setFormatter(_RedactingFormatter(secrets))
    logging.getLogger().handlers[:] = [heard]


def _write_traceback(
    secrets: Secrets, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Write a traceback as Python does."""
    text = secrets.redact("".join(traceback.format_exception(kind, error, trace)))
    sys.stderr.write("".join(f"{printable(line)}\n" for line in text.splitlines()))


class _RedactingFormatter(logging.Formatter):
    def __init__(self, secrets: Secrets) -> None:
        super().__init__("syncd: %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Format one warning, without source lines."""
        return "\n".join(printable(line) for line in self._secrets.redact(super().format(record)).splitlines())
