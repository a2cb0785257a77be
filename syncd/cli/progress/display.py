"""Chooses the progress display for a stream."""

from collections.abc import Mapping
from typing import TextIO

from syncd.cli.progress.plain import JsonProgress, PlainProgress, Progress

CLAIMS = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})  # variables that declare any stream a terminal, or not one


def for_terminal(stream: TextIO, environ: Mapping[str, str], *, json: bool) -> Progress:
    """Return the display for `stream`."""
    if json:
        return JsonProgress(stream)
    if not stream.isatty() and CLAIMS.isdisjoint(environ):
        return PlainProgress(stream)
    from syncd.cli.progress.bars import RichProgress, is_drawable  # noqa: PLC0415  slow to import, and not needed for a log

    return RichProgress(stream) if is_drawable(stream) else PlainProgress(stream)
