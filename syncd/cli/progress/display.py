"""Chooses how a pass is shown at work: what fits where a stream goes."""

from collections.abc import Mapping
from typing import TextIO

from syncd.cli.progress.plain import JsonProgress, PlainProgress, Progress

CLAIMS = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})  # variables that say of any stream that it is a terminal, or none


def for_terminal(stream: TextIO, environ: Mapping[str, str], *, json: bool) -> Progress:
    """Return the display that fits `stream`."""
    if json:
        return JsonProgress(stream)
    if not stream.isatty() and CLAIMS.isdisjoint(environ):
        return PlainProgress(stream)
    from syncd.cli.progress.bars import RichProgress, is_drawable  # noqa: PLC0415  slow to import, and a log needs none of it

    return RichProgress(stream) if is_drawable(stream) else PlainProgress(stream)
