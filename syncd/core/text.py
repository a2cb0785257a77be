"""Makes text that strangers wrote safe to show: no name can command a terminal, forge a line or hide itself."""


def printable(text: str) -> str:
    r"""Return `text` with every invisible or commanding character written out (`\x1b`, `\u202e`); letters stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
