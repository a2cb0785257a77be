"""Hands events to whoever listens from outside: each has a bounded queue, and nobody who is slow is waited for."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from syncd.core import Event, EventsLost, TransferAdvanced

QUEUE = 1000  # events that wait for one subscriber


class Subscription:
    """The events of one subscriber, in order; an EventsLost stands where some are missing."""

    def __init__(self, most: int = QUEUE) -> None:
        """Hold `most` events at a time."""
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
        """Let the iteration end after what waits."""
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
    """A listener that hands on to any number of subscribers, and to other listeners that were there first."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._subscriptions: list[Subscription] = []
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Hand an event on; bytes on their way are left out, there are too many and `progress` shows them."""
        if self._subscriptions and not isinstance(event, TransferAdvanced):
            for subscription in self._subscriptions:
                subscription.put(event)

    @contextmanager
    def subscribed(self, most: int = QUEUE) -> Iterator[Subscription]:
        """Hear every event while the block lasts."""
        subscription = Subscription(most)
        if self._ended:
            subscription.end()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def end(self) -> None:
        """Nothing more will happen."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription.end()
