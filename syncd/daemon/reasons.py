"""Why a mirror is in its state: each reason has a code and values for translation, and an English text for logs.

The codes are part of the API. The status page shows the text in the reader's language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.messages import Message, message, plain, template
from syncd.core import MessageView

TEXTS: Mapping[str, str] = {
    "waits.turn": template("waits for its turn"),
    "waits.turn.running": template("waits for its turn; running passes: {n}"),
    "waits.window": template("waits for its window, {window}"),
    "waits.mirrors": template("waits for a complete pass of {mirrors}"),
    "waits.origin": template("waits: {origin} is paused by {who}"),
    "waits.plan": template("a plan is being made"),
    "waits.restore": template("a file is being restored"),
    "waits.head": template("its head is being signed"),
    "waits.job": template("an operator works on it: {act}"),
    "waits.repair": template("damaged files are being repaired"),
    "stops.asked": template("stopped by {who}"),
    "stops.daemon": template("the daemon is stopping"),
    "stops.now": template("the daemon stopped immediately"),
    "stops.manifest": template("its manifest was deleted"),
    "stops.window": template("its window has closed, {window}"),
    "stops.turn": template("yields to other waiting mirrors"),
    "paused": template("paused by {who}"),
    "disabled": template("disabled by its manifest (enabled: false)"),
    "held": template("held at snapshot {snapshot} by {who}: `syncd release` ends that"),
    "retired": template("its manifest was deleted; the copy is kept"),
    "rejected": template("{detail}"),
    "store.offline": template("the store is offline: {detail}"),
    "store.full": template("the store is full: {detail}"),
    "failed": template("{detail}"),
}
"""The English text of each code, with the names of its values."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code of TEXTS, and the values that its text names. An empty code means no reason."""

    code: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the English text."""
        return message(TEXTS[self.code], **self.values) if self.code else ""

    def __bool__(self) -> bool:
        """Return True if there is a reason."""
        return bool(self.code)

    def view(self) -> MessageView | None:
        """Return the code and values for the API; the values are texts."""
        if not self.code:
            return None
        texts = {name: str(value) for name, value in self.values.items()}
        return MessageView(
            code=self.code, values={name: plain(t) if isinstance(t, Message) else t for name, t in texts.items()}
        )


NO_REASON = Reason()


def because(code: str, **values: object) -> Reason:
    """Return the reason with a code and its values."""
    return Reason(code, values)
