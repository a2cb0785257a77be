"""The governor of an origin: limits concurrent requests and the rate, and pauses requests when upstream asks for it.

Rules:
1. All mirrors that read from an origin share its Governor; a sleeping retry holds no slot (`Retrying(Governed(...))`).
2. The limit is measured, not configured. It doubles while goodput grows (each response adds a slot), then holds, probes
   a little more from time to time, and after a refusal (429, 503, a reset) stays below the refused level.
3. An origin that answers no request is waited for (`absence`).
4. Upstream's requests override measurements: Retry-After closes the origin for all mirrors until then.

Goodput is counted in units of work, one for each response and one for each 64 KiB, so that the same rule suits many
small files and few large ones.
"""

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from syncd.core import LimitChanged, Listener, ignore_event
from syncd.wrappers.absence import Absence
from syncd.wrappers.halting import pause
from syncd.wrappers.origin_count import FIRST_BYTE, Count

START = 16  # slots at first: as many as two or three browsers open
CEILING = 64  # slots at most, unless the manifest sets fewer
OURS = 8  # one of this many slots is never lent
WINDOW = 0.2  # seconds: the shortest window over which goodput is measured
GROWS = 1.05  # goodput must grow by this factor for more slots to be worth having
PATIENCE = 3  # windows without growth that end the doubling: bytes arrive later than new slots
PROBE_EVERY = 12  # windows between two probes of a little more, or a little less
REMEMBER = 60.0  # seconds for which a refused level is not tried again
urgent: ContextVar[bool] = ContextVar("urgent", default=False)
"""True for a request that many waiting ones depend on: it gets the next free slot."""
NAP = 5.0  # seconds after which a wait for the end of a pause looks whether it was shortened
UNIT = 64 << 10  # bytes that count as much as one response


