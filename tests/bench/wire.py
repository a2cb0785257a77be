"""One way of a link: bytes wait for their turn, fly for one delay, and land.

A lane (one way of one connection) is admitted at its own pace, and then in turn at the pace of the whole wire. What
flies of one lane is at most its rate times a round trip, what waits is at most AHEAD bytes: a slow reader is felt.
"""

import asyncio
import math
import socket
import struct
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

QUANTUM = 1 << 15  # bytes admitted in one turn: fair enough, and few enough turns
AHEAD = 1 << 18  # bytes read before the wire has a place for them
SLACK = 0.008  # seconds of pace that one who was idle finds saved
CATCH_UP = 0.1  # seconds of pace that a late timer may make good to one who was not
GRAIN = 0.0005  # timers tick in milliseconds: half a tick early is on time
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link is like: seconds for a round trip, bytes a second for one connection and for all, connections."""

    rtt: float = 0.2
    rate: float = 4e6
    total: float = 100e6
    cap: int = 64


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong downstream, counted in bytes delivered, on every `every`-th connection."""

    reset_after: int | None = None
    corrupt_at: int | None = None
    black_hole_after: int | None = None
    every: int = 1


@dataclass(slots=True)
class Counters:
    """What the link has seen; `refused` are the connections over the cap, `broken` those reset by a fault."""

    accepted: int = 0
    refused: int = 0
    broken: int = 0
    open: int = 0
    peak: int = 0
    up: int = 0
    down: int = 0


class Lane:
    """One way of one connection: bytes waiting for a turn, bytes flying, and where they land."""

    __slots__ = (
        "black_hole", "corrupt", "dead", "delivered", "ended", "flying", "free_at", "paused",
        "queued", "reset", "sink", "source", "stalled", "waiting", "waiting_bytes", "wire",
    )  # fmt: skip

    def __init__(self, wire: "Wire", source: asyncio.Transport, faults: Faults) -> None:
        self.wire = wire
        self.source = source
        self.sink: asyncio.Transport | None = None
        self.waiting: deque[memoryview] = deque()
        self.waiting_bytes = self.flying = self.delivered = 0
        self.free_at = 0.0
        self.queued = self.stalled = self.paused = self.ended = self.dead = False
        self.reset = faults.reset_after
        self.corrupt = faults.corrupt_at
        self.black_hole = faults.black_hole_after

    def open(self, sink: asyncio.Transport, not_before: float) -> None:
        """Let what waits depart, at `not_before` or later."""
        self.sink = sink
        self.free_at = not_before
        self.wire.enqueue(self)

    def feed(self, chunk: bytes) -> None:
        self.waiting.append(memoryview(chunk))
        self.waiting_bytes += len(chunk)
        if self.waiting_bytes >= AHEAD and not self.paused:
            self.paused = True
            self.source.pause_reading()
        self.wire.enqueue(self)

    def end(self) -> None:
        """Close the other end once all that waits was delivered."""
        self.ended = True
        self.wire.enqueue(self)

    def drop(self) -> None:
        self.dead = True
        self.waiting.clear()
        self.waiting_bytes = 0

    def resume(self) -> None:
        """Go on after the sink took bytes."""
        if self.stalled:
            self.stalled = False
            self.wire.enqueue(self)

    def is_full(self) -> bool:
        return self.sink is not None and self.flying + self.sink.get_write_buffer_size() >= self.wire.window

    def take(self, limit: int) -> memoryview:
        chunk = self.waiting.popleft()
        if len(chunk) > limit:
            self.waiting.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self.waiting_bytes -= len(chunk)
        if self.paused and self.waiting_bytes < AHEAD // 2 and not self.source.is_closing():
            self.paused = False
            self.source.resume_reading()
        self.flying += len(chunk)
        return chunk

    def land(self, chunk: memoryview | None) -> int:
        """Deliver `chunk`, or the end for None; returns the bytes that went on."""
        if self.dead or self.sink is None or self.sink.is_closing():
            return 0
        if chunk is None:
            self.sink.write_eof()
            return 0
        self.flying -= len(chunk)
        chunk = self._spoil(chunk)
        self.delivered += len(chunk)
        if chunk:
            self.sink.write(chunk)
        if self.reset is not None and self.delivered >= self.reset:
            self.wire.breaks(self)
        if self.stalled:
            self.stalled = False
            self.wire.queue(self)
        return len(chunk)

    def _spoil(self, chunk: memoryview) -> memoryview:
        if self.corrupt is not None and self.delivered <= self.corrupt < self.delivered + len(chunk):
            spoilt = bytearray(chunk)
            spoilt[self.corrupt - self.delivered] ^= 0xFF
            chunk = memoryview(bytes(spoilt))
        for limit in (self.reset, self.black_hole):
            if limit is not None:
                chunk = chunk[: max(0, limit - self.delivered)]
        return chunk


