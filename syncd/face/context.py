"""What every route of the public side works with, and one request as they see it."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from manifests.access import ANYONE, Caller, Part, access_of, may
from syncd.config import ServeSettings
from syncd.core import Store
from syncd.face.answers import Reject
from syncd.face.pacing import TokenBucket
from syncd.face.public_mirrors import PublicMirror, PublicMirrors
from syncd.face.snapshot_lists import SnapshotLists
from syncd.face.stored_files import StoredFiles

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


OnServed = Callable[[Served], None]


@dataclass(slots=True)
class Asked:
    """One request: its path in parts, decoded, the last one "" for a folder; who sent it."""

    request: web.BaseRequest
    parts: tuple[str, ...]
    address: str
    caller: Caller = ANYONE
    pace: TokenBucket | None = None
    door: str = "http"
    mirror: str = ""
    snapshot: str = ""
    path: str = ""
    size: int = 0
    range: tuple[int, int] = (0, 0)
    sent: int = 0
    is_open: bool = True
    """False for an answer about a mirror that not everybody may read."""

    @property
    def method(self) -> str:
        """Return GET, HEAD, …."""
        return self.request.method

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


@dataclass(frozen=True, slots=True)
class FaceContext:
    """The open resources of the public side."""

    settings: ServeSettings
    mirrors: PublicMirrors
    store: Store
    lists: SnapshotLists
    threads: Executor
    now: Callable[[], float]
    on_served: OnServed = field(default=lambda _: None)

    @property
    def files(self) -> StoredFiles:
        """Return the published files. Raises Unavailable."""
        return StoredFiles(self.store, self.mirrors.catalogue, self.lists, self.threads)

    def url(self, path: str = "") -> str:
        """Return the address of one of our own paths, which is escaped already."""
        return self.settings.url.rstrip("/") + "/" + path

    def mirror(self, asked: Asked, name: str, part: Part) -> PublicMirror:
        """Return a mirror of which the sender may read a part. Raises Reject, Unavailable."""
        found = self.mirrors.find(name)
        if found is None:
            raise Reject(404)
        answer = may(asked.caller, found.manifest, part, self.mirrors.moment())
        if answer == "absent":
            raise Reject(404)
        asked.mirror = name
        asked.is_open = access_of(found.manifest, self.mirrors.moment()) == "open"
        if answer == "token":
            raise Reject(401, WWW_Authenticate='Bearer realm="syncd"')
        if answer != "allowed":
            raise Reject(403)
        return found


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
