"""The page of all mirrors."""

import math
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from syncd.api import ApiContext, Call
from syncd.control import MirrorView
from syncd.web.rendering import banners, site_of
from syncd.web.view_models import Spark, age_of, badges, spark

SPARK_LASTS = 60.0  # seconds
NEEDY = frozenset({"failing", "nothing_found", "offline", "rejected"})  # states that want a person


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One mirror of the fleet as its line shows it."""

    mirror: Any
    badges: Any
    age: Any
    spark: Any


async def fleet(context: ApiContext, call: Call) -> web.Response:
    """Show all mirrors."""
    control, now = context.control, context.clock()
    mirrors = control.mirrors()
    if context.caller is None:
        for gone in site_of(context).sparks.keys() - {one.name for one in mirrors}:
            del site_of(context).sparks[gone]
    lines = [FleetLine(one, badges(one), age_of(one, now), _spark(context, one.name, now)) for one in mirrors]
    kept = [one for one in mirrors if one.state != "retired"]
    return await site_of(context).render(
        context, call.request, "fleet.html", here="fleet", stream="/api/v1/events", lines=lines,
        current=sum(one.health in {"good", "degraded"} for one in kept),
        needy=sum(map(_is_needy, kept)),
        files=sum(one.files for one in mirrors), bytes=sum(one.bytes for one in mirrors),
        rate=sum(one.progress.rate for one in mirrors if one.progress is not None),
        running=sum(one.progress is not None for one in mirrors),
        **banners(context),
    )  # fmt: skip


def _spark(context: ApiContext, name: str, now: float) -> Spark | None:
    """Return the sparkline of a mirror; it is drawn again once a minute at most, since it shows a day."""
    sparks = site_of(context).sparks
    made, found = sparks.get(name, (-math.inf, None))
    if not 0 <= now - made < SPARK_LASTS:
        found = spark(context.control.series(name), now)
        sparks[name] = (now, found)
    return found


def _is_needy(mirror: MirrorView) -> bool:
    """Tell whether a person should look at a mirror."""
    wrong = mirror.failed or mirror.parked or mirror.faults
    return bool(wrong) or mirror.health in {"degraded", "stale"} or mirror.state in NEEDY
