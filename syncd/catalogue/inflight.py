"""The record of a staging, apart from the database: workers have none."""

import msgspec


class Inflight(msgspec.Struct, frozen=True):
    """A large file that is partly staged: the store's token, and the version upstream that the part belongs to."""

    path: str
    token: str
    version: str
    size: int
