"""What a mirror knows of heads: its own, which it signs, and the one that it follows. Kept in the Catalogue.

The pointer in the store has a copy, so that both outlast the Catalogue (`manifests.head.HeadState`).
"""

import msgspec

from manifests.head import FollowedHead, HeadState
from manifests.messages import plain
from syncd.catalogue import CatalogueSettings
from syncd.engine.inventory import Inventory

_decode = msgspec.json.Decoder(HeadState).decode


def head_state(settings: CatalogueSettings, mirror: str) -> HeadState:
    """Return the state of the heads of a mirror."""
    written = settings.get(_name(mirror))
    return _decode(written) if written else HeadState()


def save_head_state(settings: CatalogueSettings, mirror: str, state: HeadState) -> None:
    """Record the state of the heads of a mirror."""
    settings.set(_name(mirror), msgspec.json.encode(state, enc_hook=plain).decode())


def note_followed(settings: CatalogueSettings, mirror: str, head: FollowedHead) -> None:
    """Record the head of another node that was accepted: no older one is, from now on."""
    save_head_state(settings, mirror, msgspec.structs.replace(head_state(settings, mirror), followed=head))


def note_survey(settings: CatalogueSettings, mirror: str, inventory: Inventory, began: float) -> None:
    """Record when the original was surveyed in whole: by this survey, or by the node that it follows."""
    before, head = head_state(settings, mirror), inventory.head
    if not inventory.complete:
        return
    if head is not None and not head.snapshot:
        return  # a Snapshot by its id, without a head
    if head is not None:
        via = (*head.via, head.node) if head.node else head.via
        after = msgspec.structs.replace(before, checked=head.checked, via=via)
    elif not inventory.elsewhere:
        after = msgspec.structs.replace(before, checked=began, via=())
    else:
        return
    if after != before:
        save_head_state(settings, mirror, after)


def _name(mirror: str) -> str:
    return f"head:{mirror}"
