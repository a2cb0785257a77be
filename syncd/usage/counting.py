"""Turns finished answers into counts.

Rules:
1. A request is an answer to GET that brought what was asked for: 200 or 304, or a piece (206). All pieces of one file
   that one client takes on one day are one request. What broke off counts its bytes, and nothing else.
2. Of two requests of one client for one address within 30 seconds, the first one is not counted (double click). That
   does not concern pieces.
3. A file was delivered when the client has got every byte of it, in one answer or in pieces.
4. By COUNTER's rules (strict), clients that COUNTER's list has are left out, and our own. A view of a description and
   a request are investigations. Unique ones are counted once for a client, a mirror and an hour.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from manifests.messages import plain
from syncd.catalogue import CellKey, OpenDownload, UsageCounts
from syncd.face import Served
from syncd.usage.clients import Client, Clients
from syncd.usage.day_key import client_mark

DOUBLE = 30.0  # seconds
WHOLE = frozenset({200, 304})
BROUGHT = WHOLE | {206, 499}  # 499: it broke off
MOST_SPANS = 512  # separate parts of one file that are remembered
REQUESTS, FILES, BYTES, VIEWS, STRICT, INVESTIGATED, UNIQUE, UNIQUE_INVESTIGATED = range(8)
_DESCRIPTIONS = frozenset(
    {"", "citation.bib", "datacite.xml", "croissant.json", "ro-crate-metadata.json", "evidence"}
)  # what follows the name of a mirror in the address of a description
_NEVER = -1e18
_spans = msgspec.msgpack.Decoder(list[tuple[int, int]]).decode
_packed = msgspec.msgpack.Encoder(enc_hook=plain).encode


class Sent(NamedTuple):
    """One finished answer, reduced to the counted part."""

    at: float
    status: int
    sent: int
    client: Client
    mirror: str
    target: str
    """The address, without a query."""
    is_file: bool
    size: int
    start: int
    stop: int
    """What was asked of a file; equal if it is not known."""


def reduced(one: Served, clients: Clients) -> Sent | None:
    """Return the counted part of an answer, or None."""
    if not one.mirror or one.method != "GET":
        return None
    target = f"{one.snapshot}/{one.path}" if one.path else one.target
    client = clients.of(one.address, one.agent, one.partner)
    return Sent(one.at, one.status, one.sent, client, one.mirror, target, bool(one.path), one.size, one.start, one.stop)


class UsageBatch:
    """The counts of answers of one day, before they are written."""

    def __init__(self, counts: UsageCounts, day: str, key: bytes) -> None:
        """Look up in `counts`, within a transaction, the marks of the day."""
        self._counts, self._day, self._key = counts, day, key
        self._cells: dict[CellKey, list[int]] = {}
        self._served: dict[tuple[str, str, int], list[int]] = {}
        self._downloads: dict[bytes, OpenDownload] = {}
        self._marks: dict[bytes, bool] = {}
        self._clients: set[tuple[CellKey, bytes]] = set()
        self._who: dict[Client, bytes] = {}

    def add_all(self, answers: Iterable[Sent]) -> None:
        """Count answers, in the order in which they ended."""
        for one in answers:
            self._add(one)

    def write(self) -> None:
        """Write the counts, within the transaction."""
        fresh = (key for key, is_known in self._marks.items() if not is_known)
        self._counts.add(self._day, self._cells, self._served, self._downloads, fresh, self._clients)

    def _add(self, one: Sent) -> None:
        client = one.client
        total = self._served.setdefault((one.mirror, client.kind, one.status), [0, 0])
        total[0] += 1
        total[1] += one.sent
        who = self._who.get(client)
        if who is None:
            who = self._who[client] = client_mark(self._key, client.prefix, client.family, client.partner)
        key = CellKey(one.mirror, client.kind, client.institution, client.country)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = [0] * 8
        if one.status not in BROUGHT:
            return
        self._clients.add((key, who))
        if one.is_file:
            cell[BYTES] += one.sent
            self._file(one, who, cell)
        elif one.status in WHOLE and _is_description(one.target):
            mark = self._mark(who, f"{one.mirror} {one.target}")
            known = self._download(mark)
            if one.at - known.last > DOUBLE:
                cell[VIEWS] += 1
                self._investigated(one, who, cell)
            self._downloads[mark] = known._replace(last=one.at)

    def _file(self, one: Sent, who: bytes, cell: list[int]) -> None:
        mark = self._mark(who, f"{one.mirror} {one.target}")
        known = self._download(mark)
        is_whole = one.status == 304 or (one.status == 200 and one.sent >= one.size)
        if is_whole:
            if one.at - known.last > DOUBLE:
                self._requested(one, who, cell)
                cell[FILES] += one.status == 200
            self._downloads[mark] = known._replace(last=one.at)
            return
        joined, spans = known.joined, known.spans
        if one.status == 206 and one.sent == one.stop - one.start > 0 and not joined:
            self._requested(one, who, cell)
            joined = True
        if one.sent:
            covered = _with(_spans(spans) if spans else [], one.start, one.start + one.sent)
            if covered == [(0, one.size)]:
                cell[FILES] += 1
                if not joined:
                    self._requested(one, who, cell)  # broken off, and resumed
                    joined = True
                covered = []
            spans = _packed(covered)
        self._downloads[mark] = OpenDownload(known.last, joined, spans)

    def _requested(self, one: Sent, who: bytes, cell: list[int]) -> None:
        cell[REQUESTS] += 1
        if one.client.is_strict:
            cell[STRICT] += 1
            cell[INVESTIGATED] += 1
            if self._is_first(who, one, b"request"):
                cell[UNIQUE] += 1
                cell[UNIQUE_INVESTIGATED] += self._is_first(who, one, b"investigation")

    def _investigated(self, one: Sent, who: bytes, cell: list[int]) -> None:
        if one.client.is_strict:
            cell[INVESTIGATED] += 1
            cell[UNIQUE_INVESTIGATED] += self._is_first(who, one, b"investigation")

    def _is_first(self, who: bytes, one: Sent, what: bytes) -> bool:
        mark = self._mark(who, f"{one.mirror} {one.at // 3_600}", what)
        if mark not in self._marks:
            self._marks[mark] = self._counts.has_mark(mark)
            return not self._marks[mark]
        return False

    def _mark(self, who: bytes, text: str, what: bytes = b"file") -> bytes:
        """Return the mark of a client and a file, or a mirror and an hour: without the key it is chance."""
        return blake2b(
            text.encode("utf-8", "surrogateescape"), key=self._key, salt=who, person=what[:16], digest_size=12
        ).digest()

    def _download(self, mark: bytes) -> OpenDownload:
        known = self._downloads.get(mark)
        if known is None:
            known = self._counts.download(mark) or OpenDownload(_NEVER, joined=False, spans=b"")
        return known


def _is_description(target: str) -> bool:
    parts = target.split("/")
    return len(parts) > 3 and parts[1] == "mirrors" and parts[3] in _DESCRIPTIONS


def _with(spans: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """Return sorted, separate spans with one more; beyond MOST_SPANS, the shortest ones are forgotten."""
    found: list[tuple[int, int]] = []
    for first, last in spans:
        if last < start or first > stop:
            found.append((first, last))
        else:
            start, stop = min(first, start), max(last, stop)
    found.append((start, stop))
    if len(found) > MOST_SPANS:
        found.remove(min(found, key=lambda one: one[1] - one[0]))
    return sorted(found)
