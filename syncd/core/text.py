"""Makes text from outside safe to show: it cannot control a terminal, forge a line or hide characters."""

from manifests.messages import Message


def printable(text: str) -> str:
    r"""Return `text` with control and invisible characters escaped (`\x1b`, `\u202e`); letters stay."""
    if text.isprintable():
        return text
    if isinstance(text, Message):
        return text.mapped(printable)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
