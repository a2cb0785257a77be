"""Decides who may read what of a mirror: its description, its list of files, its bytes. Pure; every door asks here.

Rules:
1. A mirror without `publish` does not exist for strangers and partners: the answer is the one for an unknown name.
2. `open`: all may read all. `registered`: all may read the description and the list; partners the bytes. `restricted`:
   all may read the description; partners that are named for the mirror the list and the bytes.
3. No mirror is more open than its publisher says. An embargoed one is restricted until its day begins (UTC).
4. Changed terms are accepted again before the next byte.
5. A token that names mirrors is worth nothing elsewhere, whatever its role.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from manifests.model import Mirror  # callers without a manifest need not load its model

Part = Literal["metadata", "listing", "bytes"]
Level = Literal["private", "open", "registered", "restricted"]
Answer = Literal["allowed", "absent", "token", "denied", "terms"]

STATUS: dict[Answer, int] = {"allowed": 200, "absent": 404, "token": 401, "denied": 403, "terms": 403}
"""The HTTP status of each answer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, after authentication; without a role, a stranger."""

    name: str = ""
    role: Literal["", "reader", "steward", "operator", "partner"] = ""
    mirrors: tuple[str, ...] | None = None
    """Globs of the mirrors that the token is limited to; None: it is not limited."""
    accepted: frozenset[str] = frozenset()
    """The versions of terms that were accepted (`Publish.terms_version`)."""
    until: datetime | None = None
    """When the token expires."""

    def names(self, mirror: str) -> bool:
        """Return True if the token is good for a mirror."""
        return in_scope(self.mirrors, mirror)


ANYONE = Caller()


def in_scope(globs: tuple[str, ...] | None, mirror: str) -> bool:
    """Return True if one of the globs fits a mirror's name, or if there are no globs to limit it."""
    return globs is None or any(fnmatchcase(mirror, one) for one in globs)


def access_of(mirror: "Mirror | None", now: datetime) -> Level:
    """Return how open a mirror is at a time: the narrower of `publish.access` and `about.access`."""
    if mirror is None or mirror.publish is None or mirror.about.redistribution == "forbidden":
        return "private"
    from manifests.model.publish import LEVELS  # noqa: PLC0415  loaded with the mirror

    stated, wanted = mirror.about.access, mirror.publish.access
    opens = opens_at(mirror)
    if stated == "embargoed" and opens is not None and opens <= now:
        stated = "open"
    return _LEVEL[max(LEVELS[wanted or stated or "restricted"], LEVELS[stated or "open"])]


_LEVEL: tuple[Level, ...] = ("open", "registered", "restricted")


def opens_at(mirror: "Mirror") -> datetime | None:
    """Return when the embargo of a mirror ends, None without one."""
    day = mirror.about.embargo
    return datetime.combine(day, time(), UTC) if day is not None else None


def may(caller: Caller, mirror: "Mirror | None", part: Part, now: datetime) -> Answer:
    """Decide whether a caller may read a part of a mirror; None is a mirror that is not in force."""
    if mirror is None:
        return "absent"
    if caller.until is not None and caller.until <= now:
        caller = ANYONE
    level = access_of(mirror, now)
    answer = admits(caller, mirror.name, level, part)
    if answer != "allowed" or part != "bytes" or level == "open" or caller.role != "partner" or mirror.publish is None:
        return answer
    version = mirror.publish.terms_version
    return "terms" if version and version not in caller.accepted else "allowed"


def admits(caller: Caller, name: str, level: Level, part: Part) -> Answer:
    """Decide by a mirror's name and level alone; terms and the end of the token are not looked at."""
    is_named = bool(caller.role) and caller.names(name)
    if is_named and (caller.role in {"steward", "operator"} or (caller.role == "reader" and part != "bytes")):
        return "allowed"
    if level == "private":
        return "absent"
    if part == "metadata" or level == "open" or (part == "listing" and level == "registered"):
        return "allowed"
    if is_named and caller.role == "partner" and (level == "registered" or caller.mirrors is not None):
        return "allowed"
    return "denied" if caller.role else "token"
