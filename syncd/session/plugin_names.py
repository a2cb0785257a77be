"""The names of the installed plug-ins, without importing one of them."""

from functools import cache

from manifests.entry_points import load_entry_point


@cache
def names(group: str) -> tuple[str, ...]:
    """Return the names in a group: url schemes of TRANSPORTS, names of READERS."""
    return tuple(sorted(point.name for point in load_entry_point(group)))
