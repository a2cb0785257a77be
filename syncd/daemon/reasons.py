"""Why a mirror is in its state: each reason has a code and values for translation, and an English text for logs.

The status page shows a reason in the reader's language: `reason.<code>` in the catalogues of `syncd.web.i18n`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

TEXTS: Mapping[str, str] = {
    "waits.turn": "waits for its turn",
    "waits.turn.running": "waits for its turn: {n} passes run",
    "waits.window": "waits for its window, {window}",
    "waits.mirrors": "waits for a complete pass of {mirrors}",
    "waits.plan": "a plan is being made",
    "waits.repair": "mends damage",
    "stops.asked": "stopped by {who}",
    "stops.daemon": "the daemon stops",
    "stops.now": "the daemon stopped at once",
    "stops.manifest": "its manifest was deleted",
    "stops.window": "its window has closed, {window}",
    "stops.turn": "makes room for others that wait",
    "paused": "paused by {who}",
    "retired": "its manifest was deleted; the copy is kept",
    "rejected": "{detail}",
    "store.offline": "the store is offline: {detail}",
    "store.full": "the store is full: {detail}",
    "failed": "{detail}",
}
"""The English text of each code, with the names of its values."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code of TEXTS, and the values that its text names. An empty code means no reason."""

    code: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the English text."""
        return TEXTS[self.code].format(**self.values) if self.code else ""

    def __bool__(self) -> bool:
        """Return True if there is a reason."""
        return bool(self.code)


NO_REASON = Reason()


def because(code: str, **values: object) -> Reason:
    """Return the reason with a code and its values."""
    return Reason(code, {name: str(value) for name, value in values.items()})
