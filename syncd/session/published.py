"""The published mirrors of a session, for catalogues and portals, and the record of when each description changed."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from manifests.access import access_of
from manifests.messages import message
from manifests.model import Mirror
from syncd.catalogue import MirrorRow
from syncd.core import ConfigError, NotFound
from syncd.exchange import ListedMirror, Node, Publication, update_listed
from syncd.face import node_of, read_listed, read_publication, write_listed
from syncd.session.session import Session

PublishedMirror = tuple[Mirror, Publication]


async def published_mirrors(session: Session, node: Node, names: Sequence[str], now: datetime) -> list[PublishedMirror]:
    """Return the mirrors that are published, with their manifests. Raises ConfigError, NotFound for a named one."""
    found = []
    for row in [session.mirror(name) for name in dict.fromkeys(names)] or session.catalogue.history.mirrors():
        if not names and session.catalogue.settings.get(f"manifest:{row.name}") is None:
            continue  # an older syncd synced it, and did not record whether others may know
        mirror = session.manifest(row.name)
        held = None
        if not session.catalogue.settings.get(f"withdrawn:{row.name}"):
            held = await read_publication(session.store, session.catalogue, node, mirror, row, now)
        if held is not None:
            found.append((mirror, held))
        elif names:
            raise _refusal(mirror, row, now)
        await asyncio.sleep(0)
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
    if row.snapshot:
        return ConfigError(
            message("{name}: is private: its manifest was withdrawn: put it back, and sync it again", name=mirror.name)
        )
    return NotFound(message("{name}: has no snapshot yet: run `syncd sync` on its manifest", name=row.name))


def listed_in(found: Collection[PublishedMirror], word: str) -> list[Publication]:
    """Return those that `publish.to` lists under a word; "" is for formats that all published mirrors have."""
    return [
        held for mirror, held in found if mirror.publish is not None and (not word or mirror.publish.listed_in(word))
    ]


async def refresh_listed(session: Session, now: float) -> list[ListedMirror]:
    """Bring the record up to date, and return it. Raises what the store raises; then nothing is recorded."""
    node = node_of(session.config.serve)
    found = await published_mirrors(session, node, (), datetime.fromtimestamp(now, UTC))
    before = read_listed(session.catalogue.settings)
    after = update_listed(before, listed_in(found, "oai"), now)
    if after != before:
        write_listed(session.catalogue.settings, after)
    return after
