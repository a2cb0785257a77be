"""Keeps the number and hash of the last audit entry in the store: a cut of the log is found there.

Rules:
1. An anchor that the log contradicts is never overwritten: it stays beside the new ones, and a check names it.
2. A log that is older than its anchor (the Catalogue was restored or rebuilt) goes on after it, and an entry says so.
"""

import msgspec

from manifests.messages import message, plain
from syncd.catalogue import Catalogue, contradicting
from syncd.core import Anchor, Damaged, NotFound, Store

PLACE = ".syncd/audit/anchors.json"
MOST = 100  # anchors that are kept
MAX_BYTES = 1 << 16


async def read_anchors(store: Store) -> list[Anchor]:
    """Return the anchors in the store, the newest last. Raises Damaged for a file that is none of ours."""
    body = bytearray()
    try:
        async with store.open(PLACE) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > MAX_BYTES:
                    break
        return msgspec.json.decode(bytes(body), type=list[Anchor])
    except NotFound:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(
            message("{place}: does not hold the ends of the audit log: {cause}", place=PLACE, cause=error)
        ) from error


async def anchor_audit(store: Store, catalogue: Catalogue, now: float, known: list[Anchor] | None = None) -> bool:
    """Write the end of the audit log to the store, if it is not there; return True if it was written.

    `known` are the anchors in the store, if they were read before.
    """
    log = catalogue.pass_history
    head = log.audit_head()
    if head is None:
        return False
    if known is None:
        try:
            known = await read_anchors(store)
        except Damaged:
            await store.move(PLACE, f"{PLACE}.{now:.0f}.unreadable")
            known = []
    if known and (known[-1].entry, known[-1].hash) == (head.entry, head.hash):
        return False
    kept = [one for one in contradicting(log, known) if (one.entry, one.hash) != (head.entry, head.hash)]
    written = [*kept[: MOST - 1], Anchor(entry=head.entry, hash=head.hash, at=now)]
    await store.put(PLACE, msgspec.json.encode(written, enc_hook=plain))
    return True


async def go_on_after_anchor(store: Store, catalogue: Catalogue, now: float) -> list[Anchor] | None:
    """If the store knows a later end of the audit log than the Catalogue, go on after it.

    Returns the anchors in the store; None if they cannot be read.
    """
    try:
        known = await read_anchors(store)
    except Damaged:
        return None
    if known:
        catalogue.pass_history.skip_audit_to(max(known, key=lambda one: one.entry), now)
    return known
