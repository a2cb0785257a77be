"""Whose copy of a mirror is how fresh: this node's, that of the node which it follows, and those of the peers."""

from fnmatch import fnmatchcase

from manifests.messages import unpack
from manifests.model import Mirror
from syncd.catalogue import CatalogueSettings, MirrorRow
from syncd.config import Config
from syncd.control import CopyView
from syncd.core import message_view
from syncd.engine import head_state
from syncd.session import PeerCopy, peer_copies


def copies(settings: CatalogueSettings, config: Config, row: MirrorRow, mirror: Mirror | None) -> list[CopyView]:
    """Return the copies of a mirror that are known of, this node's first; `mirror` is the manifest in force."""
    state, serve = head_state(settings, row.name), config.serve
    checked = state.checked or row.succeeded
    here = CopyView(
        node=serve.name if serve is not None else "",
        role="here",
        url=f"{serve.url}mirrors/{row.name}/" if serve is not None and state.seq else "",
        snapshot=row.snapshot,
        is_same=bool(row.snapshot),
        upstream_checked=float(int(checked)) if checked else None,  # in whole seconds, as heads say it
        answered=row.attempted,
        via=state.via,
        is_proved=True,
    )
    peers = [
        _of_peer(f"{peer.url}mirrors/{row.name}/", copy, row)
        for peer in config.peers
        if any(fnmatchcase(row.name, one) for one in peer.mirrors)
        and (copy := peer_copies(settings, peer).get(row.name)) is not None
    ]
    followed, sources = state.followed, mirror.sources if mirror is not None else ()
    source = next((one for one in sources if one.reader == "syncd"), None)
    if followed is None or source is None or followed.node in {one.node for one in peers}:
        return [here, *peers]
    lead = CopyView(
        node=followed.node,
        role="source",
        url=source.url,
        snapshot=followed.snapshot,
        is_same=followed.snapshot == row.snapshot,
        upstream_checked=followed.checked or None,
        answered=(state.checked and row.succeeded) or None,
        via=followed.via,
        is_proved=bool(getattr(source.options, "keys", ())),
    )
    return [here, lead, *peers]


def _of_peer(url: str, copy: PeerCopy, row: MirrorRow) -> CopyView:
    error = unpack(copy.error, copy.packed)
    return CopyView(
        node=copy.head.node,
        role="peer",
        url=url,
        snapshot=copy.head.snapshot,
        is_same=copy.head.snapshot == row.snapshot,
        upstream_checked=copy.head.checked or None,
        answered=copy.answered or None,
        via=copy.head.via,
        is_proved=copy.is_proved,
        error=error,
        message=message_view(error),
    )
