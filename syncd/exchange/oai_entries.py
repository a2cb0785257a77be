"""What an OAI-PMH repository lists: an entry for each mirror, its sets, and tombstones that stay for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from syncd.exchange.markup import clean
from syncd.exchange.publication import Publication


@dataclass(frozen=True, slots=True)
class OaiEntry:
    """One mirror as harvesters see it; without a publication, it is the tombstone of one."""

    name: str
    stamp: int
    sets: tuple[str, ...]
    publication: Publication | None = None

    @property
    def key(self) -> tuple[int, str]:
        """Return the place of the entry in the order."""
        return self.stamp, self.name


def entry_of(held: Publication, stamp: int) -> OaiEntry:
    """Return a mirror that is listed."""
    return OaiEntry(held.name, stamp, sets_of(held), held)


def sets_of(held: Publication) -> tuple[str, ...]:
    """Return the sets of a mirror: its access, and each of its themes."""
    return (f"access:{held.access}", *(f"field:{set_spec(one)}" for one in dict.fromkeys(held.themes) if set_spec(one)))


def set_spec(theme: str) -> str:
    """Return a theme in the characters that a set may have; others are written as ~ and two digits."""
    escaped = quote(clean(theme).encode(), safe="!*'()")
    return escaped.replace("~", "%7E").replace("%", "~")


def set_names(entries: Sequence[OaiEntry]) -> Mapping[str, str]:
    """Return the name of each set; a part of a hierarchy is one, too."""
    names = {"access": "By access", "field": "By field"}
    for entry in entries:
        for spec in entry.sets:
            names.setdefault(spec, spec.partition(":")[2])
        for theme in entry.publication.themes if entry.publication is not None else ():
            if set_spec(theme):
                names[f"field:{set_spec(theme)}"] = theme
    return names
