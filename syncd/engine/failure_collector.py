"""Collects failures of single files, so that one of them does not keep the others from being dealt with."""

from collections.abc import Iterator
from contextlib import contextmanager

from syncd.core import Busy, NoSpace, PermanentError


class FailureCollector:
    """Failures of single files, which keep no other from being dealt with."""

    def __init__(self) -> None:
        """Nothing failed yet."""
        self.first: PermanentError | None = None

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Take note of a failure; without a store, or room in it, nothing else can be done either: that is raised."""
        try:
            yield
        except (NoSpace, Busy):
            raise
        except PermanentError as error:
            self.first = self.first or error
