"""All metrics of one daemon: a listener, a store's meter, the event loop's lag, and the answer to a scrape.

The registry belongs to this object; nothing is registered for the whole process.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from syncd.control import Control
from syncd.core import Histogram, Listener
from syncd.metrics import families as f
from syncd.metrics.collector import MetricSources, ServedAnswers, SyncdCollector
from syncd.metrics.counting import Counting
from syncd.wrappers import Governors, Meter

LAG_EVERY = 0.5  # seconds between two measurements of the event loop's lag


class Metrics:
    """Belongs to one event loop: events, store operations and scrapes run on its thread."""

    def __init__(self, version: str, *, now: Callable[[], float] = time.time) -> None:
        """`version` is syncd's, `now` the wall clock."""
        self.counting = Counting(now)
        self.listener: Listener = self.counting.listener
        self.meter = Meter()
        self.registry = CollectorRegistry(auto_describe=False)
        self._watched = MetricSources(self.counting, self.meter, Histogram(f.LOOP), version)
        self.registry.register(SyncdCollector(self._watched))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch(
        self,
        control: Control | None = None,
        governors: Governors | None = None,
        credentials: Mapping[str, float] | None = None,
        served: Callable[[], Sequence[ServedAnswers]] | None = None,
    ) -> None:
        """Add sources that every later scrape reads."""
        watched = self._watched
        watched.control = control if control is not None else watched.control
        watched.governors = governors if governors is not None else watched.governors
        watched.read_served = served if served is not None else watched.read_served
        watched.credentials = credentials if credentials is not None else watched.credentials

    async def watch_loop(self, every: float = LAG_EVERY) -> None:
        """Measure the lag of the event loop, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every
            await asyncio.sleep(every)
            self._watched.lag.observe(max(0.0, loop.time() - due))

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the answer of `/metrics` to an `Accept` header: the body, and its content type.

        Values are read at once; formatting them takes longer and runs in a thread.
        """
        encode, content_type = _encoder(accept)
        if self._watched.read_served is not None:
            self._watched.served = await asyncio.to_thread(self._watched.read_served)
        return await asyncio.to_thread(encode, _Gathered(tuple(self.registry.collect()))), content_type


class _Gathered(Collector):
    """Families as they were at one moment."""

    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is not a number
        return choose_encoder("")
