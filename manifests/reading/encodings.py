"""Character encodings that a stranger names: in a BagIt declaration, in a manifest."""

import codecs


def text_encoding(name: str) -> str | None:
    """Return Python's name of a text encoding; None for an unknown one, and for a codec of bytes such as `zip`."""
    try:
        "".encode(name)  # raises LookupError for a codec that is no text encoding
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
