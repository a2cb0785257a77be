"""The copies of one mirror at several nodes, as Control returns them."""

from typing import Literal

import msgspec

from syncd.core import MessageView

CopyRole = Literal["here", "source", "peer"]
"""here: this node. source: the node that this mirror follows. peer: another node, which syncd.yaml names."""


class CopyView(msgspec.Struct, frozen=True, kw_only=True):
    """The copy of a mirror at one node, as far as that node's head says."""

    node: str
    """Its name; "" if it never answered, or has none."""
    role: CopyRole
    url: str = ""
    snapshot: str = ""
    is_same: bool = False
    """True if it has the snapshot that is current here."""
    upstream_checked: float | None = None
    """When the original was last surveyed completely, by whichever node did that."""
    answered: float | None = None
    """When it last answered with a head that was accepted."""
    via: tuple[str, ...] = ()
    """The nodes between the original and this copy."""
    is_proved: bool = False
    """True if a key that is trusted signed the head; False if the server was believed."""
    error: str = ""
    """Why it did not answer, or why its head was refused, the last time."""
    message: MessageView | None = None
    """`error` as a code and values."""
