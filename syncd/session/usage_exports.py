"""The dataset report of the published mirrors, for Make Data Count: it joins what they are with their counts."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from syncd.exchange import dataset_report
from syncd.face import node_of
from syncd.session.published import published_mirrors
from syncd.session.session import Session
from syncd.usage import Period, read_counts


async def read_dataset_report(
    session: Session, period: Period, now: float, sees: Callable[[str], bool] | None = None
) -> bytes:
    """Return the report (JSON) of the mirrors with a DOI; with `sees`, of those for which that is true."""
    node = node_of(session.config.serve)
    found = await published_mirrors(session, node, (), datetime.fromtimestamp(now, UTC))
    counts = await asyncio.to_thread(read_counts, session.config.state, period)
    counted = [(held, counts.get(mirror.name, ())) for mirror, held in found if sees is None or sees(mirror.name)]
    return dataset_report(node, counted, *period, now)
