"""Runs long queries of the Catalogue in a thread, over a connection of its own, without delaying passes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from syncd.catalogue import Catalogue

T = TypeVar("T")


class BackgroundReader:
    """A second, read-only connection to the Catalogue; runs one query at a time."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the state folder."""
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._catalogue: Catalogue | None = None

    async def run(self, question: Callable[[Catalogue], T]) -> T:
        """Return what `question` returns; it must not keep the Catalogue it gets."""

        def answer() -> T:
            if self._catalogue is None:
                self._catalogue = Catalogue(self._folder, read_only=True)
            return question(self._catalogue)

        return await asyncio.get_running_loop().run_in_executor(self._thread, answer)

    def close(self) -> None:
        """Wait for the query under way, and close."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None
