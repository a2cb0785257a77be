"""The published mirrors as the outward formats have them: the node of syncd.yaml, a manifest, its kept snapshots.

Rules:
1. A mirror that is private, or has no snapshot, has no publication.
2. The files are those of the current snapshot, read from its shards, and only where they are few and open to all.
"""

from datetime import datetime

from manifests.access import access_of
from manifests.messages import message
from manifests.model import Mirror
from syncd.catalogue import Catalogue, MirrorRow
from syncd.config import ServeSettings
from syncd.core import ConfigError, Store
from syncd.engine import shard_entries
from syncd.exchange import FEW_FILES, Agent, Node, Publication, PublishedFile, publication_of, version_of


def node_of(serve: ServeSettings | None) -> Node:
    """Return the node that syncd.yaml describes. Raises ConfigError if it has no `serve`."""
    if serve is None:
        raise ConfigError(
            message(
                "serve is not configured: write serve with name, url and publisher in syncd.yaml, "
                "because every address is made from them"
            )
        )
    publisher = serve.publisher
    email = publisher.contact if "@" in publisher.contact else ""
    return Node(
        serve.name, serve.url, Agent(publisher.name.texts, publisher.url or "", email=email, ror=publisher.ror or "")
    )


async def read_publication(
    store: Store,
    catalogue: Catalogue,
    node: Node,
    mirror: Mirror,
    row: MirrorRow,
    now: datetime,
    *,
    with_files: bool = True,
) -> Publication | None:
    """Return a mirror that is published and has a snapshot, else None. Raises what the store raises."""
    access = access_of(mirror, now)
    kept = catalogue.history.snapshots(row.id) if access != "private" and row.snapshot else []
    if access == "private" or not kept:
        return None
    files: list[PublishedFile] = []
    if with_files and kept[0].files <= FEW_FILES and access == "open":
        for shard in kept[0].content.shards:
            entries = await shard_entries(store, mirror.name, shard.sha256)
            files += [PublishedFile(one.path, one.size, one.sha256) for one in entries]
    tags = catalogue.tags.all(row.id)
    history = [version_of(one, tuple(tag.name for tag in tags if tag.snapshot == one.id)) for one in kept]
    return publication_of(mirror, node, access, history, checked=row.succeeded, files=files)