class Wire:
    """One way of the link, shared by all its lanes in turns of a QUANTUM."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shape: Shape, counters: Counters) -> None:
        self.loop = loop
        self.delay = shape.rtt / 2
        self.rate = shape.rate
        self.total = shape.total
        self.counters = counters
        free = math.isinf(min(shape.rate, shape.total))
        self.quantum = AHEAD if free else QUANTUM
        narrowest = min(shape.rate, shape.total)
        self.window = 1 << 23 if free else max(4 * QUANTUM, int(narrowest * shape.rtt))
        self.bytes = 0
        self._ready: deque[Lane] = deque()
        self._pacing: list[tuple[float, int, Lane]] = []
        self._flying: deque[tuple[float, Lane, memoryview | None]] = deque()
        self._free_at = 0.0
        self._order = 0
        self._timer: asyncio.Handle | None = None
        self._wakes_at = math.inf

    def enqueue(self, lane: Lane) -> None:
        """Give `lane` its place in the queue, and let what may move do so."""
        if self.queue(lane):
            self._advance()

    def queue(self, lane: Lane) -> bool:
        """Give `lane` its place in the queue, if it has something to send and may."""
        if lane.queued or lane.stalled or lane.dead or lane.sink is None or not (lane.waiting or lane.ended):
            return False
        lane.queued = True
        lane.free_at = max(lane.free_at, self.loop.time() - SLACK)
        self._place(lane)
        return True

    def breaks(self, lane: Lane) -> None:
        """Reset `lane`'s sink once what was written to it has left."""
        lane.drop()
        self.counters.broken += 1
        if lane.sink is not None:
            self.loop.call_later(0.005, reset, lane.sink)

    def _place(self, lane: Lane) -> None:
        self._order += 1
        heappush(self._pacing, (lane.free_at, self._order, lane))

    def _advance(self) -> None:
        now = self.loop.time()
        flying, pacing, ready = self._flying, self._pacing, self._ready
        while True:
            if not ready:
                self._free_at = max(self._free_at, now - SLACK)
            while pacing and pacing[0][0] <= now + GRAIN:
                ready.append(heappop(pacing)[2])
            while ready and self._free_at <= now + GRAIN:
                self._admit(ready.popleft(), now)
            if not flying or flying[0][0] > now + GRAIN:
                break
            while flying and flying[0][0] <= now + GRAIN:
                _, lane, chunk = flying.popleft()
                self.bytes += lane.land(chunk)
        self._sleep()

    def _admit(self, lane: Lane, now: float) -> None:
        lane.queued = False
        if lane.dead:
            return
        if not lane.waiting:
            if lane.ended:
                self._flying.append((now + self.delay, lane, None))
                lane.ended = False
            return
        if lane.is_full():
            lane.stalled = True
            return
        chunk = lane.take(self.quantum)
        self._free_at = max(self._free_at, now - CATCH_UP) + len(chunk) / self.total
        lane.free_at = max(lane.free_at, now - CATCH_UP) + len(chunk) / self.rate
        self._flying.append((now + self.delay, lane, chunk))
        if lane.waiting or lane.ended:
            lane.queued = True
            self._place(lane)

    def _sleep(self) -> None:
        times = []
        if self._flying:
            times.append(self._flying[0][0])
        if self._ready:
            times.append(self._free_at)
        elif self._pacing:
            times.append(max(self._pacing[0][0], self._free_at))
        if not times:
            return
        when = min(times)
        if self._timer is not None:
            if self._wakes_at <= when:
                return
            self._timer.cancel()
        self._wakes_at = when
        self._timer = self.loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._advance()


def reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN."""
    plug = transport.get_extra_info("socket")
    if plug is not None and not transport.is_closing():
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
