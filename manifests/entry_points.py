"""What is plugged in by entry points: the packages of this installation are looked through once, for all groups.

A look opens a file of every package. What is installed while a program runs, the next program finds.
"""

from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any


def load_entry_point(group: str) -> EntryPoints:
    """Return what is plugged in under the name of a group."""
    found: EntryPoints = _all().select(group=group)
    return found


@cache
def _all() -> Any:  # Python 3.11 has a type of its own for it; `select` is what all have
    return entry_points()