class Governor:
    """The slots, the rate and the pauses of one origin."""

    def __init__(
        self,
        origin: str,
        *,
        ceiling: int = CEILING,
        rate: float | None = None,
        listener: Listener = ignore_event,
        clock: Callable[[], float] = time.monotonic,
        refused: Callable[[str, float | None], None] | None = None,
    ) -> None:
        """`rate` is in bytes per second; None is no limit. `refused` is called at every refusal."""
        self.origin = origin
        self.ceiling = ceiling
        self.limit = min(START, ceiling)
        self.busy = 0
        self.holders = 0
        """The number of open transports that read from this origin."""
        self.is_stale = False
        """True if its limits may be outdated."""
        self.count = Count()
        self.absence = Absence(origin, clock)
        self._lent = 0
        self._rate = rate
        self._listener = listener
        self._refused = refused
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0  # the later of the next two
        self._upstream_until = 0.0
        self._paused_until = 0.0
        self._has_ordered_rate = False
        self._paid_until = 0.0
        self._doubling = True
        self._refused_at = ceiling + 1
        self._refused_when = float("-inf")
        self._window_began = clock()
        self._work = 0.0
        self._answers = 0
        self._latency = 0.0
        self._full = False
        self._window_limit = self._best_limit = self.limit
        self._steady = 0.0
        self._flat = 0
        self._probed: int | None = None
        self._upward = True
        self._windows = 0

    def enter_now(self) -> bool:
        """Take a slot if there is nothing to wait for, and return True; then the caller must `leave`."""
        return not self.absence.is_away and self._closed_until <= self._clock() and self._take()

    def _take(self) -> bool:
        if self.busy >= self.limit or self._waiting:
            return False
        self.busy += 1
        if self.busy >= self.limit:
            self._full = True
        return True

    async def enter(self) -> None:
        """Wait for a slot; the caller must `leave`."""
        if self.absence.is_away:
            await self.absence.wait()
        is_trying = self.absence.is_away  # it is this request's turn to try: no other does until it has ended
        try:
            is_in = await self._enter(is_trying=is_trying)
        except BaseException:
            if is_trying:
                self.absence.gave_up()
            raise
        if not is_in:
            if is_trying:
                self.absence.gave_up()
            await self.enter()

    async def _enter(self, *, is_trying: bool) -> bool:
        """Take a slot, and return True; False if the origin asked for a pause meanwhile, or went away."""
        while (wait := min(NAP, self._closed_until - self._clock())) > 0:
            self.count.asked_to_wait += wait
            await pause(wait, self.origin)
        if self._take():
            return True
        self._full = True
        turn = asyncio.get_running_loop().create_future()
        if urgent.get():
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        try:
            await turn  # `_wake` has counted this request as busy
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        if self._closed_until > self._clock() or (self.absence.is_away and not is_trying):
            self.leave()
            return False
        return True

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait for a slot."""
        return len(self._waiting)

    @property
    def is_closed(self) -> bool:
        """Return True while upstream, or an operator, has asked for a pause."""
        return self._closed_until > self._clock()

    @property
    def is_used(self) -> bool:
        """Return True if the origin has open transports, requests or lent slots, or is closed."""
        return bool(self.holders or self.busy or self._waiting or self._lent or self.is_closed)

    @property
    def closed_for(self) -> float:
        """Return the remaining seconds of the pause that upstream or an operator asked for, or 0.0."""
        return max(0.0, self._closed_until - self._clock())

    def pause_until(self, at: float) -> None:
        """Send no request before a time of the clock, for an operator; 0.0 ends that."""
        self._paused_until = at
        self._closed_until = max(self._upstream_until, at)

    def order_rate(self, rate: float | None) -> None:
        """Set the rate limit, for an operator; the manifests' limits no longer count. None: no limit."""
        self._rate, self._has_ordered_rate = rate, True

    @property
    def rate(self) -> float | None:
        """Return the rate limit in bytes per second."""
        return self._rate

    @property
    def is_rated(self) -> bool:
        """Return True if there is a rate limit."""
        return self._rate is not None

    @property
    def to_lend(self) -> int:
        """Return the slots that other processes may borrow; none if a manifest sets limits."""
        if self.is_rated or self.ceiling < CEILING or self._paused_until > self._clock():
            return 0
        return max(0, self._growth_limit() - self._lent - max(self.busy, self.ceiling // OURS))

    @contextmanager
    def lent(self, count: int) -> Iterator[None]:
        """Lend `count` slots to other processes until the block ends."""
        before, doubling, refused = self.limit, self._doubling, self._refused_when
        self._lent += count
        self._settle(self.limit, "slots are lent to worker processes")
        try:
            yield
        finally:
            self._lent -= count
            if refused == self._refused_when:
                self._doubling, self._flat = doubling, 0
            else:  # refused meanwhile
                before = min(before, self._refused_at * 3 // 4)
            self._settle(max(self.limit, before), "worker processes returned their slots")

    def tighten(self, ceiling: int | None, rate: float | None) -> None:
        """Apply these limits if they are stricter than the present ones."""
        if ceiling is not None and ceiling < self.ceiling:
            self.ceiling = ceiling
            self._settle(self.limit, "limited by a manifest")
        if rate is not None and not self._has_ordered_rate:
            self._rate = rate if self._rate is None else min(rate, self._rate)

    def leave(self) -> None:
        """Release the slot."""
        self.busy -= 1
        if self._waiting:
            self._wake()

    def answered(self, seconds: float) -> None:
        """Record that upstream began to respond after `seconds`."""
        self.absence.answered()
        self._latency = seconds if self._latency == 0.0 else self._latency + (seconds - self._latency) * 0.1
        self._answers += 1
        self._work += 1
        count = self.count
        count.answered += 1
        count.first_byte[bisect_left(FIRST_BYTE, seconds)] += 1
        count.seconds += seconds
        if self._doubling and self._full and self.limit < self._reach():
            self.limit += 1
            self._wake()
        self._evaluate_window()

    def moved(self, count: int) -> float:
        """Count `count` received bytes; return the seconds that the caller must wait before the next read."""
        self._work += count / UNIT
        self.count.bytes += count
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._paid_until = max(self._paid_until, now - 0.1) + count / self._rate
        owed = max(0.0, self._paid_until - now)
        self.count.held_to_rate += owed
        return owed

    def refused(self, retry_after: float | None = None, *, by_hearsay: bool = False) -> None:
        """Record a refusal of upstream, to this process or (`by_hearsay`) to a worker process."""
        now = self._clock()
        if not by_hearsay:
            self.count.refused += 1
            if self._refused is not None:
                self._refused(self.origin, retry_after)
        if retry_after is not None:
            self._upstream_until = max(self._upstream_until, now + retry_after)
            self._closed_until = max(self._upstream_until, self._paused_until)
        if now - self._refused_when < max(WINDOW, self._latency):
            return  # a burst of refusals counts as one
        lent = self._lent  # lent slots count as busy: upstream refused all processes together
        self._refused_at, self._refused_when = max(2, min(self.limit, self.busy) + lent), now
        self._doubling, self._probed, self._windows = False, None, 0
        self._settle(max(1, self._refused_at * 3 // 4 - lent), "refused")

    def _most(self) -> int:
        """Return the highest limit for this process."""
        return max(1, self.ceiling - self._lent)

    def _growth_limit(self) -> int:
        """Return the level up to which to grow now, lent slots included."""
        if self._clock() - self._refused_when > REMEMBER:
            return self.ceiling
        return min(self.ceiling, self._refused_at - 1)

    def _reach(self) -> int:
        """Return the level up to which to grow now."""
        return max(1, self._growth_limit() - self._lent)

    def _evaluate_window(self) -> None:
        """At the end of a window, compare its goodput with earlier windows, and adjust the limit."""
        now = self._clock()
        spent = now - self._window_began
        if spent < max(WINDOW, self._latency) or self._answers < self._window_limit // 2:
            return
        goodput, full, at = self._work / spent, self._full, self._window_limit
        self._window_began, self._work, self._answers = now, 0.0, 0
        self._full = self.busy >= self.limit
        if full:  # otherwise demand was the limit, not upstream
            if self._doubling:
                self._evaluate_doubling(goodput, at)
            elif self._probed is not None:
                self._evaluate_probe(goodput, at)
            else:
                self._steady += (goodput - self._steady) * 0.3
                self._windows += 1
                if self._windows >= PROBE_EVERY:
                    self._probe()
        self._window_limit = self.limit

    def _evaluate_doubling(self, goodput: float, at: int) -> None:
        if goodput > self._steady * GROWS:
            self._steady, self._best_limit, self._flat = goodput, at, 0
            return
        self._flat += 1
        if self._flat >= PATIENCE:
            self._doubling = False
            self._settle(self._best_limit, "goodput no longer grows")

    def _evaluate_probe(self, goodput: float, at: int) -> None:
        before, self._probed = self._probed, None
        assert before is not None
        worth_more = at > before and goodput > self._steady * GROWS
        enough_less = at < before and goodput > self._steady / GROWS
        if worth_more or enough_less:
            self._steady = goodput
            self._windows = PROBE_EVERY - 2 if worth_more else 0  # more helped, so more may help again
            self._upward = worth_more
        else:
            self._settle(before, "the probe did not raise goodput")

    def _probe(self) -> None:
        """Probe a little more, and the next time a little less."""
        step = max(1, self.limit // 4)
        upward, self._upward, self._windows = self._upward, not self._upward, 0
        wanted = min(self._reach(), self.limit + step) if upward else max(min(START, self.limit), self.limit - step)
        if wanted != self.limit:
            self._probed = self.limit
            self._settle(wanted, "probing")

    def _settle(self, limit: int, reason: str) -> None:
        limit = min(limit, self._most())
        if limit != self.limit:
            self.limit = limit
            self._listener(LimitChanged("", self.origin, limit, reason))
            self._wake()

    def _wake(self) -> None:
        """Give free slots to the requests that have waited longest."""
        while self.busy < self.limit and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self.busy += 1
                turn.set_result(None)
