"""How far the files of restricted mirrors are closed to other users.

Rule: workers and `syncd status` import this room, so it loads neither manifests nor the database.
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from syncd.catalogue.catalogue import Catalogue

MODES = "modes"


class ModeProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the files of a mirror have the modes that they should have."""

    prefix: str
    is_narrow: bool
    is_done: bool = False
    at: int = 0
    """The number of folders that are done."""
    after: str = ""
    """The last path that is done in the next one."""


def mode_progress(catalogue: "Catalogue") -> dict[str, ModeProgress]:
    """Return how far each mirror is that was ever restricted."""
    text = catalogue.settings.get(MODES)
    return msgspec.json.decode(text, type=dict[str, ModeProgress]) if text else {}
