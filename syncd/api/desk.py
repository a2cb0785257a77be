"""What every route works with: the daemon's control, the door, the stream of events, the metrics, the clock."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from syncd.api.door import Door, Visitor
from syncd.api.stream import Stream
from syncd.control import Control

if TYPE_CHECKING:
    from syncd.api.page import Page

Metrics = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Given the Accept header, returns the exposition and its content type."""


VISITOR = web.RequestKey("visitor", Visitor)
"""Who asks, once the door knows."""
IS_PAGE = web.RequestKey("is_page", bool)
"""Whether a person waits for a page."""
BACK = web.RequestKey("back", str)
"""Where to come back to after a login, if not here."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a route may use."""

    control: Control
    door: Door
    stream: Stream
    metrics: Metrics | None
    clock: Callable[[], float]
    """The time of day, in seconds since the epoch."""
    page: "Page"
