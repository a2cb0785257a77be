"""Which paths of the store belong to a mirror, and are closed to other users if it is restricted."""

KEPT = ("mirrors", "heads", "snapshots", "shards", "versions", "staged", "removed", "quarantine", "reports", "journal")


def narrow_prefixes(name: str, prefix: str) -> tuple[str, ...]:
    """Return what belongs to a mirror in the store, as beginnings of paths."""
    return (
        prefix,
        *(f".syncd/{folder}/{name}/" for folder in KEPT if folder != "mirrors"),
        f".syncd/mirrors/{name}.json",
    )
