"""Makes text from outside safe to show: it cannot control a terminal, forge a line or hide characters."""


def printable(text: str) -> str:
    r"""Return `text` with control and invisible characters escaped (`\x1b`, `\u202e`); letters stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
