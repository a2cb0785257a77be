"""One request as the routes see it, and the report of its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from manifests.access import ANYONE, Caller
from syncd.face.answers import Reject
from syncd.face.pacing import TokenPace

KEPT = "!$&'()*+,;=@~"  # what a path keeps beside letters, digits and -._; a colon would make a scheme
MOST_QUERY = 64  # values of a query


class Served(msgspec.Struct, frozen=True):
    """One finished answer, for the usage log, which keeps neither `address` nor `agent` nor a query."""

    at: float
    method: str
    door: str
    status: int
    sent: int
    seconds: float
    address: str
    agent: str
    referrer: str
    partner: str = ""
    mirror: str = ""
    snapshot: str = ""
    path: str = ""
    size: int = 0
    start: int = 0
    stop: int = 0
    target: str = ""
    """The path of the address, without the query."""
    ticket: str = ""
    """The number under which an nginx in front reports what it sent instead of us; `sent` is 0 then."""


OnServed = Callable[[Served], None]


@dataclass(slots=True)
class Asked:
    """One request: its path in parts, decoded, the last one "" for a folder; who sent it."""

    request: web.BaseRequest
    parts: tuple[str, ...]
    address: str
    caller: Caller = ANYONE
    pace: TokenPace | None = None
    door: str = "http"
    mirror: str = ""
    snapshot: str = ""
    path: str = ""
    size: int = 0
    range: tuple[int, int] = (0, 0)
    sent: int = 0
    ticket: str = ""
    link: str = ""
    """The query of a signed link to a folder: the links of its listing have it, too."""
    is_open: bool = True
    """False for an answer about a mirror that not everybody may read."""

    @property
    def method(self) -> str:
        """Return GET, HEAD, …."""
        return self.request.method

    def count(self, sent: int) -> None:
        """Count bytes of the body that the system took for the client."""
        self.sent += sent

    @property
    def wants_json(self) -> bool:
        """Return True if the client asks for JSON and not for a page."""
        accept = self.request.headers.get("Accept", "")
        return "application/json" in accept and "text/html" not in accept

    @property
    def query(self) -> Mapping[str, str]:
        """Return the query; of a key given twice, the first value. Raises Reject."""
        given = self.request.rel_url.query
        if len(given) > MOST_QUERY:
            raise Reject(400)
        return given


def split_path(raw: str) -> tuple[str, ...]:
    """Return the decoded parts of the path of a request. Raises Reject for one that no address of ours has."""
    parts: list[str] = []
    for part in raw.removeprefix("/").split("/"):
        try:
            text = unquote(part, errors="strict") if "%" in part else part
            text.encode()
        except UnicodeError as error:
            raise Reject(404) from error
        if text in {".", ".."} or "/" in text or "\0" in text:
            raise Reject(404)
        parts.append(text)
    if "" in parts[:-1]:
        raise Reject(404)
    return tuple(parts)


def escaped(path: str) -> str:
    """Return a path as it stands in an address."""
    return quote(path, safe="/" + KEPT)
