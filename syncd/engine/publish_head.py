"""Signs the head of a mirror when its pointer was written: other nodes, and anybody with minisign, can trust it.

Rules:
1. The sequence lies in the pointer, which is written first. So it never repeats, whatever was lost: a node that was
   rebuilt from its store goes on behind the last head that it signed.
2. The signature is written before the head. A follower that comes between reads both again.
3. A head is signed after each pass, for freshness moves although nothing else does, and once a day in any case.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress

import msgspec

from manifests.head import LIFE, Head, HeadState, comment_of
from manifests.messages import plain
from manifests.minisign import SignatureError
from manifests.node_keys import MAX_KEYS, parse_chain, set_of
from manifests.snapshot import MAX_POINTER, MAX_SNAPSHOT, Pointer, Snapshot
from manifests.timestamps import rfc3339
from syncd.catalogue import CatalogueSettings
from syncd.core import Damaged, NotFound, Store
from syncd.engine.head_states import head_state, save_head_state
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.pass_paths import KEY_CHAIN, head_path, pointer_path, snapshot_folder


class HeadSigner(msgspec.Struct, frozen=True):
    """What signing the heads of one mirror needs; `sign` returns the .minisig file of a content with a comment.

    `chain` has the sets of the node's keys, b"" if it never changed its key.
    """

    node: str
    key: str
    sign: Callable[[bytes, str], bytes]
    chain: bytes = b""
    access: str = "open"
    licence: str = ""
    life: float = LIFE


async def next_state(
    store: Store, settings: CatalogueSettings, mirror: str, snapshot: str, now: float, *, signs: bool
) -> HeadState | None:
    """Return what the next pointer says of heads, and record it; None if the mirror never had any."""
    state = head_state(settings, mirror)
    if signs or state.seq:
        with suppress(NotFound, Damaged, msgspec.MsgspecError):
            text = await read_bounded(store, pointer_path(mirror), MAX_POINTER)
            written = msgspec.json.decode(text, type=Pointer).head
            if written is not None and written.seq > state.seq:  # this Catalogue is older than the store
                state = msgspec.structs.replace(state, seq=written.seq)
    if signs:
        state = msgspec.structs.replace(state, seq=state.seq + 1, signed=now, snapshot=snapshot)
        save_head_state(settings, mirror, state)
    return state if state.seq or state.followed is not None else None


async def sign_head(store: Store, signer: HeadSigner, snapshot: Snapshot, pointer: Pointer) -> Head:
    """Write the head of what a pointer names, and its signature; return it."""
    state = pointer.head
    assert state is not None
    listed = await read_bounded(store, f"{snapshot_folder(pointer.mirror, snapshot.id)}snapshot.json", MAX_SNAPSHOT)
    head = Head(
        node=signer.node,
        mirror=pointer.mirror,
        seq=state.seq,
        snapshot=snapshot.id,
        snapshot_json=hashlib.sha256(listed).hexdigest(),
        files=snapshot.files,
        bytes=snapshot.bytes,
        signed=rfc3339(state.signed),
        published=rfc3339(snapshot.created),
        upstream_checked=rfc3339(state.checked),
        expires=rfc3339(state.signed + signer.life),
        via=state.via,
        access=signer.access,
        licence=signer.licence,
        prefix=pointer.prefix,
        keys=await _publish_chain(store, signer),
    )
    text = msgspec.json.format(msgspec.json.encode(head, enc_hook=plain), indent=1) + b"\n"
    await store.put(f"{head_path(pointer.mirror)}.minisig", signer.sign(text, comment_of(head)))
    await store.put(head_path(pointer.mirror), text)
    return head


async def _publish_chain(store: Store, signer: HeadSigner) -> int:
    """Publish the sets of the node's keys if they changed; return the version of the last one that has its key."""
    if not signer.chain:
        return 0
    chain = parse_chain(signer.chain)
    published = 0
    with suppress(NotFound, Damaged, SignatureError):
        published = len(parse_chain(await read_bounded(store, KEY_CHAIN, MAX_KEYS)).sets)
    if published < len(chain.sets):
        await store.put(KEY_CHAIN, signer.chain)
    return max((one.version for one in map(set_of, chain.sets) if signer.key in one.keys), default=0)
