"""Writes on stderr what nobody expected, bugs and warnings of libraries, without secrets and without control codes."""

import logging
import sys
import traceback
from functools import partial
from types import TracebackType

from syncd.core import Secrets, printable


def install(secrets: Secrets) -> None:
    """From now on say what ends this process, and what libraries warn of, without `secrets`."""
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
        """Return one warning, on lines that nobody else has written."""
        return "\n".join(printable(line) for line in self._secrets.redact(super().format(record)).splitlines())
