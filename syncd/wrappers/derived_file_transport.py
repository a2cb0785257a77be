"""Reads the files that a Reader derived from documents, and all others from the source."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from syncd.core import Body, Transport
from syncd.streams import SCHEME, open_derived
from syncd.wrappers.base import TransportWrapper


class DerivedFileTransport(TransportWrapper):
    """A Transport: derived files come from the spool at `path`, all others from `inner`."""

    def __init__(self, inner: Transport, path: Path) -> None:
        super().__init__(inner)
        self._path = path

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from the spool, or from the source."""
        if path.startswith(SCHEME):
            return open_derived(self._path, path, start, stop, version)
        return self.inner.open(path, start=start, stop=stop, version=version)
