"""Plug-ins that are registered as entry points: the packages of this installation are searched once, for all groups.

A search opens a file of every package. A package that is installed while a program runs is found by the next one.
"""

from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any


def load_entry_point(group: str) -> EntryPoints:
    """Return the entry points of a group."""
    found: EntryPoints = _all().select(group=group)
    return found


@cache
def _all() -> Any:  # Python 3.11 has a type of its own for it; `select` is what all have
    return entry_points()
