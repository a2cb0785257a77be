"""Asks an origin about one file without reading it.

Rules:
1. HEAD that is refused, or says that a file is empty, is asked again as a GET of one byte, then as a plain GET that
   ends with its headers. Their answer counts.
2. The first answers of an origin to HEAD are compared with GET. If they differ, the origin is asked by GET from then
   on.
3. If GET names another ETag each time, for a file of one size and time, the servers behind the name have ETags of
   their own; the version is then made of time and size.
"""

import msgspec

from manifests.content_coding import coding_of, is_coded_name
from manifests.stat import Stat
from syncd.core import PermanentError, SyncdError
from transports.http import headers as heads
from transports.http.habits import SAME
from transports.http.read import HttpRead, Requester

_ABSENT = frozenset({404, 410})


async def describe(transport: Requester, path: str) -> Stat:
    """Return what an origin says of one file. Raises as a read does."""
    habits, origin = transport.habits, transport.origin_of(path)
    said: tuple[Stat, Stat] | None = None
    if origin not in habits.lying:
        head = HttpRead(transport, "HEAD", path)
        try:
            async with head as body:
                said = _described(body.stat, body.headers)
        except SyncdError:
            if head.status in SAME - _ABSENT or not head.status:
                raise
        if said is not None and said[0].size != 0 and habits.is_trusted(origin):
            return said[origin in habits.moody]
    found = await _first_byte(transport, path)
    if said is None or _differs(said[0], found[0]):
        habits.lying.add(origin)
    elif said[0].version == found[0].version:
        habits.confirm(origin)
        found = said  # an answer to HEAD promises more checksums
    elif (again := await _first_byte(transport, path))[0].version == found[0].version:
        habits.lying.add(origin)
    elif not _differs(again[0], found[0]):
        habits.moody.add(origin)
    return found[origin in habits.moody]


async def _first_byte(transport: Requester, path: str) -> tuple[Stat, Stat]:
    habits, origin = transport.habits, transport.origin_of(path)
    reading = HttpRead(transport, "GET", path, stop=1)
    try:
        async with reading as body:
            if body.stop == 1:  # read to its end, the connection can be used again
                async for _ in body:
                    pass
            return _described(body.stat, body.headers)
    except PermanentError:
        if reading.status not in _ABSENT or not habits.is_worth_asking(origin):
            raise
    try:
        async with HttpRead(transport, "GET", path) as body:
            return _described(body.stat, body.headers)
    except PermanentError:
        habits.refused_both(origin)
        raise


def _described(stat: Stat, fields: dict[str, str]) -> tuple[Stat, Stat]:
    """Return a Stat, and the same with a version that is not the ETag."""
    if coding_of(fields) and not is_coded_name(stat.path):
        stat = msgspec.structs.replace(stat, size=None)  # the length is that of the compressed bytes
    if stat.version is None and fields.get("etag", "").startswith('W/"'):
        stat = msgspec.structs.replace(stat, version=fields["etag"])  # it binds no read, but shows a change
    dated = heads.version({"last-modified": fields.get("last-modified", "")}, stat.size)
    return stat, stat if dated is None else msgspec.structs.replace(stat, version=dated)


def _differs(one: Stat, other: Stat) -> bool:
    """Return True if size or time differ where both are known."""
    return (None not in (one.size, other.size) and one.size != other.size) or (
        None not in (one.modified, other.modified) and one.modified != other.modified
    )
