"""What operators order for an upstream origin: a pause until a time, and another rate while the daemon runs."""

from datetime import UTC, datetime

from manifests.messages import message
from manifests.model import format_size
from syncd.core import Audited, AuditView
from syncd.daemon.control_base import ControlBase
from syncd.engine import OriginPause, pause_origin, read_origin


class OriginActions(ControlBase):
    """The orders for origins."""

    async def pause_origin(self, origin: str, until: float, who: str) -> AuditView:
        """Send no request to an origin before a time; passes that need it wait."""
        origin, now = read_origin(origin), self._registry.now()
        pause_origin(self._registry.catalogue.settings, origin, OriginPause(until, str(who)), now)
        self._session().governors.pause(origin, self._registry.clock() + max(0.0, until - now))
        self._registry.read_origin_pauses()
        outcome = message(
            "{origin} is paused until {time}",
            origin=origin,
            time=datetime.fromtimestamp(until, UTC).isoformat(timespec="minutes"),
        )
        return self._origin_order(who, "pause origin", outcome)

    async def resume_origin(self, origin: str, who: str) -> AuditView:
        """End the pause of an origin."""
        origin = read_origin(origin)
        was_paused = pause_origin(self._registry.catalogue.settings, origin, None, self._registry.now())
        self._session().governors.pause(origin, 0.0)
        self._registry.read_origin_pauses()
        self._registry.wake.set()
        outcome = (
            message("{origin} is resumed", origin=origin)
            if was_paused
            else message("{origin} was not paused", origin=origin)
        )
        return self._origin_order(who, "resume origin", outcome)

    async def limit_origin(self, origin: str, rate: float | None, who: str) -> AuditView:
        """Limit the rate of an origin until the daemon ends, whatever the manifests say; None: no limit."""
        origin = read_origin(origin)
        self._session().governors.order_rate(origin, rate)
        outcome = (
            message("{origin}: at most {rate}/s until the daemon ends", origin=origin, rate=format_size(int(rate)))
            if rate is not None
            else message("{origin}: no limit of the rate until the daemon ends", origin=origin)
        )
        return self._origin_order(who, "limit origin", outcome)

    def _origin_order(self, who: str, what: str, outcome: str) -> AuditView:
        entry = self._registry.catalogue.pass_history.add_audit(
            at=self._registry.now(), who=str(who), what=what, mirror="", outcome=outcome
        )
        self._registry.on_event(Audited("", str(who), what, outcome))
        return entry
