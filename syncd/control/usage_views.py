"""What reports of usage say: figures of what was given, in rows, and what the network was spared."""

from typing import Literal

import msgspec

UsageBy = Literal["mirror", "institution", "country", "month", "kind"]
UNKNOWN = "unknown"
FEW = 5
"""Fewer clients than this are reported as `<5`."""


class UsageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of what was delivered to others: to people, tools and other nodes, not to robots or our own machines."""

    requests: int = 0
    """Requests for files: 200, 304, and all pieces that one client took of one file on one day as one."""
    files: int = 0
    """Files of which a client got every byte."""
    bytes: int = 0
    """Bytes of files that were sent, those of downloads that broke off too."""
    views: int = 0
    """Views of descriptions: pages, citations, metadata, evidence."""
    strict_requests: int = 0
    """Requests by COUNTER's rules, which leave out clients in COUNTER's list of robots."""
    strict_investigations: int = 0
    """Requests and views by COUNTER's rules."""
    unique_requests: int = 0
    """As `strict_requests`, once for a client, a mirror and an hour."""
    unique_investigations: int = 0
    """As `strict_investigations`, once for a client, a mirror and an hour."""
    clients: int | str = 0
    """The most clients of one day; `<5` if there were fewer. Days cannot be linked."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one mirror, institution, country, month, or kind of client."""

    value: str
    figures: UsageFigures


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """What the network was spared by one mirror in one month."""

    mirror: str
    month: str
    delivered: int
    """Bytes that others took from here."""
    fetched: int
    """Bytes that were downloaded from upstream and verified."""
    saved: int
    """`delivered` less `fetched`; negative while more was downloaded than given."""
    ratio: float | None = None
    """`delivered` by `fetched`; null if nothing was downloaded."""
    domestic: int | None = None
    """Of `delivered`, what went to our own country; null if the configuration does not name that."""
    abroad: int | None = None
    """Of `delivered`, what went to other countries that are known."""


class InstrumentHours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of an instrument in one month, as the operator states them (`usage.hours`)."""

    mirror: str
    month: str
    hours: float


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was given from one day to another (UTC), both included."""

    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    by: UsageBy
    since: str | None = None
    """The first day in it that has counts; null if there are none."""
    rows: tuple[UsageRow, ...] = ()
    """The most bytes first; months in their order."""
    total: UsageFigures
    institutions: int = 0
    """How many known institutions took something."""
    saved: tuple[SavedView, ...] = ()
    hours: tuple[InstrumentHours, ...] = ()
