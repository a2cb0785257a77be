"""The governors of all origins, and the certificates that these presented."""

import time
from collections.abc import Callable, Iterator, Mapping

from syncd.core import Listener, ignore_event
from syncd.wrappers.governor import CEILING, Governor
from syncd.wrappers.side_governor import SideGovernor

KNOWN = 1000  # unused origins that are remembered, with their certificates


class Governors:
    """The governors of all origins, created on demand."""

    def __init__(
        self,
        *,
        listener: Listener = ignore_event,
        clock: Callable[[], float] = time.monotonic,
        refused: Callable[[str, float | None], None] | None = None,
    ) -> None:
        """All governors share `listener`, `clock` and `refused`, which is called at every refusal."""
        self._listener = listener
        self._clock = clock
        self._refused = refused
        self._by_origin: dict[str, Governor] = {}
        self._sides: dict[str, SideGovernor] = {}
        self._certificates: dict[str, float] = {}
        self._paused: dict[str, float] = {}
        self._rates: dict[str, float | None] = {}
        self._shown: list[Mapping[str, float]] = []

    def of(self, origin: str, *, connections: int | None = None, rate: float | None = None) -> Governor:
        """Return the governor of `origin`; the strictest limits of all mirrors apply."""
        governor = self._by_origin.get(origin)
        if governor is None or (governor.is_stale and not governor.is_used):
            if len(self._by_origin) >= KNOWN:  # catalogues may name very many origins
                self._by_origin = {name: one for name, one in self._by_origin.items() if one.is_used}
            governor = Governor(
                origin,
                ceiling=connections or CEILING,
                rate=rate,
                listener=self._listener,
                clock=self._clock,
                refused=self._refused,
            )
            self._by_origin[origin] = governor
            if origin in self._paused:
                governor.pause_until(self._paused[origin])
            if origin in self._rates:
                governor.order_rate(self._rates[origin])
        else:
            governor.tighten(connections, rate)
        return governor

    def side(self, origin: str) -> Governor:
        """Return the governor of the one slot for requests to `origin` that other requests may wait for.

        It is not counted among the slots of `of`, which those that wait may hold, but keeps to the same pauses.
        """
        main = self.of(origin)
        side = self._sides.get(origin)
        if side is None or side.main is not main:
            self._sides = {name: one for name, one in self._sides.items() if one.is_used}
            side = self._sides[origin] = SideGovernor(main, clock=self._clock)
        return side

    def pause(self, origin: str, until: float) -> None:
        """Send no request to `origin` before a time of the clock; 0.0 ends that."""
        self._paused[origin] = until
        if (governor := self._by_origin.get(origin)) is not None:
            governor.pause_until(until)

    def order_rate(self, origin: str, rate: float | None) -> None:
        """Limit the rate of `origin` whatever the manifests say, until this process ends; None: no limit."""
        self._rates[origin] = rate
        if (governor := self._by_origin.get(origin)) is not None:
            governor.order_rate(rate)

    def watch(self, certificates: Mapping[str, float]) -> None:
        """Watch the certificates of an open transport: a live mapping of origins to expiries."""
        self._shown.append(certificates)

    def unwatch(self, certificates: Mapping[str, float]) -> None:
        """Keep the last values of a closed transport."""
        self._shown = [one for one in self._shown if one is not certificates]
        self._certificates.update(certificates)

    def certificates(self) -> dict[str, float]:
        """Return the expiry of each contacted origin's certificate."""
        for certificates in self._shown:
            self._certificates.update(certificates)
        while len(self._certificates) > KNOWN:
            del self._certificates[next(iter(self._certificates))]
        return dict(self._certificates)

    def forget(self, origin: str) -> None:
        """Let the next mirror set the limits of `origin` again, once no transport reads from it."""
        governor = self._by_origin.get(origin)
        if governor is not None:
            governor.is_stale = True

    def __iter__(self) -> Iterator[Governor]:
        """Yield all governors."""
        return iter(tuple(self._by_origin.values()))
