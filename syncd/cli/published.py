"""Which mirrors a command of `syncd metadata` works on: those that are named, or all that are published."""

from collections.abc import Sequence
from datetime import datetime

from manifests.access import access_of
from manifests.messages import message
from manifests.model import Mirror
from syncd.catalogue import MirrorRow
from syncd.core import ConfigError, NotFound
from syncd.exchange import Node, Publication
from syncd.face import read_publication
from syncd.session import Session


async def published_mirrors(
    session: Session, node: Node, names: Sequence[str], now: datetime
) -> list[tuple[Mirror, Publication]]:
    """Return the mirrors that are published, with their manifests. Raises ConfigError, NotFound for a named one."""
    found = []
    for row in [session.mirror(name) for name in dict.fromkeys(names)] or session.catalogue.history.mirrors():
        if not names and session.catalogue.settings.get(f"manifest:{row.name}") is None:
            continue  # an older syncd published it, and did not record whether others may know
        mirror = session.manifest(row.name)
        held = await read_publication(session.store, session.catalogue, node, mirror, row, now)
        if held is not None:
            found.append((mirror, held))
        elif names:
            raise _refusal(mirror, row, now)
    return found


def _refusal(mirror: Mirror, row: MirrorRow, now: datetime) -> ConfigError | NotFound:
    """Return why a mirror has no publication, with the remedy."""
    if mirror.publish is None:
        return ConfigError(
            message("{name}: is private: write publish in its manifest, and sync it again", name=mirror.name)
        )
    if access_of(mirror, now) == "private":
        return ConfigError(
            message("{name}: is private: its terms forbid to pass copies on (about.redistribution)", name=mirror.name)
        )
    return NotFound(message("{name}: has no snapshot yet: run `syncd sync` on its manifest", name=row.name))


def listed(found: Sequence[tuple[Mirror, Publication]], word: str) -> list[Publication]:
    """Return those that `publish.to` lists under a word; "" is for formats that all published mirrors have."""
    return [
        held for mirror, held in found if mirror.publish is not None and (not word or mirror.publish.listed_in(word))
    ]
