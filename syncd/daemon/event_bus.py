"""Distributes events to subscribers. Slow subscribers lose events; publishers never block."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from syncd.core import Event, EventsLost, TransferAdvanced

QUEUE = 1000  # the queue of one subscriber, in events


class Subscription:
    """The events of one subscriber, in order; an EventsLost replaces lost ones."""

    def __init__(self, most: int = QUEUE) -> None:
        """Queue up to `most` events."""
        self._most = most
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._turn = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """Add one event, or count it as lost."""
        if len(self._waiting) >= self._most:
            self._lost += 1
        else:
            self._report_loss()
            self._waiting.append(event)
        self._turn.set()

    def end(self) -> None:
        """End the iteration after the queued events."""
        self._ended = True
        self._turn.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._report_loss()
            if self._waiting:
                continue
            if self._ended:
                return
            self._turn.clear()
            await self._turn.wait()

    def _report_loss(self) -> None:
        if self._lost:
            self._waiting.append(EventsLost("", self._lost))
            self._lost = 0


class EventBus:
    """A listener that queues each event for every subscriber."""

    def __init__(self) -> None:
        """Create a bus without subscribers."""
        self._subscriptions: list[Subscription] = []
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Queue an event, except TransferAdvanced: those are too many, and ProgressView shows their sum."""
        if self._subscriptions and not isinstance(event, TransferAdvanced):
            for subscription in self._subscriptions:
                subscription.put(event)

    @contextmanager
    def subscribed(self, most: int = QUEUE) -> Iterator[Subscription]:
        """Subscribe to every event until the block ends."""
        subscription = Subscription(most)
        if self._ended:
            subscription.end()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def end(self) -> None:
        """End all subscriptions, and those made later."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription.end()
